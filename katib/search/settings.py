"""The settings of an algorithm: those of Katib's stock service, and what the search here takes besides.

The tables are those of the manifest check (katib/check/services.py), so that both say the same. Called by
katib/search/sampler.py and katib/search/stopping.py.
"""

from collections.abc import Mapping

from katib.check.services import OURS, Service
from katib.errors import ManifestError, nearest
from katib.manifest.experiment import Algorithm


def checked(where: str, algorithm: Algorithm, service: Service) -> Mapping[str, str]:
    """Returns the settings that the algorithm has.

    Raises ManifestError for one that is unknown or has a value that is not taken.

    A service that ignores unknown settings in Katib (goptuna) ignores them here: whatever their values, they are left
    out.
    """
    valid = {**service.settings, **OURS.get(algorithm.name, {})}
    for name, text in algorithm.settings.items():
        if name not in valid and not service.strict:
            continue
        if name not in valid:
            raise ManifestError(f"{where} {algorithm.name}: unknown setting '{name}': {nearest(name, valid)}")
        if not valid[name].takes(text):
            raise ManifestError(f"{where} {algorithm.name}: {name} is '{text}'; it has {valid[name].says}")
    return {name: text for name, text in algorithm.settings.items() if name in valid}
