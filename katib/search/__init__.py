"""Decides what a search tries next and which trials it stops, by pure functions of the trials so far."""
