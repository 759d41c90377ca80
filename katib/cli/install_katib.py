"""Installs Katib v0.19.0 with our services, and waits until it answers."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import Context, Yes

OVERLAY = Path(__file__).parents[2] / "k8s" / "katib"
DEPLOYMENTS = ("katib-db-manager", "katib-controller", "katib-ui")
PATIENCE = "600s"


def install_katib(
    overlay: Annotated[Path, typer.Option(help="kustomize folder")] = OVERLAY,
    context: Context = None,
    yes: Yes = False,
) -> None:
    """Apply k8s/katib (Katib's own standalone install with our configuration) and wait for its webhook and DB manager."""
    from katib.backend.cluster.kubectl import kubectl
    from katib.cli.searches import confirm, say
    from katib.errors import ClusterError

    try:
        text = kubectl("kustomize", str(overlay))
    except ClusterError as error:
        raise ClusterError(
            f"{error}; k8s/katib takes Katib's own install from github.com: where that is out of reach, "
            "name a folder with a copy, OVERLAY=folder"
        ) from None
    count = text.count("\nkind: ") + text.startswith("kind: ")
    where = kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}", context=context)
    print(f"install: {count} objects of {overlay} on {where}, in namespace kubeflow")
    confirm("Apply?", yes)
    say(kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text, context=context).strip())
    for name in DEPLOYMENTS:
        say(f"waits for {name}")
        kubectl(
            "-n",
            "kubeflow",
            "rollout",
            "status",
            f"deployment/{name}",
            f"--timeout={PATIENCE}",
            context=context,
        )
    print("installed; next: kubectl apply -k k8s/base, then make doctor")
