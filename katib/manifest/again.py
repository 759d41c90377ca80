"""Failed trials of a search on Katib that are to run again, named in an annotation of its Experiment. Pure: no I/O.

A trial of Katib that has ended never starts again: another trial goes on with its configuration, which maxTrialCount
counts as one more. maxFailedTrialCount is one more, too, since Katib still counts the failure.
"""

from collections.abc import Mapping, Sequence

from katib.tree import Tree
from katib.untrusted import is_name

ANNOTATION = "sepsweep/again"
COUNTS = ("maxTrialCount", "maxFailedTrialCount")


def asked(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the trials that were asked for; each of them has failed before."""
    return tuple(dict.fromkeys(filter(is_name, annotations.get(ANNOTATION, "").split(","))))


def annotation(trials: Sequence[str]) -> str:
    """Returns the text of the annotation."""
    return ",".join(trials)


def with_more(spec: Tree, trials: int) -> Tree:
    """Returns the `spec` of an Experiment with so many trials more, or fewer, in the two counts that it has."""
    counts = {key: count + trials for key in COUNTS if isinstance(count := spec.get(key), int)}
    return {**spec, **counts}
