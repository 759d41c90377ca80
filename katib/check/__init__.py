"""Finds every defect of an Experiment manifest in one pass and offline, before a GPU is requested.

The manifest may be anybody's. Katib's webhook refuses it, or, worse, accepts and then misreads it; the rules cover
both, according to the sources of Katib v0.19. Each module has the rules of one part and declares them where it applies
them; docs/check.md lists all.
"""

from katib.check.finding import Defect, Rule, Severity

__all__ = ["Defect", "Rule", "Severity"]
