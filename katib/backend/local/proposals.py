"""What the sampler is told of a local search's trials, and how a trial that it proposes is named."""

import secrets

from katib.backend.local.record import Trial
from katib.search.history import OUTCOMES, Observation

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Of which Kubernetes makes the eight letters at the end of a trial's name (apimachinery, util/rand)."""


def observation(trial: Trial, strategy: str) -> Observation:
    """Returns a trial as the sampler sees it."""
    return Observation(trial.assignments, OUTCOMES[trial.state], trial.value(strategy), trial.values)


def trial_name(experiment: str) -> str:
    """Returns a name as Katib makes it."""
    return f"{experiment}-{''.join(secrets.choice(NAME_LETTERS) for _ in range(8))}"
