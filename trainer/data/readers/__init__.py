"""Readers of corpora in WAV files or packs, and the checks of their files."""
