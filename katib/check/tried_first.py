"""Checks the points of the setting `first_suggestions`: whether each is in the search space and will be tried."""

import re
from collections.abc import Iterator

from katib.check.counts import points_tried
from katib.check.finding import Defect, error, warning
from katib.check.node import Node, named
from katib.check.parameters import LISTED, number_of
from katib.check.services import OURS
from katib.search.first_suggestions import first_suggestions, problems
from katib.text import number

FIRST = error(
    "first-suggestions",
    finds="first_suggestions with a point that is not one of the search space, or that is there twice",
    effect="Sepsweep's services refuse it, and the Experiment fails before its first trial; so does the search on"
    " this machine",
    fix="give every parameter one value within its feasibleSpace, under the parameter's own name",
)
FIRST_UNTRIED = warning(
    "first-suggestions-untried",
    finds="more first_suggestions than maxTrialCount",
    effect="the last ones are never tried, and nothing else is",
    fix="raise maxTrialCount, or remove points",
)
CLASH = warning(
    "first-suggestions-name",
    finds="a `trial` name in first_suggestions that does not end in a '-' and eight random letters, as Katib's own do",
    effect="Katib's database knows a trial by its name alone, in all namespaces: a second trial of this name mixes"
    " its metrics with the first one's",
    fix="leave `trial` out, or give each trial of the cluster a name of its own",
)
RANDOM = re.compile(r".+-[a-z0-9]{8}")
"""Names that suggestionclient.go makes: the experiment's name, a hyphen and utilrand.String(8)."""


def tried_first(top: Node) -> Iterator[Defect]:
    """Yields the defects of the first suggestions, if Sepsweep's services take this setting."""
    spec = top["spec"]
    algorithm, (_, trials) = spec["algorithm"], points_tried(spec)
    setting = named(algorithm["algorithmSettings"].items).get("first_suggestions")
    parameters = named(spec["parameters"].items)
    if setting is None or "first_suggestions" not in OURS.get(algorithm["algorithmName"].text or "", {}):
        return
    value = setting["value"]
    try:
        points = first_suggestions(value.text or "")
    except ValueError:
        # The setting's value has a defect of its own.
        return
    wrong = [*problems(points, list(parameters), lambda name, text: place(parameters[name], text))]
    yield from (FIRST.at(value, problem) for problem in wrong)
    plain = [point.trial for point in points if point.trial and not RANDOM.fullmatch(point.trial)]
    if plain and not wrong:
        more = f" and {len(plain) - 1} more" if len(plain) > 1 else ""
        yield CLASH.at(value, f"names a trial '{plain[0]}'{more}")
    if trials is not None and len(points) > trials > 0:
        yield FIRST_UNTRIED.at(value, f"holds {len(points)} points, for {trials} trials")


def place(parameter: Node, text: str) -> float | str | None:
    """Returns the position of a value on a parameter's axis; None if it is outside.

    A bound that is not a number has a defect of its own.
    """
    space = parameter["feasibleSpace"]
    if parameter["parameterType"].text in LISTED:
        return text if text in [item.text for item in space["list"].items] else None
    low, high = number_of(space["min"]), number_of(space["max"])
    value = number(text)
    return value if value is not None and (low is None or low <= value) and (high is None or value <= high) else None
