"""Checks whether the cluster can run the searches; each problem comes with its fix."""

import json

from katib.backend.cluster.doctor import DoctorContext, examine
from katib.backend.cluster.doctor.view import print_results
from katib.backend.cluster.searches import manifests
from katib.cli._bundles import Changes, Reached, bundled
from katib.cli.options import Json
from katib.cli.searches import Models
from katib.text import count


@bundled
def doctor(
    changes: Changes,
    reached: Reached,
    model: Models = "all",
    as_json: Json = False,
) -> int:
    """Examines the cluster for the search of MODEL (default: all four); exit code 1 where it would fail."""
    wanted = manifests(model, reached.described, changes.overrides)
    results = examine(DoctorContext(reached.cluster, reached.described, wanted))
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
