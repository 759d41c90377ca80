"""docs/check.md against the rules as they are declared."""

import importlib
import pkgutil
from pathlib import Path

import katib.check
from katib.check import Rule

PAGE = Path(__file__).parents[3] / "docs" / "check.md"


def rules() -> list[Rule]:
    """The rules of all modules of the package, in the order of modules and lines."""
    found = []
    for module in pkgutil.iter_modules(katib.check.__path__):
        values = vars(importlib.import_module(f"katib.check.{module.name}")).values()
        found += [value for value in values if isinstance(value, Rule) and value not in found]
    return found


RULES = rules()


def row(rule: Rule) -> str:
    cells = (f"`{rule.name}`", rule.severity, rule.finds, rule.effect, rule.mend)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def test_page_has_a_row_for_every_rule_and_for_no_other() -> None:
    rows = {line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")}
    assert rows == {row(rule) for rule in RULES}


def test_names_of_rules_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
