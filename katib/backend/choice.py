"""Chooses the backend that the options of a verb ask for."""

from pathlib import Path

from katib.backend.base import Backend
from katib.errors import NotifyError
from katib.notify import Recipient
from katib.site import load_site


def choose_backend(
    out: Path,
    site: Path | None = None,
    context: str | None = None,
    *,
    cluster: bool,
    notify: Recipient | None = None,
) -> Backend:
    """Returns the cluster of `site` where `cluster` or a kubeconfig `context` is given, and else this machine.

    What runs there tells `notify` of its events. Raises NotifyError on a cluster, where nobody of ours would.
    """
    if cluster or context is not None:
        if notify is not None:
            raise NotifyError("--notify: on a cluster only who watches can tell; make status WATCH=1 NOTIFY=…")
        from katib.backend.cluster.backend import ClusterBackend  # loads the Kubernetes client

        return ClusterBackend(load_site(site), context, out)
    from katib.backend.local.backend import LocalBackend

    return LocalBackend(out, notify)
