"""The settings of an algorithm or a stop rule: those of Katib's stock service of that name, and those that it lacks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from katib.errors import ManifestError, nearest
from katib.manifest.search import Algorithm
from katib.search.first_suggestions import SHAPE, first_suggestions
from katib.search.setting import Setting, whole

SEED = {"random_state": whole(0, 2**32 - 1)}
"""The range is that of numpy.random.RandomState, which seeds Katib's services."""
FIRST = {"first_suggestions": Setting(lambda text: first_suggestions(text) is not None, SHAPE)}
WARM = {"warm_start": Setting(lambda text: all(text.split(",")), "names of earlier experiments: a,b")}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that a manifest may give an algorithm or a stop rule; the check of manifests reads them too."""

    stock: Mapping[str, Setting] = field(default_factory=dict)
    """The settings of Katib's stock service of that name."""
    ours: Mapping[str, Setting] = field(default_factory=dict)
    """The settings that the search here takes and the stock service does not; they win over stock ones of that name."""
    idle: frozenset[str] = frozenset()
    """The settings that the stock service reads and that have no effect here."""
    strict: bool = True
    """Whether an unknown setting is refused, and not ignored."""

    @property
    def all(self) -> Mapping[str, Setting]:
        """Every setting that is taken."""
        return {**self.stock, **self.ours}

    def checked(self, where: str, algorithm: Algorithm) -> Mapping[str, str]:
        """Returns the settings of the manifest; unknown ones are left out where Katib ignores them.

        Raises ManifestError for a setting that is unknown or has a value that is not accepted.
        """
        valid = self.all
        for name, text in algorithm.settings.items():
            if name not in valid and not self.strict:
                continue
            if name not in valid:
                raise ManifestError(f"{where} {algorithm.name}: unknown setting '{name}': {nearest(name, valid)}")
            if not valid[name].takes(text):
                raise ManifestError(f"{where} {algorithm.name}: {name} is '{text}'; it has {valid[name].says}")
        return {name: text for name, text in algorithm.settings.items() if name in valid}

    def without_effect(self, algorithm: Algorithm) -> list[str]:
        """Returns the names of the given settings that change nothing, for a note to the user."""
        unknown = set() if self.strict else algorithm.settings.keys() - self.all.keys()
        return sorted(unknown | (algorithm.settings.keys() & self.idle))
