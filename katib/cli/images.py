"""Builds the images of the trials and of Katib's services, and pushes them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from katib.cli.options import SiteFile, Yes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from katib.install.images import Image


def images(
    registry: Annotated[str, typer.Option(help="where they go: host/project (default: that of the site's image)")] = "",
    push: Annotated[
        bool,
        typer.Option("--push", help="push them, and write their digests into the site file and Katib's configuration"),
    ] = False,
    build_arg: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="an ARG of the Dockerfiles: BASE, PYTHON, PIP_INDEX_URL, …"),
    ] = None,
    site: SiteFile = None,
    yes: Yes = False,
) -> None:
    """Build the images of images/ with docker, podman or buildah, tagged with the git commit."""
    from katib.cli.searches import confirm, say
    from katib.install import images as builder
    from katib.site import SITE, load_site

    place = site or SITE
    current = load_site(place).image
    registry = registry or current.partition("@")[0].rpartition("/")[0] or "sepsweep"
    builder.require_registry(registry, push=push)
    wanted = builder.images(registry)
    arguments = builder.build_arguments(build_arg or (), wanted)
    if push:  # a file that cannot name its image is told before the build, which may take an hour
        for image in wanted:
            builder.pinned(*image.named_in(place), image.reference)
    name = builder.tool()
    for image in wanted:
        say(f"build{' and push' if push else ''}: {image.reference} with {name}")
    if push:
        say(f"  {place} then names the trainer by its digest, {builder.SERVICES_CONFIG} the services")
        confirm("Go on?", yes)
    for image in wanted:
        builder.build(name, image, arguments)
    if push:
        _push(name, wanted, place)


def _push(tool: str, wanted: "Sequence[Image]", place: Path) -> None:
    """Push all, and only then pin them, so that a failed push leaves trials and services of one commit."""
    from tempfile import TemporaryDirectory

    from katib.cli.searches import say
    from katib.install import images as builder

    with TemporaryDirectory() as folder:
        pushed = []
        for image in wanted:
            say(f"push: {image.reference}")
            pushed.append(builder.push(tool, image, Path(folder)))
            say(f"pushed: {pushed[-1]}")
    for image, reference in zip(wanted, pushed, strict=True):
        file, line = image.named_in(place)
        builder.pin(file, line, reference)
        say(f"{file}: names {reference}")
