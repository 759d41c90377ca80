"""Finds speakers that are heard in two subsets, where the corpus names its speakers."""

from collections.abc import Iterable, Iterator
from itertools import combinations

from trainer.data.audit.sounds import Finding, Sounds
from trainer.data.readers.speakers import speakers
from trainer.text import count


def shared(subsets: Iterable[Sounds]) -> Iterator[Finding]:
    """Yields a finding for each speaker of two subsets. Raises DataError where a CSV cannot be read.

    So few people that each subset cannot have two of its own are one note for each two subsets.
    """
    listings = {sounds.name: sounds.listing for sounds in subsets if sounds.listing}
    named = {name: {one for pair in speakers(listing) for one in pair} - {""} for name, listing in listings.items()}
    people, least = len(set().union(*named.values())), 2 * len(named)
    for one, other in combinations(named, 2):
        both = sorted(named[one] & named[other])
        if both and people < least:
            what = f"speak in {one}, too; it takes {least} to keep them apart, so {other} says nothing of other voices"
            yield Finding("speaker", other, f"{len(both)} of {count(people, 'speaker')}", what, note=True, other=one)
            continue
        for speaker in both:
            yield Finding(
                "speaker", other, f"speaker {speaker}", f"speaks in {one}, too; keep each in one subset", other=one
            )
