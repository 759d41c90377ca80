"""Readers of corpora, and the checks of their files.

corpora.py opens a corpus with the reader that fits: wav.py for WAV files, which polsess.py and librimix.py list, or
packed.py. subset.py is what all readers implement. survey.py and seen.py check every file, but only once.
"""
