"""Makes the PersistentVolumeClaims that a site describes. Pure."""

from katib.site import Site
from katib.site_pods import Volume


def claim_manifest(site: Site, name: str, volume: Volume) -> dict[str, object]:
    """Returns the claim `name` in the site's namespace."""
    spec: dict[str, object] = {
        "accessModes": [volume.access],
        "resources": {"requests": {"storage": volume.size}},
    }
    if volume.storage_class is not None:
        spec["storageClassName"] = volume.storage_class
    metadata = {"name": name, "namespace": site.namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def claim_manifests(site: Site) -> list[dict[str, object]]:
    """Returns the claims that the site describes, at most one each for the corpus and the run directories."""
    pairs = ((site.claims.data, site.storage.data), (site.claims.runs, site.storage.runs))
    return [claim_manifest(site, name, volume) for name, volume in pairs if volume is not None]
