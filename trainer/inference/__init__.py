"""Uses a trained model: evaluates it on a corpus, and separates recordings."""
