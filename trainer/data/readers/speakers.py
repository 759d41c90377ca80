"""Who speaks in each mixture, where the corpus names its speakers: in columns of its CSV, or in its files' names."""

import re

from trainer.data.mixing import MIX
from trainer.data.readers.listing import Listing
from trainer.data.readers.table import read_table

COLUMN = re.compile(r"(?:speaker|source|spk)_?([12])_?(?:id|name)?", re.IGNORECASE)
"""Columns such as speaker_1_ID and speaker1Id; speaker1File names a file."""
NAMES = (
    re.compile(r"(\d+)-\d+-\d+_(\d+)-\d+-\d+\.wav"),
    re.compile(r"(\w{3})\w{5}_-?[\d.]+_(\w{3})\w{5}_-?[\d.]+\.wav"),
)
"""LibriMix's names, with speaker, chapter and utterance of LibriSpeech for either speaker; those of wsj0-2mix and
WHAM!, where an utterance begins with its speaker and is followed by its level."""


def speakers(listing: Listing) -> list[tuple[str, str]]:
    """Returns the names of the two speakers of each mixture, empty where one is not named; an empty list where none is.

    Raises DataError where the CSV can no longer be read.
    """
    if listing.source.is_file():
        rows = [row for _, row in read_table(listing.source, [])]
        found = {match[1]: column for column in rows[0] if (match := COLUMN.fullmatch(column))}
        if len(found) == 2:
            return [(row[found["1"]], row[found["2"]]) for row in rows]
    matches = [next(filter(None, (names.fullmatch(name) for names in NAMES)), None) for name in listing.names[MIX]]
    named = [(match[1], match[2]) if match else ("", "") for match in matches]
    return named if any(map(any, named)) else []
