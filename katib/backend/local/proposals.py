"""Turns the trials of a local search into the sampler's observations, and names the trials that it proposes."""

import secrets

from katib.backend.local.record import Trial
from katib.search.history import OUTCOMES, Observation

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""The characters of the random suffix that Kubernetes appends to a name (apimachinery, util/rand)."""


def observation(trial: Trial, strategy: str) -> Observation:
    """Returns a trial in the form of the sampler."""
    return Observation(trial.assignments, OUTCOMES[trial.state], trial.value(strategy), trial.values)


def trial_name(experiment: str) -> str:
    """Returns a name in Katib's form: the experiment's and eight random characters."""
    return f"{experiment}-{''.join(secrets.choice(NAME_LETTERS) for _ in range(8))}"
