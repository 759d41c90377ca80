"""The report of an experiment: one HTML file that opens anywhere, without network, and ends in a sentence.

page.py assembles what the other modules say of a trial table: search.py and slices.py draw the search, curves.py the
learning curves with the stop decisions, importance.py what mattered, cost.py what it cost, audio.py what it sounds
like. Called by the verbs report and demo.
"""
