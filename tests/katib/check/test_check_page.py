"""docs/check.md against the rules as they are declared."""

from pathlib import Path

from katib.check import Rule
from tests.katib.check.rules import rules

PAGE = Path(__file__).parents[3] / "docs" / "check.md"


def row(rule: Rule) -> str:
    cells = (f"`{rule.name}`", rule.severity, rule.finds, rule.effect, rule.fix)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def test_page_has_a_row_for_every_rule_and_for_no_other() -> None:
    rows = {line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")}
    assert rows == {row(rule) for rule in rules()}


def test_names_of_rules_are_unique() -> None:
    names = [rule.name for rule in rules()]
    assert len(set(names)) == len(names)
