"""Renders and checks the Experiments of the models that a cluster verb names."""

from katib.backend.cluster.kinds import Object
from katib.check.manifest import require_sound
from katib.errors import SpecError
from katib.manifest.render import Overrides, render
from katib.site import Site
from katib.spec import ALL, load_spec, models
from katib.yaml_reader import read_yaml


def manifests(model: str, site: Site, overrides: Overrides) -> list[Object]:
    """Returns the checked Experiments of MODEL. Raises SpecError, or ManifestError where one has a defect."""
    if model == ALL and overrides.name is not None:
        raise SpecError("NAME= names one experiment; leave it out, or name one MODEL")
    experiments = []
    for name in models(model):
        text = render(load_spec(name), site, overrides, name)
        require_sound(text, f"manifest of {name}", f"python -m katib render {name} | python -m katib check -")
        experiments.append(read_yaml(text))
    return experiments


def any_manifest(site: Site) -> Object:
    """Returns an Experiment of `site`; its trials show how a pod mounts the site's claims."""
    manifest: Object = read_yaml(render(load_spec("demo"), site, Overrides()))
    return manifest
