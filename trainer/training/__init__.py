"""Trains one model once: the epoch loop, its checkpoints, and the run directory."""
