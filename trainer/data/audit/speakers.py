"""Finds speakers that are heard in two subsets, where the corpus names its speakers."""

from collections.abc import Iterable, Iterator
from itertools import combinations

from trainer.data.audit.sounds import Finding, Sounds
from trainer.data.readers.speakers import speakers


def shared(subsets: Iterable[Sounds]) -> Iterator[Finding]:
    """Yields a finding for each speaker of two subsets. Raises DataError where a CSV cannot be read."""
    listings = {sounds.name: sounds.listing for sounds in subsets if sounds.listing}
    named = {name: {one for pair in speakers(listing) for one in pair} - {""} for name, listing in listings.items()}
    for one, other in combinations(named, 2):
        for speaker in sorted(named[one] & named[other]):
            yield Finding(
                "speaker", other, f"speaker {speaker}", f"speaks in {one}, too; keep each in one subset", other=one
            )
