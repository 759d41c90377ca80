"""Defines which texts an algorithm accepts for a setting, and how a message says so."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """A setting of an algorithm, which is a text in a manifest."""

    accepts: Callable[[str], bool]
    says: str
    """What is accepted, in words."""

    def takes(self, text: str) -> bool:
        """Returns whether the algorithm accepts a value; one that cannot be converted is not accepted."""
        try:
            return self.accepts(text)
        except (ValueError, OverflowError):
            return False


def whole(least: int, most: float = math.inf) -> Setting:
    """Returns a setting for a whole number from `least` to `most`."""
    bound = "" if most == math.inf else f" and at most {most:.0f}"
    return Setting(lambda text: least <= int(text) <= most, f"a whole number of at least {least}{bound}")


def real(accepts: Callable[[float], bool], says: str) -> Setting:
    """Returns a setting for a number that `accepts` approves."""
    return Setting(lambda text: accepts(float(text)), says)


def one_of(*words: str) -> Setting:
    """Returns a setting for one of these words."""
    return Setting(lambda text: text in words, "one of " + ", ".join(words))


def numbers(least: int) -> Setting:
    """Returns a setting for whole numbers of at least `least` with commas between them."""
    return Setting(
        lambda text: all(int(word) >= least for word in text.split(",")),
        f"whole numbers of at least {least} with commas between them",
    )


def or_none(setting: Setting) -> Setting:
    """Returns a setting for the word None or what `setting` accepts."""
    return Setting(lambda text: text == "None" or setting.takes(text), f"{setting.says}, or None")
