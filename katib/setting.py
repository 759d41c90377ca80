"""Defines the settings of algorithms and stop rules: which texts they accept, and how a message says so."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from katib.errors import ManifestError, nearest


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


def rising(least: int) -> Setting:
    """Returns a setting for whole numbers from `least` on, each above the one before, with commas between them."""

    def rises(text: str) -> bool:
        listed = [int(word) for word in text.split(",")]
        return listed[0] >= least and all(one < other for one, other in pairwise(listed))

    return Setting(rises, f"whole numbers of at least {least}, each above the one before, with commas between them")


def or_none(setting: Setting) -> Setting:
    """Returns a setting for the word None or what `setting` accepts."""
    return Setting(lambda text: text == "None" or setting.takes(text), f"{setting.says}, or None")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that a manifest may give an algorithm or a stop rule; the check of manifests reads them too."""

    stock: Mapping[str, Setting] = field(default_factory=dict)
    """The settings of Katib's stock service of that name."""
    ours: Mapping[str, Setting] = field(default_factory=dict)
    """The settings that the search here takes and the stock service does not; they win over stock ones of that name."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """The settings without which there is nothing to do, and what each is, with an example."""
    idle: frozenset[str] = frozenset()
    """The settings that the stock service reads and that have no effect here."""
    strict: bool = True
    """Whether an unknown setting is refused, and not ignored."""

    @property
    def all(self) -> Mapping[str, Setting]:
        """Every setting that is taken."""
        return {**self.stock, **self.ours}

    def checked(self, where: str, given: Mapping[str, str]) -> Mapping[str, str]:
        """Returns the given settings; unknown ones are left out where Katib ignores them.

        Raises ManifestError for a setting that is unknown, missing, or has a value that is not accepted.
        """
        valid = self.all
        for name, text in given.items():
            if name not in valid and not self.strict:
                continue
            if name not in valid:
                raise ManifestError(f"{where}: unknown setting '{name}': {nearest(name, valid)}")
            if not valid[name].takes(text):
                raise ManifestError(f"{where}: {name} is '{text}'; it has {valid[name].says}")
        for name, what in self.needs.items():
            if name not in given:
                raise ManifestError(f"{where} needs the setting '{name}', {what}")
        return {name: text for name, text in given.items() if name in valid}

    def without_effect(self, given: Mapping[str, str]) -> list[str]:
        """Returns the names of the given settings that change nothing, for a note to the user."""
        unknown = set() if self.strict else given.keys() - self.all.keys()
        return sorted(unknown | (given.keys() & self.idle))
