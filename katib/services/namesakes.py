"""Leaves out of Katib's requests what belongs to an experiment of the same name in another namespace.

Katib lists the trials of a request by their labels alone (suggestion_controller.go), so those of a namesake come along,
and nothing in a request says whose a trial is. The API server does: it lists the trials of the service's own namespace.
"""

import logging
from collections.abc import Sequence
from typing import Any

from katib.services.kubernetes_api import KubernetesApi

log = logging.getLogger("sepsweep")


def own_trials(trials: Sequence[Any], experiment: str, api: KubernetesApi) -> list[Any]:
    """Returns the `trials` of a request that the API server has in this namespace, in their order.

    Of two trials with one name that one counts whose parameters are those that the API server has. Raises ClusterError
    where it does not say.
    """
    if not trials:
        return []
    there = {found["metadata"]["name"]: _assignments(found) for found in api.trials(experiment)}
    own: dict[str, Any] = {}
    for trial in trials:
        if trial.name in there and (trial.name not in own or _said(trial) == there[trial.name]):
            own[trial.name] = trial
    if len(own) < len(trials):
        log.info("%s: %d trials of a namesake left out", experiment, len(trials) - len(own))
    return list(own.values())


def _said(trial: Any) -> dict[str, str]:
    return {item.name: item.value for item in trial.spec.parameter_assignments.assignments}


def _assignments(found: Any) -> dict[str, str]:
    listed = (found.get("spec") or {}).get("parameterAssignments") or []
    return {item["name"]: item["value"] for item in listed}
