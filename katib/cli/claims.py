"""Prints the volume claims that the site describes in `storage`, for kubectl apply -f -."""

import yaml

from katib.cli.options import SiteFile
from katib.errors import SiteError
from katib.manifest.claims import claim_manifests
from katib.site import default_site, load_site


def claims(site: SiteFile = None) -> None:
    """Prints the PersistentVolumeClaims that the site describes: make claims | kubectl apply -f -."""
    manifests = claim_manifests(load_site(site))
    if not manifests:
        file = site or default_site()
        raise SiteError(f"{file}: storage describes no claim; add runs: {{size: 50Gi}}, or kubectl apply -k k8s/base")
    print(yaml.safe_dump_all(manifests, sort_keys=False), end="")
