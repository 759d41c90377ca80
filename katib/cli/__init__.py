"""The verbs of `python -m katib VERB`, one file each; only the one that is called is imported."""
