"""Checks the setting `prior`: whether each expected value is in the search space."""

from collections.abc import Iterator

from katib.check.finding import Defect, error
from katib.check.node import Node, named
from katib.check.services import OURS
from katib.check.tried_first import place
from katib.search.prior import problems, read_prior

PRIOR = error(
    "prior",
    finds="a prior with a value outside the search space, or of a parameter that it does not have",
    effect="Sepsweep's services refuse it, and the Experiment fails before its first trial; so does the search on"
    " this machine",
    fix="give the expected value of a parameter within its feasibleSpace, under the parameter's own name",
)


def expected(top: Node) -> Iterator[Defect]:
    """Yields the defects of the prior, if Sepsweep's service of the algorithm takes this setting."""
    spec = top["spec"]
    algorithm = spec["algorithm"]
    setting = named(algorithm["algorithmSettings"].items).get("prior")
    if setting is None or "prior" not in OURS.get(algorithm["algorithmName"].text or "", {}):
        return
    value, parameters = setting["value"], named(spec["parameters"].items)
    try:
        prior = read_prior(value.text or "")
    except ValueError:
        # The setting's value has a defect of its own.
        return
    for problem in problems(prior, list(parameters), lambda name, text: place(parameters[name], text)):
        yield PRIOR.at(value, problem)
