"""`python -m trainer.data.audit --data-dir DIR`: checks the sound of a corpus (also `make corpus-check`)."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from trainer.command_line import read
from trainer.data.audit import speakers, twins
from trainer.data.audit.record import keep
from trainer.data.audit.sounds import SIGNALS, Finding, Sounds, faults
from trainer.data.readers.corpora import SUBSETS, has_files, list_files
from trainer.data.readers.packed import pack_path
from trainer.data.readers.subset import SAMPLE_RATE, Samples
from trainer.data.working import Progress, shown
from trainer.errors import DataError, TrainerError
from trainer.guard import guarded
from trainer.text import count, one_line

SHOWN = 5
"""Findings of a kind that the table shows; --json has all."""
TITLES = {
    "file": "files",
    "silence": "silence",
    "clipping": "clipping",
    "offset": "DC",
    "sum": "stems and mix",
    "mixture": "mixtures twice",
    "speech": "speech twice",
    "speaker": "speakers",
}
"""What is checked, by kind of finding."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Check the sound of a corpus: duplicates, shared speakers, sums of stems, silence, clipping, DC, and files."""

    data_dir: Path
    """Root of the corpus, in PolSESS or LibriMix format, or a folder of packs."""

    json: bool = False
    """Print all findings as JSON instead of a table."""
    records: Path | None = None
    """Folder that keeps the result, under the fingerprint of the corpus."""


def audit(root: Path, progress: Progress = lambda what, done, total: None) -> tuple[dict[str, int], list[Finding]]:
    """Returns the mixtures in each subset of the corpus in `root`, and all findings. Raises DataError."""
    names = [name for name in SUBSETS if has_files(root, name) or pack_path(root, name).exists()]
    if not names:
        # This raises an error that says what may have been meant.
        list_files(root, SUBSETS[0])
    subsets = [Sounds(root, name) for name in names]
    findings: list[Finding] = []
    # Three signals a mixture, numbered through all subsets.
    marks: list[twins.Landmarks] = []
    for sounds in subsets:
        for index in range(len(sounds)):
            progress(f"{sounds.name}: reads the sound", index, len(sounds))
            try:
                mixture = sounds.read(index)
            except DataError as error:
                marks += [np.zeros((0, 2), np.int64)] * len(SIGNALS)
                findings.append(Finding("file", sounds.name, sounds.where(index), one_line(str(error))))
                continue
            marks += twins.landmarks(mixture.signals)
            findings += (Finding(kind, sounds.name, sounds.where(index), what) for kind, what in faults(mixture))
    findings += repeated(subsets, marks)
    findings += speakers.shared(subsets)
    return {sounds.name: len(sounds) for sounds in subsets}, findings


def repeated(subsets: list[Sounds], marks: list[twins.Landmarks]) -> Iterator[Finding]:
    """Yields the mixtures and the speech that occur twice; `marks` has the landmarks of each signal.

    Speech that occurs twice within a subset is a note, because corpora such as LibriMix mix an utterance several times.
    """
    places = [(sounds, index) for sounds in subsets for index in range(len(sounds))]

    @lru_cache(maxsize=256)
    def samples(signal: int) -> Samples:
        sounds, index = places[signal // len(SIGNALS)]
        return sounds.signal(index, signal % len(SIGNALS))

    owners = np.repeat(np.arange(len(marks)), [len(found) for found in marks])
    found = set()
    for one, other, shift in twins.pairs(np.concatenate(marks), owners).tolist():
        (first, channel), (second, twin) = divmod(one, len(SIGNALS)), divmod(other, len(SIGNALS))
        # A mix resembles its loudest speaker.
        if (channel == 0) != (twin == 0) or (one, other) in found:
            continue
        alike = twins.likeness(samples(one), samples(other), shift)
        if alike < twins.ALIKE:
            continue
        found.add((one, other))
        (here, index), (there, earlier) = places[second], places[first]
        kind, note = ("speech" if channel else "mixture"), channel > 0 and here is there and first != second
        what = f"{SIGNALS[twin]} is {SIGNALS[channel]} of {there.where(earlier)}"
        detail = f"{what} ({alike:.3f} alike, shifted by {abs(shift) / SAMPLE_RATE:.3f} s)"
        detail += "" if note else "; keep one of them"
        yield Finding(kind, here.name, here.where(index), detail, note, there.name)


def table(sizes: dict[str, int], findings: list[Finding]) -> str:
    """Returns the findings as lines of text: one for each check, and the first few of its findings."""
    lines = [f"{'check':<16}" + "".join(f"{name:>8}" for name in sizes)]
    lines.append(f"{'mixtures':<16}" + "".join(f"{size:>8}" for size in sizes.values()))
    for kind, title in TITLES.items():
        of_kind = [finding for finding in findings if finding.kind == kind]
        numbers = [sum(finding.subset == name for finding in of_kind) for name in sizes]
        lines.append(f"{title:<16}" + "".join(f"{number or '-':>8}" for number in numbers))
        ordered = sorted(of_kind, key=lambda finding: finding.note)
        lines += [
            f"  {'note: ' * finding.note}{finding.where}: {one_line(finding.detail)}" for finding in ordered[:SHOWN]
        ]
        if len(of_kind) > SHOWN:
            lines.append(f"  and {len(of_kind) - SHOWN} more; --json lists all")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Runs the command line `argv`, without the program's name; returns 1 where something is wrong with the corpus."""
    try:
        request = read(Audit, argv, "python -m trainer.data.audit")
        with shown(errors=True) as progress:
            sizes, findings = audit(request.data_dir, progress)
        if request.records is not None:
            keep(request.records, request.data_dir, sizes, findings)
    except TrainerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    wrong = sum(not finding.note for finding in findings)
    if request.json:
        print(json.dumps({"mixtures": sizes, "wrong": wrong, "findings": [asdict(one) for one in findings]}, indent=2))
    else:
        print(table(sizes, findings))
        print(f"{count(wrong, 'finding')} to mend" if wrong else "nothing is wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
