"""The architecture sweep of a model's next phase: which runs it takes, and what each variant gives for what it costs.

It is an Experiment of its own, `<search>-arch`, of fixed runs: each value of the field that the spec names, with the
best hyperparameters of the search and three seeds. They were found for the architecture of the search, so that a
variant that comes close without a search of its own may come out ahead with one. Called by the verb arch.
"""
