"""The trial table of an experiment and what is read off it."""
