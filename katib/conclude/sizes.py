"""How large the architectures of a sweep are, as the trainer's `describe` says: parameters and multiply-adds.

Describing a large model takes a minute, so what was described is kept in a file of the search's folder.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from katib.errors import ResultError
from katib.files import write_whole
from katib.manifest.object import Manifest
from katib.ranges import text_of
from katib.trainer_contract import Flags, program, run_trainer
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


def known_sizes(manifest: Manifest, field: str, values: Sequence[str], kept: Path) -> tuple[list[Size | None], str]:
    """Returns the sizes as `sizes` does, or None for each and the reason where the trainer cannot tell them.

    Raises FolderError where the file `kept` cannot be written.
    """
    try:
        return [*sizes(manifest, field, values, kept)], ""
    except ResultError as error:
        return [None] * len(values), str(error)


def sizes(manifest: Manifest, field: str, values: Sequence[str], kept: Path) -> list[Size]:
    """Returns the size of each variant, and of the search's own architecture where a value is empty.

    Sizes that are known already are read from the file `kept`, and new ones are added to it. Raises ResultError where
    the trainer cannot describe one, FolderError where the file cannot be written.
    """
    known = _kept(kept)
    own = " ".join(described_words(manifest))
    found = []
    for value in values:
        words = described_words(manifest, field if value else "", value)
        key = " ".join(words)
        if key not in known:
            same = known.get(own)
            known[key] = same if same and same.text(field) == value else describe(words)
            # The file is written after each variant: the next one may take a minute, or fail.
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

    Raises ResultError with the trainer's last line where it fails.
    """
    try:
        answer = run_trainer([*program(), "describe", *words, "--json"], timeout=DESCRIBE_SECONDS)
    except OSError as error:
        raise ResultError(f"parameters and multiply-adds are unknown: trainer describe: {error}") from None
    if answer.code:
        raise ResultError(f"parameters and multiply-adds are unknown: trainer describe: {answer.problem}")
    described = json.loads(answer.output)
    return Size(**{field: described[field] for field in ("parameters", "multiply_adds", "seconds", "configuration")})


def described_words(manifest: Manifest, field: str = "", value: int | str = "") -> list[str]:
    """Returns the arguments of `describe` for the model of a search's trials, with another `value` of a `field`."""
    given = manifest.flags
    words = [
        word
        for flag in (Flags.MODEL, Flags.PRESET, Flags.SEGMENT_SECONDS)
        if flag in given
        for word in (flag, *given[flag])
    ]
    return [*words, *(["--" + field.replace("_", "-"), str(value)] if field else [])]
