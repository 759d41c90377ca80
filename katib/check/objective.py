"""Checks the objective and its metrics, the counts of trials, and the resume policy."""

from collections.abc import Iterator

from katib.check.finding import Defect, error, warning
from katib.check.node import Node
from katib.errors import nearest
from katib.manifest.object import DEFAULT_PARALLEL_TRIALS

REFUSED = "Katib's webhook refuses the Experiment"
TYPES = ("maximize", "minimize")
STRATEGIES = ("min", "max", "latest")
RESUME = ("Never", "LongRunning", "FromVolume")
AGAINST = {"maximize": "min", "minimize": "max"}

REQUIRED = error(
    "required",
    finds="a part without which there is no search: spec, objective, its metric, algorithm, trialTemplate",
    effect=REFUSED,
    fix="add it",
)
TYPE = error(
    "objective-type",
    finds="objective.type is neither maximize nor minimize",
    effect=REFUSED,
    fix="write maximize or minimize",
)
METRIC_NAME = error(
    "metric-name",
    finds="a metric whose name holds ';'",
    effect="Katib joins the names with ';' for its collector, which then looks for two other metrics",
    fix="rename the metric",
)
ADDITIONAL = error(
    "additional-metric",
    finds="additionalMetricNames holds the objective itself",
    effect=REFUSED,
    fix="remove it from additionalMetricNames",
)
STRATEGY = error(
    "metric-strategy",
    finds="a metric strategy that is none of min, max, latest",
    effect="Katib finds no value of the metric, and no trial counts",
    fix="write min, max or latest",
)
STRATEGY_NAME = warning(
    "metric-strategy-name",
    finds="a metric strategy for a metric that is not collected, or a second one for the same metric",
    effect="Katib does not use it",
    fix="name the objective or one of additionalMetricNames, each once",
)
STRATEGY_AGAINST = warning(
    "metric-strategy-against-type",
    finds="the objective is maximised by its min, or minimised by its max",
    effect="each trial is judged by its worst epoch",
    fix="leave the strategy out: it is max for maximize and min for minimize",
)
POSITIVE = error(
    "count",
    finds="maxTrialCount or parallelTrialCount below 1, maxFailedTrialCount below 0",
    effect=REFUSED,
    fix="write a number of at least 1 (maxFailedTrialCount: 0)",
)
EXCEEDS = error(
    "count-exceeds-trials",
    finds="parallelTrialCount (3 where it is missing) or maxFailedTrialCount above maxTrialCount",
    effect=REFUSED,
    fix="lower it to maxTrialCount",
)
NO_FAILURE = warning(
    "no-failure-allowed",
    finds="maxFailedTrialCount is 0",
    effect="the first failed trial ends the whole search",
    fix="allow some failures, say 3",
)
NO_FAILURE_LIMIT = warning(
    "no-failure-limit",
    finds="maxFailedTrialCount is missing",
    effect="a search whose trials all fail runs them all: failed trials count towards maxTrialCount, and Katib calls"
    " its end Succeeded (without maxTrialCount it has no end)",
    fix="add maxFailedTrialCount",
)
NO_TRIAL_LIMIT = warning(
    "no-trial-limit",
    finds="maxTrialCount is missing",
    effect="the search ends only when the goal is reached or the algorithm gives up",
    fix="add maxTrialCount",
)
RESUME_POLICY = error(
    "resume-policy",
    finds="resumePolicy is none of Never, LongRunning, FromVolume",
    effect=REFUSED,
    fix="write Never, LongRunning or FromVolume",
)


def objective(top: Node) -> Iterator[Defect]:
    """Yields the defects of the objective and its metrics."""
    spec = top["spec"]
    if spec.missing:
        yield REQUIRED.at(spec, "is missing")
        return
    node = spec["objective"]
    if node.missing:
        yield REQUIRED.at(node, "is missing")
        return
    direction, metric = node["type"], node["objectiveMetricName"]
    if direction.missing or (direction.text is not None and direction.text not in TYPES):
        hint = nearest(direction.text, TYPES) if direction.text else "is missing"
        yield TYPE.at(direction, f"'{direction.text}': {hint}" if direction.text else hint)
    if metric.empty:
        yield REQUIRED.at(metric, "is missing")
    additional = [item for item in node["additionalMetricNames"].items if item.text]
    for item in [metric, *additional]:
        if ";" in (item.text or ""):
            yield METRIC_NAME.at(item, f"'{item.text}' holds ';'")
    for item in additional:
        if item.text == metric.text:
            yield ADDITIONAL.at(item, f"'{item.text}' is the objective")
    yield from _strategies(node, {metric.text, *(item.text for item in additional)})


def budget(top: Node) -> Iterator[Defect]:
    """Yields the defects of the counts (trials, trials at a time, failures) and of the resume policy."""
    spec = top["spec"]
    if spec.missing:
        return
    trials, parallel, failed = (spec[f"{name}TrialCount"] for name in ("max", "parallel", "maxFailed"))
    for node, least in ((trials, 1), (parallel, 1), (failed, 0)):
        if node.integer is not None and node.integer < least:
            yield POSITIVE.at(node, f"is {node.integer}", fix=f"write a number of at least {least}")
    limit = trials.integer
    if limit is not None and limit > 0:
        at_a_time = DEFAULT_PARALLEL_TRIALS if parallel.missing else parallel.integer
        for node, count in ((parallel, at_a_time), (failed, failed.integer)):
            if count is not None and count > limit:
                by_default = " by default" if node.missing else ""
                yield EXCEEDS.at(node, f"is {count}{by_default}, above maxTrialCount {limit}")
    if failed.integer == 0:
        yield NO_FAILURE.at(failed, "is 0")
    if failed.missing:
        yield NO_FAILURE_LIMIT.at(failed, "is missing")
    if trials.missing:
        yield NO_TRIAL_LIMIT.at(trials, "is missing")
    policy = spec["resumePolicy"]
    if policy.text and policy.text not in RESUME:
        yield RESUME_POLICY.at(policy, f"'{policy.text}': {nearest(policy.text, RESUME)}")


def _strategies(node: Node, metrics: set[str | None]) -> Iterator[Defect]:
    seen = set()
    for strategy in node["metricStrategies"].items:
        name, value = strategy["name"], strategy["value"]
        if value.missing or (value.text is not None and value.text not in STRATEGIES):
            yield STRATEGY.at(value, f"'{value.text or ''}' is no strategy")
        if name.empty:
            yield STRATEGY_NAME.at(name, "is missing")
        elif name.text in seen:
            yield STRATEGY_NAME.at(name, f"metric '{name.text}' stands here a second time")
        elif name.text is not None and name.text not in metrics:
            yield STRATEGY_NAME.at(name, f"metric '{name.text}' is not collected")
        elif name.text == node["objectiveMetricName"].text and value.text == AGAINST.get(node["type"].text or ""):
            yield STRATEGY_AGAINST.at(value, f"is '{value.text}' of a metric to {node['type'].text}")
        seen.add(name.text)
