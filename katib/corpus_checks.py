"""Knows the results of `corpus-check` by the fingerprints of corpora, and says them in one line.

They lie in the runs folder, because a corpus may be read-only: corpus-checks/FINGERPRINT.json, as
trainer/data/audit/record.py writes it, and corpus-checks/copies.json, which says of which folder the corpus on a claim
of a cluster is a copy.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from katib.files import write_whole
from katib.text import count
from katib.untrusted import checked, clean, read_json

FOLDER, COPIES = "corpus-checks", "copies.json"
FINGERPRINT = re.compile(r"v\d+-[0-9a-f]+-[0-9a-f]+")
TOLD = 3
"""Kinds of findings that the line names."""
FINDINGS = {
    "file": ("broken file", ""),
    "silence": ("silent signal", ""),
    "clipping": ("clipped signal", ""),
    "offset": ("signal", " with DC"),
    "sum": ("sum", " of stems unlike the mix"),
    "mixture": ("duplicate", ""),
    "speech": ("duplicate", " of speech"),
    "speaker": ("speaker", ""),
}
"""The words for each kind of finding, before and after its plural."""


@dataclass(frozen=True)
class Found:
    """The findings of a kind within one subset, or across two."""

    kind: str
    subsets: tuple[str, ...]
    count: int

    def __str__(self) -> str:
        noun, more = FINDINGS.get(self.kind, (clean(self.kind), ""))
        where = " and ".join(map(clean, self.subsets))
        return f"{count(self.count, noun)}{more} {'across' if len(self.subsets) > 1 else 'in'} {where}"


@dataclass(frozen=True)
class CorpusCheck:
    """The result of a check."""

    fingerprint: str
    checked: float
    """Unix time in s."""
    data_dir: str
    """Where the corpus lay."""
    mixtures: dict[str, int]
    """Those of each subset."""
    found: tuple[Found, ...]

    def __str__(self) -> str:
        date = datetime.fromtimestamp(self.checked).astimezone()
        told = [str(one) for one in sorted(self.found, key=lambda one: -len(one.subsets))]
        more = len(told) - TOLD
        what = ", ".join(told[:TOLD]) + (f" and {more} more, see make corpus-check" if more > 0 else "")
        return f"corpus checked on {date.day} {date:%B %Y}: {what or 'nothing is wrong'}"


def corpus_line(out: Path, fingerprint: str, data: str = "") -> str:
    """Returns what the check of a corpus found, or the command that checks it; empty where no corpus is known.

    `fingerprint` is that of an Identity. The corpora of other trainers, known by their tables alone, have no check.
    """
    if not FINGERPRINT.fullmatch(fingerprint):
        return ""
    return str(find_check(out, fingerprint) or _unchecked(data))


def copied_line(out: Path, place: str) -> str:
    """Returns the same for the corpus at a `place` of a cluster, by the folder on this machine that it is a copy of."""
    return str(find_copied(out, place) or _unchecked(_copies(out).get(place, "")))


def folder_line(out: Path, data: Path) -> str:
    """Returns the same for the corpus in a folder of this machine, as that was when it was checked last."""
    return str(_find_in(out, str(data.resolve())) or _unchecked(str(data)))


def find_copied(out: Path, place: str) -> CorpusCheck | None:
    """Returns the latest check of the folder that the corpus at `place` is a copy of; None where there is none."""
    return _find_in(out, _copies(out).get(place, ""))


def _find_in(out: Path, data: str) -> CorpusCheck | None:
    """Returns the latest check of the folder `data`; None where there is none."""
    checks = (find_check(out, file.stem) for file in (out / FOLDER).glob("*-*.json"))
    of_folder = [check for check in checks if check and data and check.data_dir == data]
    return max(of_folder, key=lambda check: check.checked, default=None)


def note_copy(out: Path, place: str, data: Path) -> None:
    """Notes that the corpus at `place` is a copy of the folder `data`. Raises FolderError."""
    copies = _copies(out) | {place: str(data.resolve())}
    write_whole(out / FOLDER / COPIES, [json.dumps(copies, indent=2), "\n"])


def find_check(out: Path, fingerprint: str) -> CorpusCheck | None:
    """Returns the check of a corpus; None where there is none, or none that can be read."""
    with suppress(OSError, ValueError):
        check = checked(CorpusCheck, read_json(out / FOLDER / f"{fingerprint}.json"))
        if check.fingerprint == fingerprint and 0 <= check.checked < 1e11:
            return check
    return None


def _copies(out: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        return checked(dict[str, str], read_json(out / FOLDER / COPIES))
    return {}


def _unchecked(data: str) -> str:
    return f"corpus not checked: make corpus-check DATA={clean(data) or '…'}"
