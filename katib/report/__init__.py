"""Writes the report of an experiment: one HTML file that works offline and ends in a conclusion.

`page` assembles what the other modules say about a trial table: `search` and `slices` draw the search, `curves` the
learning curves with the stop decisions, `importance` shows which settings mattered, `cost` what the search cost, and
`audio` what it sounds like.
"""
