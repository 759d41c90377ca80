"""Reads Katib's requests: the search, the observations of its trials, and the rule that may stop them.

All messages are read here and checked on the way: a request comes from Katib's controller, which checks little of the
manifest, and through a port that anybody in the namespace can reach. What cannot be read raises RequestError; a result
that is not a number makes a trial without result, because an error there would block the search for good.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from katib.errors import SepsweepError
from katib.manifest.search import Algorithm, Distribution, Parameter, ParameterType, Search
from katib.metrics import rankable
from katib.search.history import OUTCOMES, Observation, Outcome
from katib.services.objects import TrialObject
from katib.services.stubs import Message, pb
from katib.services.turns import TooMuchError
from katib.trial import CONDITIONS, Direction, state_of

MOST_PARAMETERS = 200
MOST_TRIALS = 5_000
"""The trials of one search: Katib keeps their proposals in one object, which Kubernetes limits to about so many."""
LONGEST_VALUE, LONGEST_SETTING = 1_000, 100_000
"""The characters of a name or a value, and of a setting such as first_suggestions."""
MOST_VALUES = 100_000
"""The values of all trials, requested ones included: a proposal compares points with each of them."""
MOST_REQUESTED = 1_000
"""The proposals of one request: Katib waits 60 s for them (suggestionclient.go)."""

_TYPES: Mapping[int, ParameterType] = {
    pb.DOUBLE: "double",
    pb.INT: "int",
    pb.DISCRETE: "discrete",
    pb.CATEGORICAL: "categorical",
}
_DISTRIBUTIONS: Mapping[int, Distribution] = {
    # Katib's webhook writes uniform where a manifest names none (experiment_defaults.go).
    pb.DISTRIBUTION_UNSPECIFIED: "uniform",
    pb.UNIFORM: "uniform",
    pb.LOG_UNIFORM: "logUniform",
    pb.NORMAL: "normal",
    pb.LOG_NORMAL: "logNormal",
}
_CONDITIONS = pb.TrialStatus.TrialConditionType
_OUTCOMES: Mapping[int, Outcome] = {
    _CONDITIONS.Value(condition.upper()): OUTCOMES[state] for condition, state in CONDITIONS.items()
}
"""The outcome of a trial by its condition; any other condition is that of a running trial."""


class RequestError(SepsweepError):
    """A request that Katib's controller would not send for a sound manifest."""


def search_of(message: Message) -> Search:
    """Returns the search of an `Experiment` message. Raises RequestError where it cannot be read."""
    spec = message.spec
    metric, direction = objective(spec.objective)
    return Search(
        name=message.name,
        metric=metric,
        direction=direction,
        parameters=parameters(spec.parameter_specs.parameters),
        algorithm=algorithm(spec.algorithm),
        early_stopping=algorithm(spec.early_stopping) if spec.HasField("early_stopping") else None,
        max_trials=spec.max_trial_count or None,
        parallel_trials=spec.parallel_trial_count,
    )


def objective(message: Message) -> tuple[str, Direction]:
    """Returns the objective's metric and its direction."""
    if not message.objective_metric_name:
        raise RequestError("objective: objectiveMetricName is missing")
    if message.type not in (pb.MINIMIZE, pb.MAXIMIZE):
        raise RequestError("objective: type is neither minimize nor maximize")
    return message.objective_metric_name, Direction.of(message.type == pb.MAXIMIZE)


def algorithm(message: Message) -> Algorithm:
    """Returns an algorithm or an early-stopping rule with its settings."""
    settings = {setting.name: setting.value for setting in message.algorithm_settings}
    for name, value in settings.items():
        _require_short(f"{message.algorithm_name[:100]}: a setting", name)
        _require_short(f"{message.algorithm_name[:100]}: {name}", value, LONGEST_SETTING)
    if len(settings) < len(message.algorithm_settings):
        raise RequestError(f"{message.algorithm_name}: a setting is given twice")
    return Algorithm(message.algorithm_name, settings)


def parameters(messages: Sequence[Message]) -> tuple[Parameter, ...]:
    """Returns the parameters of the search."""
    listed = tuple(_parameter(message) for message in messages)
    names = [parameter.name for parameter in listed]
    if not listed:
        raise RequestError("parameters: there is none, so there is nothing to search")
    if len(listed) > MOST_PARAMETERS:
        raise RequestError(f"parameters: {len(listed)}, and {MOST_PARAMETERS} can be searched")
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise RequestError(f"parameters: two are called '{doubled}'")
    return listed


def requested(message: Message) -> int:
    """Returns how many assignments a GetSuggestions request asks for."""
    count = int(message.current_request_number)
    if not 1 <= count <= MOST_REQUESTED:
        raise RequestError(f"{count} assignments are asked for; 1 to {MOST_REQUESTED} can be given at once")
    return count


def history(message: Message, search: Search, curves: Mapping[str, Sequence[float]]) -> list[Observation]:
    """Returns the trials of a GetSuggestions request.

    `curves` are the values by step, of each trial for which they are known.
    """
    total, names = message.total_request_number, {parameter.name for parameter in search.parameters}
    _require_feasible(len(message.trials), message.current_request_number, len(names))
    if 0 < total < len(message.trials):
        # Katib lists trials without a namespace (suggestion_controller.go), so those of a namesake come along.
        raise RequestError(
            f"{len(message.trials)} trials, and only {total} were asked for: experiment '{search.name}' has a namesake"
            " in another namespace, whose trials Katib mixes in; let this service list trials"
            " (k8s/base/services-rbac.yaml), or give one of them another name"
        )
    observations = []
    for trial in message.trials:
        values = assignments(trial)
        for text in (trial.name, *values, *values.values()):
            _require_short(f"trial '{trial.name[:100]}': a name or a value", text)
        if values.keys() != names:
            raise RequestError(
                f"trial '{trial.name}' has the parameters {', '.join(sorted(values)) or 'none'}, not those of the"
                f" experiment '{search.name}': is there a namesake in another namespace? Give one of them another name"
            )
        outcome = _OUTCOMES.get(trial.status.condition, "running")
        value = _value(trial.status.observation, search)
        observations.append(_observation(values, outcome, value, curves.get(trial.name, ())))
    return observations


def assignments(trial: Message) -> dict[str, str]:
    """Returns the values of a trial's parameters."""
    return {item.name: item.value for item in trial.spec.parameter_assignments.assignments}


def earlier(trial: TrialObject, search: Search) -> Observation:
    """Returns a trial of an earlier search as `search` sees it."""
    value = trial.best(search.metric, search.direction)
    return _observation(trial.assignments, OUTCOMES[state_of(trial.states)], value)


def curves_needed(message: Message) -> list[str]:
    """Returns the trials whose curves matter: the stopped and the completed ones, if any trial was stopped early.

    The value that a stopped trial would have reached is estimated from those that continued from where it was.
    """
    outcomes = {trial.name: _OUTCOMES.get(trial.status.condition) for trial in message.trials}
    if "stopped" not in outcomes.values():
        return []
    return [name for name, outcome in outcomes.items() if outcome in ("stopped", "completed")]


def _observation(
    assignments: Mapping[str, str], outcome: Outcome, value: float | None, curve: Sequence[float] = ()
) -> Observation:
    """Returns a trial as an algorithm sees it: one that has ended without a value has failed."""
    if outcome in ("running", "failed"):
        return Observation(assignments, outcome)
    return Observation(assignments, "failed" if value is None else outcome, value, curve)


def _value(observation: Message, search: Search) -> float | None:
    texts = (metric.value for metric in observation.metrics if metric.name == search.metric)
    return search.direction.best(value for value in map(rankable, texts) if value is not None)


def _parameter(message: Message) -> Parameter:
    if not message.name:
        raise RequestError("parameters: one has no name")
    for text in (
        message.name,
        message.feasible_space.min,
        message.feasible_space.max,
        message.feasible_space.step,
    ):
        _require_short(f"parameter '{message.name[:100]}'", text)
    for text in message.feasible_space.list:
        _require_short(f"parameter '{message.name[:100]}'", text)
    where, space = f"parameter '{message.name}'", message.feasible_space
    if message.parameter_type not in _TYPES:
        raise RequestError(f"{where}: parameterType is unknown; valid: {', '.join(sorted(_TYPES.values()))}")
    if space.distribution not in _DISTRIBUTIONS:
        valid = ", ".join(sorted(set(_DISTRIBUTIONS.values())))
        raise RequestError(f"{where}: distribution is unknown; valid: {valid}")
    kind, values = _TYPES[message.parameter_type], tuple(space.list)
    if kind in ("double", "int"):
        for key in ("min", "max"):
            _require_number(f"{where}: feasibleSpace: {key}", getattr(space, key))
        if space.step:
            _require_number(f"{where}: feasibleSpace: step", space.step)
    elif not values:
        raise RequestError(f"{where}: feasibleSpace: list is empty")
    elif len(set(values)) < len(values):
        raise RequestError(f"{where}: feasibleSpace: list has a value twice")
    return Parameter(
        name=message.name,
        type=kind,
        min=space.min or None,
        max=space.max or None,
        step=space.step or None,
        values=values,
        distribution=_DISTRIBUTIONS[space.distribution],
    )


def _require_feasible(trials: int, count: int, parameters: int) -> None:
    """Raises TooMuchError for more trials than can be considered within the minute that Katib waits."""
    if trials > MOST_TRIALS:
        raise TooMuchError(f"{trials} trials; a search can have {MOST_TRIALS}")
    if (trials + count) * parameters > MOST_VALUES and trials + count > MOST_REQUESTED:
        raise TooMuchError(
            f"{trials + count} trials of {parameters} parameters each; with so many parameters a search can have"
            f" {max(MOST_REQUESTED, MOST_VALUES // parameters)} trials"
        )


def _require_short(where: str, text: str, longest: int = LONGEST_VALUE) -> None:
    if len(text) > longest:
        raise TooMuchError(f"{where} has {len(text)} characters; it can have {longest}")


def _require_number(where: str, text: str) -> None:
    """Raises RequestError for a text that is not a number, or one such as 1e400 or 1e-400 that a float cannot hold."""
    try:
        exact, near = Decimal(text), float(text)
    except (InvalidOperation, ValueError):
        raise RequestError(f"{where} '{text[:50]}' is not a number") from None
    if not math.isfinite(near) or (near == 0) != (exact == 0):
        raise RequestError(f"{where} '{text[:50]}' is not a number that can be computed with")
