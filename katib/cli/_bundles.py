"""Groups of options that verbs share: a verb takes a bundle, and typer gets each of its fields as an option."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, wraps
from pathlib import Path
from typing import TypeVar, get_type_hints

from katib.backend.base import Backend
from katib.backend.choice import choose_backend
from katib.backend.cluster.client import Cluster
from katib.cli.options import (
    Context,
    Epochs,
    GpuHours,
    Name,
    OnCluster,
    Out,
    Parallel,
    Preset,
    SiteFile,
    Trials,
    recipient_of,
)
from katib.manifest.render import Overrides
from katib.site import Site, load_site

Code = TypeVar("Code")


@dataclass(frozen=True)
class Where:
    """Where a search is: below a folder of this machine, or on the cluster of a site."""

    out: Out = Path("runs")
    cluster: OnCluster = False
    site: SiteFile = None
    context: Context = None

    @property
    def backend(self) -> Backend:
        """The backend that these options choose."""
        return self.telling(None)

    def telling(self, notify: str | None) -> Backend:
        """Returns the backend, whose runs tell whom `--notify` names. Raises NotifyError."""
        to = recipient_of(notify)
        return choose_backend(self.out, self.site, self.context, cluster=self.cluster, notify=to)


@dataclass(frozen=True)
class Reached:
    """Which cluster a verb works on, and how it is reached."""

    site: SiteFile = None
    context: Context = None

    @cached_property
    def described(self) -> Site:
        """The site that the file describes."""
        return load_site(self.site)

    @cached_property
    def cluster(self) -> Cluster:
        """The client for the site's namespace. Raises ClusterError where there is no usable kubeconfig."""
        return Cluster(self.described.namespace, self.context, katib=self.described.katib_namespace)


@dataclass(frozen=True)
class Changes:
    """What a call changes in the Experiment of a spec."""

    preset: Preset = None
    name: Name = None
    trials: Trials = None
    epochs: Epochs = None
    parallel: Parallel = None
    gpu_hours: GpuHours = None

    @property
    def overrides(self) -> Overrides:
        """The same for rendering."""
        return Overrides(
            preset=self.preset,
            name=self.name,
            trials=self.trials,
            epochs=self.epochs,
            parallel=self.parallel,
            gpu_hours=self.gpu_hours,
        )


BUNDLES = (Where, Reached, Changes)


def bundled(verb: Callable[..., Code]) -> Callable[..., Code]:
    """Returns `verb` with an option for each field of the bundles among its parameters."""
    hints = get_type_hints(verb, include_extras=True)
    bundles = {name: hint for name, hint in hints.items() if hint in BUNDLES}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        if name not in bundles:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        types = get_type_hints(bundles[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=types[field.name]
            )
            for field in fields(bundles[name])
        ]

    @wraps(verb)
    def flat(**options: object) -> Code:
        for name, bundle in bundles.items():
            options[name] = bundle(**{field.name: options.pop(field.name, field.default) for field in fields(bundle)})
        return verb(**options)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat
