"""Leaves out of Katib's requests what belongs to an experiment of the same name in another namespace.

Katib lists the trials of a request by their labels alone (suggestion_controller.go), so those of a namesake come along,
and nothing in a request says whose a trial is. The API server does: it lists the trials of the service's own namespace.
"""

import logging
from collections.abc import Sequence

from katib.services.kubernetes_api import KubernetesApi
from katib.services.stubs import Message
from katib.tree import Tree, items_at, text_at

log = logging.getLogger("sepsweep")


def own_trials(trials: Sequence[Message], experiment: str, api: KubernetesApi) -> list[Message]:
    """Returns the `trials` of a request that the API server has in this namespace, in their order.

    Of two trials with one name that one counts whose parameters are those that the API server has. Raises ClusterError
    where it does not say.
    """
    if not trials:
        return []
    there = {text_at(trial, "metadata", "name"): _assignments(trial) for trial in api.trials(experiment)}
    own: dict[str, Message] = {}
    for trial in trials:
        if trial.name in there and (trial.name not in own or _said(trial) == there[trial.name]):
            own[trial.name] = trial
    if len(own) < len(trials):
        log.info("%s: %d trials of a namesake left out", experiment, len(trials) - len(own))
    return list(own.values())


def _said(trial: Message) -> dict[str, str]:
    return {item.name: item.value for item in trial.spec.parameter_assignments.assignments}


def _assignments(trial: Tree) -> dict[str, str]:
    return {text_at(item, "name"): text_at(item, "value") for item in items_at(trial, "spec", "parameterAssignments")}
