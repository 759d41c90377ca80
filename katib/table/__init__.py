"""The trial table of a search: its rows, where they come from, and the formats they are printed in."""
