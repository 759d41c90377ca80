"""Chooses the backend that the options of a verb ask for."""

from pathlib import Path

from katib.backend.base import Backend
from katib.site import load_site


def choose_backend(out: Path, site: Path | None = None, context: str | None = None, *, cluster: bool) -> Backend:
    """Returns the cluster of `site` where `cluster` or a kubeconfig `context` is given, and else this machine."""
    if cluster or context is not None:
        from katib.backend.cluster.backend import ClusterBackend  # loads the Kubernetes client

        return ClusterBackend(load_site(site), context, out)
    from katib.backend.local.backend import LocalBackend

    return LocalBackend(out)
