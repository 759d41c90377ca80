"""Defines what a spec declares of its command, so that a run of it can be repeated with other values and seeds."""

from collections.abc import Mapping
from dataclasses import dataclass

from katib.ranges import Range
from katib.spec_command import SEED, filled


@dataclass(frozen=True)
class Declaration:
    """The words of a command with placeholders for what is searched and for the seed, the ranges, and the seed."""

    words: tuple[str, ...]
    search: Mapping[str, Range]
    seed: int

    def problem(self, settings: Mapping[str, str]) -> str:
        """Returns why these are no `settings` of a run: a missing one, or one outside its range."""
        for name, searched in self.search.items():
            if name not in settings:
                return f"{name} is missing"
            if not searched.holds(settings[name]):
                return f"{name} is {settings[name]}, and its range is {searched.words}"
        return "" if settings.get(SEED, "").isdecimal() else "it has no seed"

    def script(self, choice: str, runs: Mapping[str, Mapping[str, str]]) -> str:
        """Returns the shell's script of that of the `runs` whose key is the word `choice`; it evaluates no value."""
        names = [*self.search, SEED]
        cases = [f"{word}) set -- {' '.join(run[name] for name in names)} ;;" for word, run in runs.items()]
        words = filled(self.words, {name: f"${{{place}}}" for place, name in enumerate(names, 1)})
        quoted = " ".join(f'"{word}"' for word in words)
        return f"case {choice} in {' '.join(cases)} esac; {quoted}"
