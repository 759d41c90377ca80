"""The algorithm and the early stopper: whether Katib has them, their settings, and what they make of the search space.

Settings are checked by the service itself once it runs, long after admission. Called by `check_text`.
"""

import math
from collections.abc import Generator, Iterator, Mapping

from katib.check.finding import Finding, error, warning
from katib.check.node import Node, named
from katib.check.objective import REQUIRED
from katib.check.parameters import number
from katib.check.services import ALL, EARLY_STOPPING, OUR_EARLY_STOPPING, OURS, SERVICES, Service
from katib.errors import nearest

SERVICE_REFUSES = "the algorithm's service refuses it: the Experiment fails before its first trial"
DEFAULT_INITIAL_POINTS = 10  # skopt/service.py
DECADE = 10.0

UNKNOWN = error(
    "unknown-algorithm",
    finds="an algorithm or early stopper that stock Katib does not have",
    effect="Katib's webhook finds it not in katib-config and refuses the Experiment",
    mend="choose one that Katib has, or add yours to katib-config",
)
SETTING = error(
    "setting-unknown",
    finds="a setting that the algorithm does not take",
    effect=SERVICE_REFUSES,
    mend="remove the setting, or correct its name",
)
SETTING_IGNORED = warning(
    "setting-ignored",
    finds="a setting that the algorithm does not know and ignores, or one given twice",
    effect="it is ignored; of two the last one counts",
    mend="remove the setting, or correct its name",
)
OURS_ALONE = warning(
    "setting-ours",
    finds="a setting or an early stopper that Sepsweep's services and the search on this machine take, and stock Katib does not",
    effect="with stock services the Experiment fails before its first trial (goptuna: the setting is ignored)",
    mend="see which services the cluster has, or leave it out",
)
SETTING_VALUE = error(
    "setting-value",
    finds="a setting with a value that the algorithm does not take",
    effect=SERVICE_REFUSES,
    mend="correct the value",
)
SETTING_MISSING = error(
    "setting-missing",
    finds="a setting without which the algorithm does not run, or a step that it needs",
    effect=SERVICE_REFUSES,
    mend="add it",
)
IGNORED = warning(
    "distribution-ignored",
    finds="a distribution that the algorithm does not follow, where this changes much (a range beyond one decade)",
    effect="the values are drawn from another distribution",
    mend="write the distribution that the algorithm has, or choose an algorithm that follows yours",
)
UNSUPPORTED = error(
    "distribution-unsupported",
    finds="a distribution for which the algorithm has no code",
    effect="the parameter gets no value, and no trial can be created",
    mend="choose uniform or logUniform",
)
STEP_IGNORED = warning(
    "step-ignored",
    finds="a step that the algorithm does not follow",
    effect="values between the steps are tried",
    mend="remove step, or use discrete",
)
LEAVES = warning(
    "distribution-leaves-range",
    finds="normal or logNormal with hyperopt (random, tpe), for which min and max are six deviations apart",
    effect="3 of 1000 values lie outside min and max",
    mend="let the trainer clip the value, or choose uniform or logUniform",
)
ABOVE_ZERO = error(
    "min-not-above-zero",
    finds="a double with min of 0 or below under bayesianoptimization",
    effect="it samples every double log-uniformly: its service fails at every call, and no trial starts",
    mend="raise min above 0, or search the logarithm or an offset",
)
DIMENSIONS = error(
    "too-few-dimensions",
    finds="fewer double and int parameters than the algorithm needs (cmaes: 2)",
    effect=SERVICE_REFUSES,
    mend="search another number, or choose another algorithm",
)
ALL_RANDOM = warning(
    "all-random",
    finds="bayesianoptimization with n_initial_points (10 where it is missing) of maxTrialCount or more",
    effect="every trial is drawn at random; the model of the results is never used",
    mend="set n_initial_points to about a fifth of maxTrialCount",
)
GRID = error(
    "grid-too-small",
    finds="grid without maxTrialCount, or with more trials than points",
    effect=SERVICE_REFUSES,
    mend="set maxTrialCount to the number of points",
)
NEVER_STOPS = warning(
    "never-stops",
    finds="medianstop that waits for as many trials as there are",
    effect="no trial is ever stopped early",
    mend="lower min_trials_required (3 where it is missing)",
)
HYPERBAND = error(
    "hyperband",
    finds="hyperband whose resource is no parameter, or that has fewer parallel trials than its first bracket",
    effect=SERVICE_REFUSES,
    mend="name a parameter as resource_name; parallelTrialCount must be at least eta^floor(log_eta r_l)",
)


def algorithms(top: Node) -> Iterator[Finding]:
    """The search algorithm and, where there is one, the early stopper."""
    spec = top["spec"]
    if spec.missing:
        return
    service = yield from _service(spec["algorithm"], SERVICES)
    if service:
        yield from _space(spec, service)
        yield from _special(spec)
    stopper = spec["earlyStopping"]
    if not stopper.missing:
        name = stopper["algorithmName"]
        if name.text in OUR_EARLY_STOPPING:
            yield OURS_ALONE.at(name, f"'{name.text}' is not among the early stoppers of stock Katib")
        yield from _service(stopper, {**EARLY_STOPPING, **OUR_EARLY_STOPPING})
        needed = _setting_number(stopper, "min_trials_required", 3)
        trials = spec["maxTrialCount"]
        if trials.integer is not None and needed is not None and needed >= trials.integer > 0:
            yield NEVER_STOPS.at(stopper, f"waits for {needed:g} of {trials.integer} trials")


def _service(node: Node, services: Mapping[str, Service]) -> Generator[Finding, None, Service | None]:
    """Findings of one algorithm; returns its service where stock Katib has it."""
    name = node["algorithmName"]
    if node.missing or name.empty:
        yield REQUIRED.at(name if node.present and not node.missing else node, "is missing")
        return None
    if name.text is None:
        return None
    if name.text not in services:
        yield UNKNOWN.at(name, f"'{name.text}': {nearest(name.text, services)}")
        return None
    service = services[name.text]
    yield from _settings(node["algorithmSettings"], name.text, service)
    return service


def _settings(node: Node, algorithm: str, service: Service) -> Iterator[Finding]:
    seen: set[str] = set()
    for item in node.items:
        name, value = item["name"], item["value"]
        if name.empty or value.empty:
            absent = name if name.empty else value
            yield SETTING_VALUE.at(absent, f"{absent.path[-1]} of a setting of {algorithm} is missing")
        if name.text is None:
            continue
        if name.text in seen:
            yield SETTING_IGNORED.at(name, f"'{name.text}' stands here a second time")
        seen.add(name.text)
        setting = service.settings.get(name.text)
        ours = OURS.get(algorithm, {}).get(name.text)
        if setting is None and ours is not None:
            setting = ours
            effect = (
                "with stock services the Experiment fails before its first trial"
                if service.strict
                else "with stock services the setting is ignored"
            )
            yield OURS_ALONE.at(name, f"stock {algorithm} has no setting '{name.text}'", effect=effect)
        if setting is None and name.text not in service.needs:
            if service.any_setting:
                continue
            rule = SETTING if service.strict else SETTING_IGNORED
            hint = nearest(name.text, service.settings) if service.settings else "it has none"
            yield rule.at(name, f"{algorithm} has no setting '{name.text}': {hint}")
        elif setting and value.text and not setting.takes(value.text):
            yield SETTING_VALUE.at(
                value, f"{name.text} of {algorithm} is '{value.text}'; it has {setting.says}"
            )
    for need in service.needs:
        if need not in seen:
            yield SETTING_MISSING.at(node, f"{algorithm} needs the setting '{need}'")


def _space(spec: Node, service: Service) -> Iterator[Finding]:
    """What the algorithm makes of each parameter."""
    algorithm = spec["algorithm"]["algorithmName"].text
    numeric = 0
    for node in spec["parameters"].items:
        kind, space = node["parameterType"].text, node["feasibleSpace"]
        if kind not in ("double", "int"):
            continue
        numeric += 1
        if space["step"].empty and kind in service.needs_step:
            yield SETTING_MISSING.at(space["step"], f"{algorithm} needs the step of a {kind}")
        elif space["step"].text and not service.step:
            yield STEP_IGNORED.at(space["step"], f"{algorithm} does not know of steps")
        low = number(space["min"])
        if kind == "double" and service.min_above_zero and low is not None and low <= 0:
            yield ABOVE_ZERO.at(space["min"], f"is {space['min'].text}, under {algorithm}")
            continue
        yield from _distribution(space, kind, service, algorithm or "")
    if numeric < service.dimensions and spec["parameters"].items:
        yield DIMENSIONS.at(
            spec["parameters"], f"{algorithm} needs {service.dimensions} numbers, and finds {numeric}"
        )


def _distribution(space: Node, kind: str, service: Service, algorithm: str) -> Iterator[Finding]:
    node, low, high = space["distribution"], number(space["min"]), number(space["max"])
    wanted = node.text or "uniform"
    if wanted not in ALL:
        return  # an error already
    # scikit-optimize draws doubles log-uniformly and whole numbers uniformly.
    followed = service.distributions if kind == "double" or service.otherwise != "logUniform" else {"uniform"}
    if wanted in followed:
        if service.leaves_range and wanted in ("normal", "logNormal"):
            yield LEAVES.at(node, f"{wanted} of {algorithm} has no bounds")
    elif service.otherwise is None:
        if wanted in ("normal", "logNormal"):
            yield UNSUPPORTED.at(node, f"{algorithm} has no {wanted}")
    elif low is not None and high is not None and (low <= 0 or high / low > DECADE):
        drawn = service.otherwise if kind == "double" else "uniform"
        yield IGNORED.at(node, f"{algorithm} draws a {kind} {drawn}, not {wanted}")


def _special(spec: Node) -> Iterator[Finding]:
    """What only one algorithm wants."""
    algorithm, trials = spec["algorithm"], spec["maxTrialCount"]
    name, count = algorithm["algorithmName"].text, trials.integer
    if name == "bayesianoptimization":
        points = _setting_number(algorithm, "n_initial_points", DEFAULT_INITIAL_POINTS)
        if points is not None and count is not None and points >= count > 0:
            yield ALL_RANDOM.at(algorithm, f"draws {points:g} points at random, of {count} trials")
    elif name == "grid":
        points = _grid_points(spec)
        if trials.missing:
            yield GRID.at(trials, "is missing, which grid needs")
        elif points is not None and count is not None and count > points:
            yield GRID.at(trials, f"is {count}; the grid has {points} points")
    elif name == "hyperband":
        yield from _hyperband(spec)


def _hyperband(spec: Node) -> Iterator[Finding]:
    settings = named(spec["algorithm"]["algorithmSettings"].items)
    resource = settings.get("resource_name")
    parameters = named(spec["parameters"].items)
    if resource and resource["value"].text and resource["value"].text not in parameters:
        found = resource["value"].text
        yield HYPERBAND.at(resource["value"], f"no parameter '{found}': {nearest(found, parameters)}")
    most, eta = _setting_number(spec["algorithm"], "r_l", None), _setting_number(spec["algorithm"], "eta", 3)
    parallel = spec["parallelTrialCount"].integer
    if most is not None and eta is not None and parallel is not None and most >= 1 and eta >= 2:
        bracket = int(eta) ** int(math.log(most) / math.log(int(eta)))
        if parallel < bracket:
            yield HYPERBAND.at(
                spec["parallelTrialCount"], f"is {parallel}; the first bracket has {bracket} trials"
            )


def _grid_points(spec: Node) -> int | None:
    """How many points the grid has, None where that cannot be told."""
    points = 1
    for node in spec["parameters"].items:
        space = node["feasibleSpace"]
        if node["parameterType"].text in ("discrete", "categorical"):
            points *= len(space["list"].items)
            continue
        low, high = number(space["min"]), number(space["max"])
        whole = node["parameterType"].text == "int" and space["step"].empty
        step = 1.0 if whole else number(space["step"])
        if low is None or high is None or step is None or step <= 0 or low > high:
            return None
        points *= math.floor((high - low) / step + 1e-9) + 1
    return points


def _setting_number(node: Node, name: str, default: float | None) -> float | None:
    setting = named(node["algorithmSettings"].items).get(name)
    return default if setting is None else number(setting["value"])
