"""`python -m trainer fingerprint`: what a run directory knows a corpus by, so that others need not read corpora."""

import json
import sys

from trainer.data.readers.corpora import open_corpus
from trainer.data.readers.seen import memory
from trainer.requests import Fingerprint


def fingerprint(request: Fingerprint) -> int:
    """Prints the fingerprint of the corpus and returns the exit code. Raises DataError as the training does."""
    corpus = open_corpus(request.data_dir, memory(_say))
    found = corpus.fingerprint()
    if not request.json:
        print(found)
        return 0
    subsets = {"train": corpus.train, "val": corpus.validation}
    mixtures = {name: len(subset.rows) for name, subset in subsets.items()}
    print(json.dumps({"fingerprint": found, "mixtures": mixtures}))
    return 0


def _say(line: str) -> None:
    """Not where the fingerprint is read."""
    print(line, file=sys.stderr, flush=True)
