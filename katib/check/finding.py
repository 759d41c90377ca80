"""Defines findings (a problem, its effect and the fix) and the rules of the manifest check.

A rule is declared once, beside the code that applies it; docs/check.md lists all rules.
"""

from dataclasses import dataclass
from typing import Literal

from katib.check.node import Node

Severity = Literal["error", "warning"]
LONGEST, KEPT_END = 300, 100
"""Characters of a problem or a path that are shown; of a longer one its beginning and its end."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong, why that matters, and a command or an edit that puts it right."""

    problem: str
    effect: str = ""
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class Defect(Finding):
    """A finding in a manifest. `path` is the place in the document, `line` its line in the file (from 1)."""

    rule: str
    severity: Severity
    path: str
    line: int

    @property
    def where(self) -> str:
        """The place as the beginning of a line; empty for the document as a whole."""
        return "" if self.path == "." else f"{self.path}: "

    @property
    def record(self) -> dict[str, str | int]:
        """What `check --json` prints of it."""
        record: dict[str, str | int] = {
            "rule": self.rule,
            "severity": self.severity,
            "path": self.path,
            "line": self.line,
        }
        return record | {"what": self.problem, "effect": self.effect, "mend": self.fix}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A kind of defect: what it `finds`, the `effect` that it has in Katib v0.19, and the `fix`.

    An error is refused by Katib or Kubernetes, or spoils the search; a warning may be meant.
    """

    name: str
    severity: Severity
    finds: str
    effect: str
    fix: str

    def at(self, node: Node, problem: str, *, effect: str | None = None, fix: str | None = None) -> Defect:
        """Returns the defect of this rule at `node`; with a more specific `effect` or `fix` if there is one."""
        return Defect(
            rule=self.name,
            severity=self.severity,
            path=shortened(node.where),
            line=node.line,
            problem=shortened(problem),
            effect=effect or self.effect,
            fix=fix or self.fix,
        )


def shortened(text: str) -> str:
    """Returns `text` as one line, without its middle if it is longer than anybody reads."""
    text = text.replace("\n", "\\n").replace("\r", "\\r")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - KEPT_END]} … {text[-KEPT_END:]}"


def error(name: str, *, finds: str, effect: str, fix: str) -> Rule:
    """Returns a rule whose defects are errors."""
    return Rule(name=name, severity="error", finds=finds, effect=effect, fix=fix)


def warning(name: str, *, finds: str, effect: str, fix: str) -> Rule:
    """Returns a rule whose defects are warnings."""
    return Rule(name=name, severity="warning", finds=finds, effect=effect, fix=fix)
