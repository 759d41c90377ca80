"""Checks whether the cluster can run the searches; each problem comes with its fix."""

import json

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.doctor import DoctorContext, examine
from katib.backend.cluster.doctor.view import print_results
from katib.backend.cluster.searches import manifests
from katib.cli.options import Context, Epochs, Json, Name, Parallel, Preset, SiteFile, Trials
from katib.cli.searches import Models, site_of
from katib.manifest.render import Overrides
from katib.text import count


def doctor(
    model: Models = "all",
    preset: Preset = None,
    name: Name = None,
    trials: Trials = None,
    epochs: Epochs = None,
    parallel: Parallel = None,
    site: SiteFile = None,
    context: Context = None,
    as_json: Json = False,
) -> int:
    """Examine the cluster for the search of MODEL (default: all four); exit code 1 where it would fail."""
    place = site_of(site)
    overrides = Overrides(preset=preset, name=name, trials=trials, epochs=epochs, parallel=parallel)
    wanted = manifests(model, place, overrides)
    results = examine(DoctorContext(Cluster(place.namespace, context), place, wanted))
    if as_json:
        print(json.dumps([result.record for result in results], indent=2))
    else:
        print_results(results, all_of_them=True)
        errors, warnings, unknown = (
            sum(result.status == status for result in results) for status in ("error", "warning", "unknown")
        )
        unseen = f", {unknown} could not be looked at" if unknown else ""
        found = f"{count(errors, 'error')}, {count(warnings, 'warning')}"
        print(f"{count(len(results), 'check')}: {found}{unseen}")
    return int(any(result.status == "error" for result in results))
