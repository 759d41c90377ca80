"""What the trials of a search show: the best configurations, the noise of seeds, and the verdict."""
