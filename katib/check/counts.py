"""Checks the counts that an algorithm needs: trials, trials at a time, and points of the search space."""

import math
import re
from collections.abc import Iterator

from katib.check.finding import Defect, error, warning
from katib.check.node import Node, named
from katib.check.parameters import number_of
from katib.check.services import SERVICE_REFUSES, Service
from katib.errors import nearest
from katib.manifest.object import DEFAULT_PARALLEL_TRIALS
from katib.stop_settings import CONFIGURATIONS, PROMOTE

DEFAULT_INITIAL_POINTS = 10
"""The default of skopt/service.py."""
MOST_POINTS = 10_000_000
"""Points that take some GB of memory in the grid's service."""

ALL_RANDOM = warning(
    "all-random",
    finds="bayesianoptimization with n_initial_points (10 where it is missing) of maxTrialCount or more",
    effect="every trial is drawn at random; the model of the results is never used",
    fix="set n_initial_points to about a fifth of maxTrialCount",
)
GRID = error(
    "grid-too-small",
    finds="grid without maxTrialCount, or with more trials than points",
    effect=SERVICE_REFUSES,
    fix="set maxTrialCount to the number of points",
)
PERTURBED = warning(
    "pbt-int",
    finds="pbt with an int and more than two generations of trials",
    effect="a value that meets min or max when it is perturbed is written as 8.0, which the service cannot read when"
    " it is perturbed again: it fails at every call then, and the search hangs",
    fix="write a double whose step is 1, and round in the trainer, or a discrete list",
)
LARGE = error(
    "grid-too-large",
    finds=f"grid of more than {MOST_POINTS} points, or pbt with so many values of one parameter",
    effect="its service lists all points before it answers, and runs out of memory or time: no trial starts",
    fix="choose larger steps, or an algorithm that draws points",
)
SMALL = warning(
    "space-too-small",
    finds="more trials than the space has points (grid: see grid-too-small)",
    effect="stock Katib tries points twice; Sepsweep's services refuse the Experiment before its first trial, and the"
    " search on this machine ends when all points are tried",
    fix="lower maxTrialCount to the number of points, or widen the space",
)
OURS_ALONE = (
    "Sepsweep's services refuse the Experiment before its first trial, and the search on this machine ends when all"
    " points are tried; stock Katib, which tries other steps, has enough of them"
)
HYPERBAND = error(
    "hyperband",
    finds="hyperband whose resource is no parameter, with fewer parallel trials than its first bracket has, with more"
    " trials than run at a time, or with an early stopper",
    effect=SERVICE_REFUSES,
    fix="name a parameter as resource_name; parallelTrialCount: at least eta^floor(log_eta r_l); maxTrialCount: no"
    " more",
)
FIRST_CALL = error(
    "first-call-only",
    finds="darts with more trials than run at a time",
    effect="its service answers the first call and fails at every other one: the search hangs",
    fix="set maxTrialCount to parallelTrialCount, or both to 1",
)
POPULATION = error(
    "pbt-population",
    finds="pbt with more trials at a time than n_population, and more than two rounds of them",
    effect="a generation has n_population trials: its service then runs out of them, fails at every call, and the"
    " search hangs",
    fix="raise n_population to parallelTrialCount at least",
)


def counts(spec: Node, service: Service) -> Iterator[Defect]:
    """Yields the defects of the counts under one algorithm."""
    algorithm, (trials, count) = spec["algorithm"], points_tried(spec)
    name = algorithm["algorithmName"].text
    if name == "bayesianoptimization":
        first = setting_number(algorithm, "n_initial_points", DEFAULT_INITIAL_POINTS)
        if first is not None and count is not None and first >= count > 0:
            yield ALL_RANDOM.at(algorithm, f"draws {first:g} points at random, of {count} trials")
    if name == "grid":
        yield from _grid(spec)
    elif name == "hyperband":
        yield from _hyperband(spec)
    elif name == "darts" and _more_than_at_a_time(spec):
        yield FIRST_CALL.at(trials, _asked_again(spec))
    elif name == "pbt":
        yield from _pbt(spec)
    elif service.is_ours:
        points = _points(spec, service)
        if points is not None and count is not None and count > points:
            stock = _points(spec, service, multiples=service.leaves_range)
            effect = OURS_ALONE if stock is None or stock >= count else None
            yield SMALL.at(trials, f"is {count}; the space has {points} point{'s' * (points != 1)}", effect=effect)


def _pbt(spec: Node) -> Iterator[Defect]:
    """Yields the defects under pbt, whose generations have n_population trials and perturb values (pbt/service.py)."""
    population = setting_number(spec["algorithm"], "n_population", None)
    parallel, count = _parallel(spec), spec["maxTrialCount"].integer
    if population is None or population < 5:
        return
    if parallel is not None and parallel > population:
        # The first call leaves a population unused, and the second one makes another.
        rest = math.inf if count is None else count - parallel
        if rest > min(parallel, 2 * population):
            yield POPULATION.at(spec["parallelTrialCount"], f"is {parallel}; a generation has {population:g} trials")
    for parameter in spec["parameters"].items:
        space, kind = parameter["feasibleSpace"], parameter["parameterType"].text
        low, high, step = number_of(space["min"]), number_of(space["max"]), number_of(space["step"])
        step = 1.0 if kind == "int" and space["step"].empty else step
        if kind not in ("int", "double") or low is None or high is None:
            continue
        if step and (high - low) / step > MOST_POINTS:
            yield LARGE.at(space, f"makes a list of about {(high - low) / step:.1e} values")
        if kind == "int" and low < high and (count is None or count > 2 * (population + 1)):
            yield PERTURBED.at(
                parameter["parameterType"],
                f"is int, and a generation of {population:g} is perturbed more than once",
            )


def setting_number(node: Node, name: str, default: float | None) -> float | None:
    """Returns the value of the setting `name`; None if it is not a number."""
    setting = named(node["algorithmSettings"].items).get(name)
    return default if setting is None else number_of(setting["value"])


def points_tried(spec: Node) -> tuple[Node, int | None]:
    """Returns how many points are tried, and where that stands: with promote, maxTrialCount counts continuations."""
    stopping, trials = spec["earlyStopping"], spec["maxTrialCount"]
    own = named(stopping["algorithmSettings"].items).get(CONFIGURATIONS)
    if stopping["algorithmName"].text != PROMOTE or own is None:
        return trials, trials.integer
    number = number_of(own["value"])
    return own["value"], None if number is None else int(number)


def _grid(spec: Node) -> Iterator[Defect]:
    (trials, count), points = points_tried(spec), _points(spec, None)
    if trials.missing:
        yield GRID.at(trials, "is missing, which grid needs")
    elif points is not None and count is not None and count > points:
        yield GRID.at(trials, f"is {count}; the grid has {points} points")
    if points is not None and points > MOST_POINTS:
        yield LARGE.at(spec["parameters"], f"make a grid of about {points:.1e} points".replace("e+", "e"))


def _hyperband(spec: Node) -> Iterator[Defect]:
    settings = named(spec["algorithm"]["algorithmSettings"].items)
    resource = settings.get("resource_name")
    parameters = named(spec["parameters"].items)
    if resource and resource["value"].text and resource["value"].text not in parameters:
        name = resource["value"].text
        yield HYPERBAND.at(resource["value"], f"no parameter '{name}': {nearest(name, parameters)}")
    most, eta = setting_number(spec["algorithm"], "r_l", None), setting_number(spec["algorithm"], "eta", 3)
    eta = 3 if eta is not None and eta <= 0 else eta
    parallel = spec["parallelTrialCount"].integer
    if most is not None and eta is not None and parallel is not None and most >= 1 and eta >= 2:
        bracket = int(eta) ** int(math.log(most) / math.log(int(eta)))
        if parallel < bracket:
            yield HYPERBAND.at(spec["parallelTrialCount"], f"is {parallel}; the first bracket has {bracket} trials")
    for parameter in spec["parameters"].items:
        for value in parameter["feasibleSpace"]["list"].items if parameter["parameterType"].text == "discrete" else ():
            if value.text is not None and not re.fullmatch(r"\s*[-+]?\d+\s*", value.text):
                yield HYPERBAND.at(
                    value,
                    f"'{value.text}' of a discrete parameter is no whole number",
                    effect="the service fails at every call, and no trial starts",
                    fix="use categorical",
                )
    if _more_than_at_a_time(spec):
        yield HYPERBAND.at(
            spec["maxTrialCount"],
            _asked_again(spec),
            effect="after the first bracket the service answers fewer trials than it is asked for; Katib refuses the"
            " answer and asks forever",
            fix="set maxTrialCount to parallelTrialCount",
        )
    if not spec["earlyStopping"].missing:
        yield HYPERBAND.at(
            spec["earlyStopping"],
            "stands beside hyperband",
            effect="a trial that was stopped early counts as not completed: the service fails at every further call,"
            " and the search hangs",
            fix="remove earlyStopping; hyperband stops trials by its own budget",
        )


def _parallel(spec: Node) -> int | None:
    parallel = spec["parallelTrialCount"]
    return DEFAULT_PARALLEL_TRIALS if parallel.missing else parallel.integer


def _more_than_at_a_time(spec: Node) -> bool:
    trials, parallel = spec["maxTrialCount"], _parallel(spec)
    if parallel is None or parallel < 1:
        return False
    return trials.missing or (trials.integer is not None and trials.integer > parallel)


def _asked_again(spec: Node) -> str:
    count = spec["maxTrialCount"].integer
    return f"is {'missing' if count is None else count}; {_parallel(spec)} run at a time, so the service is asked again"


def _points(spec: Node, service: Service | None, *, multiples: bool = False) -> int | None:
    """Returns the number of points in the space, or in a grid if `service` is None; None if it is unknown.

    With `multiples`, the points are those of hyperopt, whose steps begin at 0 and not at min.
    """
    points = 1
    for node in spec["parameters"].items:
        space, kind = node["feasibleSpace"], node["parameterType"].text
        if kind in ("discrete", "categorical"):
            points *= len({item.text for item in space["list"].items} if service else space["list"].items)
            continue
        if kind == "double" and service and not service.step:
            return None
        low, high = number_of(space["min"]), number_of(space["max"])
        step = 1.0 if kind == "int" and space["step"].empty else number_of(space["step"])
        if low is None or high is None or step is None or step <= 0 or low > high:
            return None
        if multiples and math.isfinite(high / step):
            points *= round(high / step) - round(low / step) + 1
            continue
        # A step may be so small that the quotient is infinite.
        points *= math.floor(min((high - low) / step, 1e18) + 1e-9) + 1
        points = min(points, 10**18)
    return points if spec["parameters"].items else None
