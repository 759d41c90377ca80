"""All rules of the check, as its modules declare them."""

import importlib
import pkgutil

import katib.check
from katib.check import Rule


def rules() -> list[Rule]:
    """Returns the rules of all modules of the package, each once."""
    found: list[Rule] = []
    for module in pkgutil.iter_modules(katib.check.__path__):
        values = vars(importlib.import_module(f"katib.check.{module.name}")).values()
        found += [value for value in values if isinstance(value, Rule) and value not in found]
    return found
