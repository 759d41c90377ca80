"""Defines what a spec declares of a trainer of one's own: its command with placeholders, and its metric.

`{lr}` in a command takes a setting that is searched or fixed; `BUILT_IN` has the placeholders that take something else.
"""

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Literal

import re2
from pydantic import BeforeValidator, Field, model_validator

from katib.defects import spelled
from katib.document import Strict
from katib.errors import nearest
from katib.measure import UNITS
from katib.metrics import compile_filter

WORD = r"[A-Za-z0-9_./:=,+@%-]+"
"""A word that Katib's unquoted shell line leaves as it is."""
WORDED = "have letters, digits and _ . / : = , + @ % - only"
SEED, EPOCHS, RUN_DIR, DATA = "seed", "epochs", "run_dir", "data"
BUILT_IN = {
    SEED: "the seed of a run: fixed.seed, or 42",
    EPOCHS: "the spec's epochs",
    RUN_DIR: "the folder of a run, which the trainer creates",
    DATA: "the folder of the data",
}
"""The placeholders that no range fills, and what each takes."""
FIRST_SEED = 42
MOST_NAMES = 8
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def _words(value: object) -> list[str]:
    """Returns the words of a command, which may be one text or a list of them."""
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("has a quote that never ends") from None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("must be a text, or a list of texts")
    if not words:
        raise ValueError("must not be empty")
    for word in words:
        for braced, inside in re.findall(r"(\{([^{}]*)\})", word):
            if not _PLACEHOLDER.fullmatch(braced):
                name = re.sub(r"\W+", "_", inside).strip("_")
                like = name if re.match("[A-Za-z_]", name) else "lr"
                raise ValueError(f"'{braced}' is no placeholder: its name has letters, digits and _, as in {{{like}}}")
        if not re.fullmatch(WORD, _PLACEHOLDER.sub("x", word)):
            raise ValueError(
                f"'{word}' must {WORDED}, and placeholders such as {{lr}}; what needs a shell belongs into a script"
            )
    return words


Command = Annotated[list[str], BeforeValidator(_words, json_schema_input_type=str | list[str])]


class Metric(Strict):
    """The metric that a trainer prints once per epoch, by default as NAME=VALUE, and which values are better."""

    name: Annotated[str, spelled(r"[A-Za-z][\w./-]*", "have letters, digits and _ . / - only, and begin with a letter")]
    direction: Literal["maximize", "minimize"]
    unit: Annotated[str, spelled(UNITS, "have at most 16 letters, digits and % / _ . - only")] | None = None
    """That of its values, as tables, pages and verdicts write it: %, bits, m/s."""
    noise: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The standard deviation between seeds of one configuration, where it is known beforehand."""
    regexp: str | None = None
    """Finds it in a line, in RE2: its only group is the value, or its two groups are the name and the value."""

    @property
    def filter(self) -> str:
        """The filter of Katib's collector, whose first group is the name and whose second the value."""
        if self.regexp is None:
            return rf"(?:^|[\s,])({_literal(self.name)})\s*=\s*({_NUMBER})(?:\s|,\D|,?$)"
        before, name, after = self._named(self.regexp)
        two = compile_filter(self.regexp).groups == 2
        # Katib joins filters with ';'.
        return (self.regexp if two else f"{before}({name}){after}").replace(";", r"\x3b")

    @model_validator(mode="after")
    def _consistent(self) -> "Metric":
        if self.regexp is None:
            return self
        try:
            groups = compile_filter(self.regexp).groups
        except re2.error as error:
            said = error.args[0].decode() if isinstance(error.args[0], bytes) else error
            raise ValueError(f"regexp: RE2 does not accept '{self.regexp}': {said}") from None
        if groups not in (1, 2):
            found = f"has {groups} groups" if groups else "has no group"
            raise ValueError(
                rf"regexp: '{self.regexp}' {found}; put the value into one, such as {self.name}: (\S+), and write"
                " (?:...) for others"
            )
        if groups == 1 and not self._named(self.regexp)[1]:
            raise ValueError(
                f"regexp: '{self.regexp}' lacks the name '{self.name}' before its group, and Katib looks for it in the"
                " line; give the metric the name that the trainer prints"
            )
        return self

    def _named(self, regexp: str) -> tuple[str, str, str]:
        """Returns what precedes the name in a regexp of one group, the name and the rest; no name if it lacks it."""
        for name in (self.name, _literal(self.name)):
            before, found, after = regexp.partition(name)
            if found and "(" not in before.replace("(?", "").replace(r"\(", ""):
                return before, name, after
        return regexp, "", ""


def _literal(name: str) -> str:
    return name.replace(".", r"\.")


def likely_regexp(name: str, lines: Sequence[str]) -> str | None:
    """Returns a `regexp` that reads the metric where its name and a number stand in a line, but not as NAME=VALUE."""
    stands = re.compile(rf"(?<![\w./-]){re.escape(name)}([^\w\n]{{1,12}}?){_NUMBER}")
    match = next(filter(None, map(stands.search, reversed(lines))), None)
    if match is None:
        return None
    between = re.sub(r"(?:\\ )+", r"\\s+", re.escape(match[1]))
    begin = r"(?:^|[^\w./-])" if re.search(rf"[\w./-]{re.escape(name)}", match.string) else ""
    return rf"{begin}{_literal(name)}{between}([-+]?[\d.]+(?:[eE][-+]?\d+)?)"


def likely_names(lines: Sequence[str]) -> list[str]:
    """Returns the names of what lines say as NAME=VALUE or NAME: VALUE; at most `MOST_NAMES`."""
    found = re.findall(rf"([A-Za-z][\w./-]*)['\"]?\s*[=:]\s*{_NUMBER}", "\n".join(lines))
    return list(dict.fromkeys(found))[:MOST_NAMES]


def placeholders(command: Sequence[str]) -> list[str]:
    """Returns the names of the placeholders of a command, in their order."""
    return list(dict.fromkeys(name for word in command for name in _PLACEHOLDER.findall(word)))


def filled(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Returns the words of a command with the value of each placeholder."""
    return [_PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in command]


def found_in(command: Sequence[str], words: Sequence[str], values: Mapping[str, str]) -> dict[str, str] | None:
    """Returns what the placeholders without a value have in the `words` of a trial; None if those are another command.

    `values` are what the others take.
    """
    found: dict[str, str] = {}
    if len(command) != len(words):
        return None
    for template, word in zip(command, words, strict=True):
        free = [name for name in _PLACEHOLDER.findall(template) if name not in values]
        parts = _PLACEHOLDER.split(template)
        # Every second part is the name of a placeholder.
        pattern = "".join(
            re.escape(part) if place % 2 == 0 else re.escape(values[part]) if part in values else "(.*)"
            for place, part in enumerate(parts)
        )
        match = re.fullmatch(pattern, word)
        if match is None:
            return None
        for name, text in zip(free, match.groups(), strict=True):
            if found.setdefault(name, text) != text:
                return None
    return found


def command_problems(
    command: Sequence[str], search: Collection[str], fixed: Mapping[str, object], field: str | None = None
) -> Iterator[str]:
    """Yields what is wrong between a command and the settings of its spec; `field` is that of its next phase."""
    if SEED in search:
        yield "search.seed: a seed is luck and no setting; fix it, and confirm the best with other seeds"
    for section, names in (("search", search), ("fixed", fixed)):
        for name in names:
            if name in BUILT_IN and name != SEED:
                yield f"{section}.{name}: {{{name}}} takes {BUILT_IN[name]}; give the setting another name"
    used = placeholders(command)
    for name in used:
        if name not in (*search, *fixed, *BUILT_IN):
            yield f"command: {{{name}}} has no range under search: {nearest(name, [*search, *fixed, *BUILT_IN])}"
    for section, names in (("search", search), ("fixed", fixed)):
        for name in names:
            if name not in used:
                yield f"{section}.{name}: no placeholder of the command takes it; write {{{name}}} there, or remove it"
    for name, value in fixed.items():
        if isinstance(value, list):
            yield f"fixed.{name}: is a list, and a placeholder takes one word"
    if field is not None and (field not in used or field in BUILT_IN):
        settings = [name for name in used if name not in BUILT_IN]
        yield f"next_phase.field '{field}': no placeholder of the command takes it: {nearest(field, settings)}"
    if field is not None and SEED not in used:
        yield "next_phase: the command has no {seed}, and architectures are compared over several seeds"
    seed = fixed.get(SEED, FIRST_SEED)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        yield "fixed.seed: must be a whole number of at least 0"
