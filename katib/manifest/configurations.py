"""The number of configurations of a search with the stop rule promote, which may change while the search goes on.

Katib lets nothing of a stop rule change, so a number that replaces the rule's is an annotation. Pure: no I/O.
"""

from collections.abc import Mapping

from katib.stop_settings import CONFIGURATIONS, PROMOTE, configurations_in
from katib.tree import Tree, at, items_at, labels_at, named_at, put, text_at

ANNOTATION = "sepsweep/configurations"
_SETTINGS = ("earlyStopping", "algorithmSettings")


def annotated(annotations: Mapping[str, str]) -> int | None:
    """Returns the number that replaces the rule's; None where there is none, or where it is no number."""
    return configurations_in({CONFIGURATIONS: annotations.get(ANNOTATION, "")})


def in_force(experiment: Tree) -> Tree:
    """Returns the `spec` of an Experiment whose stop rule has the number that the annotation names."""
    spec, number = at(experiment, "spec"), annotated(labels_at(experiment, "metadata", "annotations"))
    return spec if number is None or _of_rule(spec) is None else _with(spec, number)


def with_rule_of(experiment: Tree, deployed: Tree) -> Tree:
    """Returns the Experiment with the number that the rule of `deployed` has, and its own one as an annotation."""
    own, before = _of_rule(at(experiment, "spec")), _of_rule(at(deployed, "spec"))
    if own is None or before is None:
        return experiment
    if own == before and ANNOTATION not in labels_at(deployed, "metadata", "annotations"):
        return experiment
    annotations = labels_at(experiment, "metadata", "annotations") | {ANNOTATION: str(own)}
    made = put(experiment, ("metadata", "annotations"), annotations)
    return put(made, ("spec",), _with(at(experiment, "spec"), before))


def _of_rule(spec: Tree) -> int | None:
    """Returns the number that the rule promote has itself; None with another rule, or where it has none."""
    if text_at(spec, "earlyStopping", "algorithmName") != PROMOTE:
        return None
    return configurations_in(named_at(spec, *_SETTINGS))


def _with(spec: Tree, number: int) -> Tree:
    settings = [
        {**item, "value": str(number)} if text_at(item, "name") == CONFIGURATIONS else item
        for item in items_at(spec, *_SETTINGS)
    ]
    return put(spec, _SETTINGS, settings)
