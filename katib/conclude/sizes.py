"""How large the architectures of a sweep are, as the trainer's `describe` says: parameters and multiply-adds.

Describing a model takes seconds, or with a model of one's own a training step, so what was described is kept in a file
of the search's folder.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from katib.errors import ResultError
from katib.files import write_whole
from katib.manifest.object import Manifest
from katib.ranges import text_of
from katib.trainer_contract import Exit, Flags, program, run_trainer
from katib.trainer_flags import fields_in, flag_of
from katib.untrusted import checked, read_json

DESCRIBE_SECONDS = 600
SIZES = "sizes.json"
"""In the search's folder: the sizes that are known."""


@dataclass(frozen=True)
class Size:
    """What the trainer's `describe` says of one architecture."""

    parameters: int
    multiply_adds: int
    """Of one forward pass over `seconds` of audio."""
    seconds: float
    configuration: Mapping[str, object]

    def text(self, field: str) -> str | None:
        """Returns the value of a field of the architecture as the word of a command; None without such a field."""
        value = self.configuration.get(field)
        return text_of(value) if isinstance(value, bool | int | float | str) else None


class ArchitectureError(ResultError):
    """The trainer does not take an architecture."""

    exit_code = 2


def known_sizes(
    manifest: Manifest, configurations: Sequence[Mapping[str, str]], kept: Path
) -> tuple[list[Size | None], str]:
    """Returns the sizes as `sizes` does, or None for each and the reason where the trainer cannot tell them.

    Raises FolderError where the file `kept` cannot be written.
    """
    try:
        return [*sizes(manifest, configurations, kept)], ""
    except ResultError as error:
        return [None] * len(configurations), str(error)


def sizes(manifest: Manifest, configurations: Sequence[Mapping[str, str]], kept: Path) -> list[Size]:
    """Returns the size of the architecture that each of the `configurations` of a search has.

    Sizes that are known already are read from the file `kept`, and new ones are added to it. Raises ResultError where
    the trainer cannot describe one, ArchitectureError where it does not take it, FolderError where the file cannot be
    written.
    """
    known = _kept(kept)
    of_preset = known.get(" ".join(_preset(manifest)))
    found = []
    for configuration in configurations:
        fields = _fields(manifest, configuration)
        words = described_words(manifest, configuration)
        key = " ".join(words)
        if key not in known:
            same = of_preset and all(of_preset.text(name) == text for name, text in fields.items())
            known[key] = of_preset if of_preset and same else describe(words)
            # The file is written after each variant: the next one may take long, or fail.
            write_whole(kept, [json.dumps({name: asdict(size) for name, size in known.items()}, indent=2)])
        found.append(known[key])
    return found


def _kept(path: Path) -> dict[str, Size]:
    try:
        return {key: checked(Size, value) for key, value in read_json(path).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def describe(words: Sequence[str]) -> Size:
    """Returns the size of the model that the arguments `words` of `trainer describe` name.

    Raises ArchitectureError or ResultError with the trainer's last line where it fails.
    """
    try:
        answer = run_trainer([*program(), "describe", *words, "--json"], timeout=DESCRIBE_SECONDS)
    except OSError as error:
        raise ResultError(f"parameters and multiply-adds are unknown: trainer describe: {error}") from None
    if answer.code == Exit.BAD_INPUT:
        raise ArchitectureError(answer.problem)
    if answer.code:
        raise ResultError(f"parameters and multiply-adds are unknown: trainer describe: {answer.problem}")
    described = json.loads(answer.output)
    return Size(**{field: described[field] for field in ("parameters", "multiply_adds", "seconds", "configuration")})


def described_words(manifest: Manifest, configuration: Mapping[str, str]) -> list[str]:
    """Returns the arguments of `describe` for the model that trials of a search train with a `configuration`."""
    fields = _fields(manifest, configuration)
    return [*_preset(manifest), *(word for name, text in fields.items() for word in (flag_of(name), text))]


def _preset(manifest: Manifest) -> list[str]:
    given = manifest.flags
    flags = [flag for flag in (Flags.MODEL, Flags.PRESET, Flags.SEGMENT_SECONDS) if flag in given]
    return [word for flag in flags for word in (flag, *given[flag])]


def _fields(manifest: Manifest, configuration: Mapping[str, str]) -> dict[str, str]:
    """Returns the fields of the model's config that the search fixes or the configuration has."""
    return fields_in({**manifest.flags, **{flag_of(name): [text] for name, text in configuration.items()}})
