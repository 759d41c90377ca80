"""`python -m trainer.data.audit`: checks the sound of a whole corpus, not only its headers.

sounds.py reads the mixtures and checks each by itself, twins.py finds the same recording twice, and speakers.py the
same speaker in two subsets; record.py keeps the result.
"""
