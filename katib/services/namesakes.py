"""Removes from Katib's requests the trials of an experiment of the same name in another namespace.

Katib lists the trials of a request by their labels alone (suggestion_controller.go), so those of a namesake come along,
and nothing in a request says to which experiment a trial belongs. The API server does: it lists the trials of the
service's own namespace.
"""

import logging
from collections.abc import Sequence

from katib.services.kubernetes_api import KubernetesApi
from katib.services.requests import assignments
from katib.services.stubs import Message

log = logging.getLogger("sepsweep")


def own_trials(trials: Sequence[Message], experiment: str, api: KubernetesApi) -> list[Message]:
    """Returns the `trials` of a request that the API server has in this namespace, in their order.

    Of two trials with one name, the one counts whose parameters are those that the API server has. Raises ClusterError
    where the API server does not answer.
    """
    if not trials:
        return []
    listed = {trial.name: trial.assignments for trial in api.trials(experiment)}
    own: dict[str, Message] = {}
    for trial in trials:
        if trial.name in listed and (trial.name not in own or assignments(trial) == listed[trial.name]):
            own[trial.name] = trial
    if len(own) < len(trials):
        log.info("%s: %d trials of a namesake left out", experiment, len(trials) - len(own))
    return list(own.values())
