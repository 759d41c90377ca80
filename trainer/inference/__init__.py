"""Uses a trained model: separator.py loads it, evaluate.py scores it on a corpus, separate.py separates recordings."""
