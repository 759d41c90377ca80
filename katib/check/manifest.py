"""Applies all rules to a manifest: structure first, then each part, and last what the trainer itself would refuse."""

from collections.abc import Iterator
from itertools import islice

from katib.check.accepted import VALUE
from katib.check.algorithms import algorithms
from katib.check.collector import collector
from katib.check.expected import expected
from katib.check.finding import Defect
from katib.check.identity import identity
from katib.check.job import job
from katib.check.node import Node
from katib.check.objective import budget, objective
from katib.check.optimization_job import is_optimization_job, optimization_job
from katib.check.parameters import parameters
from katib.check.source import MORE, read
from katib.check.structure import structure
from katib.check.template import template
from katib.check.trainer import training
from katib.check.tried_first import tried_first
from katib.errors import ManifestError
from katib.yaml_reader import YamlError, read_documents

MOST_FINDINGS = 500
"""Defects of one part of the rules. Nobody reads more of them, and they take time."""


def check_any(text: str, source: str) -> list[Defect]:
    """Returns what `check_text` does, or what is wrong with an OptimizationJob and lost in it; never raises."""
    try:
        documents = read_documents(text)
    except YamlError:
        documents = []
    if len(documents) != 1 or not is_optimization_job(documents[0].value):
        return check_text(text, source)
    defects = optimization_job(Node(documents[0].value, (), documents[0].lines))
    return sorted(islice(defects, MOST_FINDINGS), key=lambda defect: (defect.line, defect.severity, defect.path))


def check_text(text: str, source: str) -> list[Defect]:
    """Returns every defect of the manifest `text`, in the order of its lines, errors first within a line; never raises.

    `source` is the caller's name for the text; each defect has its line and path in it.
    """
    top, findings = read(text)
    del findings[MOST_FINDINGS:]
    if top is not None:
        for rules in (
            structure,
            identity,
            objective,
            budget,
            algorithms,
            tried_first,
            expected,
            parameters,
            collector,
            template,
            job,
        ):
            defects = _untold(rules(top), {defect.path for defect in findings})
            findings += islice(defects, MOST_FINDINGS)
            findings += [MORE.at(top, f"has more than {MOST_FINDINGS} of them") for _ in islice(defects, 1)]
        # A defect that another rule reports at the same place is the more likely cause.
        places = {defect.path for defect in findings}
        own = (defect for defect in training(top) if defect.path not in places)
        findings += islice(own, MOST_FINDINGS)
    return sorted(findings, key=lambda defect: (defect.line, defect.severity, defect.path))


def _untold(defects: Iterator[Defect], told: set[str]) -> Iterator[Defect]:
    """Yields `defects` but for values at a place that was `told` already: the structure has reported what is wrong."""
    return (defect for defect in defects if defect.rule != VALUE.name or defect.path not in told)


def require_sound(text: str, source: str, command: str | None = None) -> None:
    """Raises ManifestError where `text` has errors: how many, the first, and the `command` that shows all."""
    errors = [defect for defect in check_text(text, source) if defect.severity == "error"]
    if errors:
        first = errors[0]
        many = "1 defect" if len(errors) == 1 else f"{len(errors)} defects"
        raise ManifestError(
            f"{source}: {many}; line {first.line}: {first.where}{first.problem};"
            f" run: {command or f'python -m katib check {source}'}"
        )
