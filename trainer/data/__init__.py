"""Speech corpora: what a training reads, and how corpora are made.

mixing.py has the rules for the variants of a mixture, curriculum.py the variants of an epoch, and sampling.py draws the
excerpts of an epoch. pack.py packs a corpus into one file per subset. readers/ reads corpora in three formats,
corpus/ builds one from recordings or synthetic voices, and audit/ checks the sound of a whole one.
"""
