"""`python -m trainer fingerprint`: the hash by which a run directory recognises a corpus, for those who read none."""

import json

from trainer.data.readers.corpora import open_corpus
from trainer.data.readers.seen import memory
from trainer.metric_line import say_beside
from trainer.requests import Fingerprint


def print_fingerprint(request: Fingerprint) -> int:
    """Prints the fingerprint of the corpus and returns the exit code. Raises DataError as the training does."""
    corpus = open_corpus(request.data_dir, memory(say_beside))
    fingerprint = corpus.fingerprint()
    if not request.json:
        print(fingerprint)
        return 0
    subsets = {"train": corpus.train, "val": corpus.validation}
    mixtures = {name: len(subset.rows) for name, subset in subsets.items()}
    print(json.dumps({"fingerprint": fingerprint, "mixtures": mixtures}))
    return 0
