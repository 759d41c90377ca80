"""Speech corpora: reading them, mixing variants of their mixtures, which variants an epoch trains on, and building
them.
"""
