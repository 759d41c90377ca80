"""An Experiment of runs that are fixed beforehand, made from the manifest of the search that they follow from.

Katib draws each parameter on its own, so a handful of whole configurations is one categorical parameter, `run`, whose
values are the runs (`lr=0.0021,weight_decay=1.2e-05,seed=123`), and grid as its algorithm: every run once, on stock
Katib, on our services and on one machine. The trainer takes the word with --set and reads each setting by its own
flag's type. All else is the search's: image, epochs, curriculum, resources, metric filter. What is planned stands in an
annotation of the Experiment, so that whoever finds it knows what it is for. Pure; called by
katib/conclude/confirmation.py and architecture.py.
"""

RUN = "run"
