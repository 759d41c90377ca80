"""A setting of an algorithm: which texts its service takes for it, and how a message says so."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """A setting, given as a string: whether a value is taken, and what is, in words."""

    accepts: Callable[[str], bool]
    says: str

    def takes(self, text: str) -> bool:
        """Returns whether the service takes this value; one that it cannot even convert it does not."""
        try:
            return self.accepts(text)
        except (ValueError, OverflowError):
            return False


def whole(least: int, most: float = math.inf) -> Setting:
    """Returns a whole number from `least` to `most`."""
    bound = "" if most == math.inf else f" and at most {most:.0f}"
    return Setting(lambda text: least <= int(text) <= most, f"a whole number of at least {least}{bound}")


def real(accepts: Callable[[float], bool], says: str) -> Setting:
    """Returns a number that `accepts` takes."""
    return Setting(lambda text: accepts(float(text)), says)


def one_of(*words: str) -> Setting:
    """Returns one of these words."""
    return Setting(lambda text: text in words, "one of " + ", ".join(words))


def numbers(least: int) -> Setting:
    """Whole numbers of at least `least`, with commas between them."""
    return Setting(
        lambda text: all(int(word) >= least for word in text.split(",")),
        f"whole numbers of at least {least} with commas between them",
    )


def or_none(setting: Setting) -> Setting:
    """Returns the word None, or what `setting` takes."""
    return Setting(lambda text: text == "None" or setting.takes(text), f"{setting.says}, or None")
