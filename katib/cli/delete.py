"""Deletes the search of a model from the cluster."""

import typer

from katib.cli.options import Context, Model, Name, SiteFile, Yes


def delete(
    model: Model, name: Name = None, site: SiteFile = None, context: Context = None, yes: Yes = False
) -> None:
    """Delete the Experiment of MODEL and its trials. Run directories on the runs claim stay."""
    from katib.cluster.client import Experiments
    from katib.errors import ClusterError
    from katib.site import load_site
    from katib.spec import load_spec

    experiment = name or load_spec(model).name
    place = load_site(site)
    cluster = Experiments(place.namespace, context)
    found = cluster.get(experiment)
    if found is None:
        raise ClusterError(f"there is no experiment '{experiment}' in namespace '{place.namespace}'")
    trials = (found.get("status") or {}).get("trials", 0)
    print(
        f"delete: experiment '{experiment}' in namespace '{place.namespace}' on {cluster.server}, with its {trials} trials"
    )
    print("  checkpoints and summaries on the runs claim stay")
    if not yes and not typer.confirm("Delete?"):
        raise typer.Exit(1)
    cluster.delete(experiment, found["metadata"]["uid"])
    print("deleted")
