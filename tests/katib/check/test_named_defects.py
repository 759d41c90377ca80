"""Each named defect of a sound manifest gives its findings and no others."""

import pytest

from katib.check import optimization_job, source
from katib.check.manifest import check_text
from tests.katib.check import (
    defects_algorithm,
    defects_collector,
    defects_graph,
    defects_job,
    defects_pod_values,
    defects_search,
    defects_template,
    defects_trainer,
    defects_training,
)
from tests.katib.check.manifests import Defects, found, long, spoiled
from tests.katib.check.rules import rules

PARTS = (
    defects_search,
    defects_algorithm,
    defects_graph,
    defects_collector,
    defects_template,
    defects_job,
    defects_pod_values,
    defects_trainer,
    defects_training,
)
DEFECTS: Defects = {name: defect for part in PARTS for name, defect in part.DEFECTS.items()}


def test_sound_manifest_has_no_finding() -> None:
    assert found(spoiled({})) == set()


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_gives_its_findings_and_no_others(name: str) -> None:
    """Rule, path and severity of all findings, against those that the table names."""
    changes, expected = DEFECTS[name]
    wanted = set()
    for text in expected:
        rule, path = text.removeprefix("?").split(" ")
        wanted.add(("warning" if text.startswith("?") else "error", rule, long(path)))
    assert found(spoiled(changes)) == wanted


@pytest.mark.parametrize("name", DEFECTS)
def test_finding_says_what_it_does_and_how_to_mend_it_in_one_line_each(name: str) -> None:
    for finding in check_text(spoiled(DEFECTS[name][0]), "test"):
        for text in (finding.problem, finding.effect, finding.fix):
            assert text
            assert "\n" not in text


def test_names_of_defects_are_unique() -> None:
    assert len(DEFECTS) == sum(len(part.DEFECTS) for part in PARTS)


def test_every_rule_but_those_of_the_file_itself_is_tried() -> None:
    """A rule without a named defect would be a rule without a test; those of the file, and of an
    OptimizationJob, have test_check_source.py and test_optimization_job.py."""
    tried = {text.removeprefix("?").split(" ")[0] for _, expected in DEFECTS.values() for text in expected}
    others = (*vars(source).values(), *vars(optimization_job).values())
    of_the_file = {rule.name for rule in rules() if rule in others}
    assert {rule.name for rule in rules()} - of_the_file == tried
