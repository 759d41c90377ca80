"""Builds a corpus in PolSESS format from recordings or synthetic voices: `python -m trainer.data.corpus`."""
