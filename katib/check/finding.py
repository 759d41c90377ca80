"""What a rule is and what it reports.

A rule is declared once, beside the code that applies it; docs/check.md lists them all.

Called by every module of this package.
"""

from dataclasses import dataclass
from typing import Literal

from katib.check.node import Node

Severity = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One defect. `path` is the place in the document, `line` its line in the file (from 1)."""

    rule: str
    severity: Severity
    path: str
    line: int
    what: str
    effect: str
    mend: str

    @property
    def where(self) -> str:
        """The place as the beginning of a line; empty of the document as a whole."""
        return "" if self.path == "." else f"{self.path}: "


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A kind of defect: what it `finds`, the `effect` that it has in Katib v0.19, and how to `mend` it.

    An error is refused by Katib or Kubernetes, or spoils the search; a warning may be meant.
    """

    name: str
    severity: Severity
    finds: str
    effect: str
    mend: str

    def at(self, node: Node, what: str, *, effect: str | None = None, mend: str | None = None) -> Finding:
        """Returns the finding of this rule at `node`; `effect` and `mend` where they can be told more closely."""
        return Finding(
            rule=self.name,
            severity=self.severity,
            path=node.where,
            line=node.line,
            what=what,
            effect=effect or self.effect,
            mend=mend or self.mend,
        )


def error(name: str, *, finds: str, effect: str, mend: str) -> Rule:
    """Returns a rule whose findings are errors."""
    return Rule(name=name, severity="error", finds=finds, effect=effect, mend=mend)


def warning(name: str, *, finds: str, effect: str, mend: str) -> Rule:
    """Returns a rule whose findings are warnings."""
    return Rule(name=name, severity="warning", finds=finds, effect=effect, mend=mend)
