"""`python -m trainer.data.corpus`: builds a corpus in PolSESS format from recordings or synthetic voices.

build.py makes and writes the mixtures; the speech is from recordings.py or voices.py, and sounds.py makes the scenes,
events and rooms around it.
"""
