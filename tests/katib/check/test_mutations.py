"""Each named defect of a sound manifest gives its findings and no others."""

import pytest

from katib.check import check_text
from tests.katib.check.manifests import found, long, spoiled
from tests.katib.check.mutations import MUTATIONS


def test_sound_manifest_has_no_finding() -> None:
    assert found(spoiled({})) == set()


@pytest.mark.parametrize("name", MUTATIONS)
def test_defect_gives_its_findings_and_no_others(name: str) -> None:
    """Rule, path and severity of all findings, against those that the table names."""
    changes, expected = MUTATIONS[name]
    wanted = set()
    for text in expected:
        rule, path = text.removeprefix("?").split(" ")
        wanted.add(("warning" if text.startswith("?") else "error", rule, long(path)))
    assert found(spoiled(changes)) == wanted


@pytest.mark.parametrize("name", MUTATIONS)
def test_finding_says_what_it_does_and_how_to_mend_it_in_one_line_each(name: str) -> None:
    for finding in check_text(spoiled(MUTATIONS[name][0]), "test"):
        for text in (finding.what, finding.effect, finding.mend):
            assert text
            assert "\n" not in text


def test_every_rule_but_those_of_the_file_itself_is_tried() -> None:
    """A rule without a mutation would be a rule without a test."""
    from tests.katib.check.test_docs import RULES

    tried = {text.removeprefix("?").split(" ")[0] for _, expected in MUTATIONS.values() for text in expected}
    of_the_file = {
        rule.name for rule in RULES if rule in vars(__import__("katib.check.source").check.source).values()
    }
    assert {rule.name for rule in RULES} - of_the_file == tried
