"""Finds every defect of an Experiment manifest, anybody's, in one pass and offline, before a GPU is asked for.

A manifest is refused by Katib's webhook, or, worse, accepted and then misread; the rules know both, from the sources of
Katib v0.19. Each module has the rules of one part and declares them where it applies them; docs/check.md lists all.
Called by the verb check, and before a manifest is deployed or run.
"""

from katib.check.finding import Defect, Rule, Severity

__all__ = ["Defect", "Rule", "Severity", "check_text", "require_sound"]

MOST_FINDINGS = 500  # of one part of the rules; more of them nobody reads, and they take their time


def check_text(text: str, source: str) -> list[Defect]:
    """Returns every defect of the manifest `text`, in the order of its lines, errors first within a line; never raises.

    `source` is what the caller calls the text; findings say their line and path in it.
    """
    from itertools import islice

    from katib.check.algorithms import algorithms
    from katib.check.collector import collector
    from katib.check.identity import identity
    from katib.check.job import job
    from katib.check.objective import budget, objective
    from katib.check.parameters import parameters
    from katib.check.source import MORE, read
    from katib.check.structure import structure
    from katib.check.template import template
    from katib.check.trainer import training
    from katib.check.tried_first import tried_first

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
            parameters,
            collector,
            template,
            job,
        ):
            found_here = rules(top)
            findings += islice(found_here, MOST_FINDINGS)
            findings += [MORE.at(top, f"has more than {MOST_FINDINGS} of them") for _ in islice(found_here, 1)]
        # What another rule has found at a place is the nearer cause.
        places = {found.path for found in findings}
        own = (found for found in training(top) if found.path not in places)
        findings += islice(own, MOST_FINDINGS)
    return sorted(findings, key=lambda found: (found.line, found.severity, found.path))


def require_sound(text: str, source: str, command: str | None = None) -> None:
    """Raises ManifestError where `text` has errors: how many, the first, and the `command` that shows all."""
    from katib.errors import ManifestError

    errors = [found for found in check_text(text, source) if found.severity == "error"]
    if errors:
        first = errors[0]
        many = "1 defect" if len(errors) == 1 else f"{len(errors)} defects"
        raise ManifestError(
            f"{source}: {many}; line {first.line}: {first.where}{first.problem};"
            f" run: {command or f'python -m katib check {source}'}"
        )
