"""Keeps the result of a check under the fingerprint of its corpus, so that it is found wherever the corpus lies."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from trainer.data.audit.sounds import Finding
from trainer.data.readers.corpora import SUBSETS, open_corpus
from trainer.data.readers.seen import memory
from trainer.errors import DataError
from trainer.metric_line import say_beside


def keep(folder: Path, root: Path, sizes: Mapping[str, int], findings: Iterable[Finding]) -> None:
    """Writes the record of a check of the corpus in `root` into `folder`, as FINGERPRINT.json.

    Where the corpus has no fingerprint, because no training would read it, or the folder cannot be written, a line on
    stderr says so.
    """
    try:
        fingerprint = open_corpus(root, memory(say_beside)).fingerprint()
        record = {
            "fingerprint": fingerprint,
            "checked": time.time(),
            "data_dir": str(root.resolve()),
            "mixtures": dict(sizes),
            "found": _counted(findings),
        }
        _write(folder / f"{fingerprint}.json", json.dumps(record, indent=2) + "\n")
    except DataError as error:
        say_beside(f"note: this result is not kept, since no training reads this corpus ({error})")
    except OSError as error:
        say_beside(f"note: this result is not kept: {error.filename or folder}: cannot be written ({error.strerror})")


def _counted(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """Returns the number of findings of each kind in the same subsets, notes left out."""
    counted: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for finding in findings:
        where = {finding.subset, finding.other or finding.subset}
        counted[finding.kind, tuple(name for name in SUBSETS if name in where)] += not finding.note
    return [
        {"kind": kind, "subsets": subsets, "count": number} for (kind, subsets), number in counted.items() if number
    ]


def _write(target: Path, text: str) -> None:
    """Replaces a file as a whole. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.with_name(target.name + ".new")
    try:
        # It may be what an interrupted check left, or a link that leads elsewhere.
        building.unlink(missing_ok=True)
        with building.open("x", encoding="utf-8") as file:
            file.write(text)
        building.replace(target)
    finally:
        with suppress(OSError):
            building.unlink(missing_ok=True)
