"""Renders and checks the Experiments of the models that a cluster verb names."""

from collections.abc import Callable

from katib.backend.cluster.kinds import Object
from katib.check.manifest import require_sound
from katib.errors import SpecError
from katib.manifest.render import Overrides, render
from katib.site import Site
from katib.spec import ALL, Spec, load_spec, models, stages_of
from katib.yaml_reader import read_yaml

Chosen = Callable[[str], tuple[Spec, Overrides]]
"""Returns the search of a model or a spec that is meant, and what the call changes in it."""


def manifests(model: str, site: Site, overrides: Overrides, chosen: Chosen | None = None) -> list[Object]:
    """Returns the checked Experiments of MODEL; of a spec with stages, the one `chosen`, or else the first.

    Raises SpecError, or ManifestError where one has a defect.
    """
    if model == ALL and overrides.name is not None:
        raise SpecError("NAME= names one experiment; leave it out, or name one MODEL")
    experiments = []
    for name in models(model):
        spec, changes = chosen(name) if chosen else (stages_of(load_spec(name))[0], overrides)
        text = render(spec, site, changes, name)
        require_sound(text, f"manifest of {name}", f"python -m katib check {name}")
        experiments.append(read_yaml(text))
    return experiments


def any_manifest(site: Site) -> Object:
    """Returns an Experiment of `site`; its trials show how a pod mounts the site's claims."""
    manifest: Object = read_yaml(render(load_spec("demo"), site, Overrides()))
    return manifest
