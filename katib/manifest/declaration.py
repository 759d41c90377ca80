"""Defines what a spec declares of its command, so that a run of it can be repeated, varied or trained further."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from katib.ranges import Range
from katib.spec_command import EPOCHS, RUN_DIR, SEED, filled

SOURCE = "continue_from"
"""The setting of a run that is trained further: the run directory of the trial that it goes on from."""
_COPIED = ".continued"
"""The file of a run directory that says that all of the other one was copied: the copy may be killed."""


@dataclass(frozen=True)
class Declaration:
    """The words of a command with placeholders for what a run sets, the ranges, and what the search itself took."""

    words: tuple[str, ...]
    search: Mapping[str, Range]
    seed: int
    epochs: int
    run_dir: str
    """The run directory, with a placeholder of the manifest for the trial's name."""
    varied: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The values of a setting that an architecture sweep varies, whether the search varies it, too, or not."""

    def problem(self, settings: Mapping[str, str]) -> str:
        """Returns why these are no `settings` of a run: a missing one, or one outside its range."""
        for name in dict.fromkeys((*self.search, *self.varied)):
            if name not in settings:
                return f"{name} is missing"
            if settings[name] in self.varied.get(name, ()):
                continue
            if name not in self.search:
                return f"{name} is {settings[name]}, and its values are {', '.join(self.varied[name])}"
            if not self.search[name].holds(settings[name]):
                return f"{name} is {settings[name]}, and its range is {self.search[name].words}"
        return "" if settings.get(SEED, "").isdecimal() else "it has no seed"

    def script(self, choice: str, runs: Mapping[str, Mapping[str, str]], epochs: int | None = None) -> str:
        """Returns the shell's script of that of the `runs` whose key is the word `choice`; it evaluates no value.

        With `epochs` a run is trained to so many, from a copy of what lies in its source.
        """
        names = [*dict.fromkeys((*self.search, *self.varied)), SEED]
        cases = [
            # The source is no part of the pattern: what names the search in a script is renamed.
            f"{word.split(SOURCE)[0] + (SOURCE + '=*' if SOURCE in run else '')})"
            f" set -- {' '.join(run[name] for name in names)} ;;"
            for word, run in runs.items()
        ]
        given = {name: f"${{{place}}}" for place, name in enumerate(names, 1)}
        words = filled(self.words, given | {EPOCHS: str(epochs or self.epochs), RUN_DIR: self.run_dir})
        quoted = " ".join(f'"{word}"' for word in words)
        copied = self._copied(choice) if epochs else ""
        return f"case {choice} in {' '.join(cases)} esac; {copied}{quoted}"

    def _copied(self, choice: str) -> str:
        """Returns the commands that copy the run directory of the source, once, without what this machine keeps there.

        The local engine holds a lock in a run directory, and writes there what the trial prints.
        """
        # No `exit`: Katib's shell line notes behind the command how that has ended.
        return (
            f'r="{self.run_dir}"; s="{choice}"; s="${{s##*{SOURCE}=}}"; bad=;'
            f' [ -e "$r/{_COPIED}" ] || {{ [ -d "$s" ] || bad=1; mkdir -p "$r";'
            ' for f in "$s"/* "$s"/.[!.]*; do case "${f##*/}" in'
            ' process.lock|output.log|"*"|".[!.]*") ;; *) cp -R "$f" "$r/" || bad=1 ;; esac; done;'
            f' [ -z "$bad" ] && : > "$r/{_COPIED}"; }} && '
        )
