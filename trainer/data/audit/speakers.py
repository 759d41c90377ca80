"""Finds speakers that are heard in two subsets, where the corpus names its speakers."""

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

from trainer.data.audit.sounds import Finding, Sounds
from trainer.data.mixing import MIX
from trainer.data.readers.listing import Listing
from trainer.data.readers.table import read_table

COLUMN = re.compile(r"(?:speaker|source|spk)_?[12]_?(?:id|name)?", re.IGNORECASE)
"""Columns such as speaker_1_ID and speaker1Id; speaker1File names a file."""
LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+_(\d+)-\d+-\d+\.wav")
"""LibriMix's names: speaker, chapter and utterance of LibriSpeech, for either speaker."""


def shared(subsets: Iterable[Sounds]) -> Iterator[Finding]:
    """Yields a finding for each speaker of two subsets. Raises DataError where a CSV cannot be read."""
    named = {sounds.name: _speakers(sounds.listing) for sounds in subsets if sounds.listing}
    for one, other in combinations(named, 2):
        for speaker in sorted(named[one] & named[other]):
            yield Finding(
                "speaker", other, f"speaker {speaker}", f"speaks in {one}, too; keep each in one subset", other=one
            )


def _speakers(listing: Listing) -> set[str]:
    """Returns the names of all speakers; empty where neither the CSV nor the names of the files tell them."""
    if listing.source.is_file():
        rows = [row for _, row in read_table(listing.source, [])]
        columns = [column for column in rows[0] if COLUMN.fullmatch(column)]
        if columns:
            return {row[column] for row in rows for column in columns} - {""}
    matches = (LIBRISPEECH.fullmatch(name) for name in listing.names[MIX])
    return {speaker for match in matches if match for speaker in match.groups()}
