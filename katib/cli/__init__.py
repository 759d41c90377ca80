"""The verbs of `python -m katib VERB`, one file each; katib/__main__.py imports only the one that is called."""
