"""Builds the images of the trials and of Katib's services, and pushes them."""

from typing import Annotated

import typer

from katib.cli._progress import StillAtWork
from katib.cli.options import SiteFile, Yes
from katib.cli.searches import confirm
from katib.install import images as builder
from katib.site import default_site, load_site
from katib.terminal import say


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
    """Builds the images of images/ with docker, podman or buildah, tagged with the git commit."""
    site = site or default_site()
    registry = registry or load_site(site).image.partition("@")[0].rpartition("/")[0] or "sepsweep"
    builder.require_registry(registry, push=push)
    wanted = builder.images(registry)
    arguments = builder.build_arguments(build_arg or (), wanted)
    if push:
        builder.require_pinnable(wanted, site)
    tool = builder.tool()
    for image in wanted:
        say(f"build{' and push' if push else ''}: {image.reference} with {tool}")
    if push:
        say(
            f"  the digest of the trainer is then written into {site}, that of the services "
            f"into {builder.SERVICES_CONFIG}"
        )
        confirm("Continue?", yes)
    for image in wanted:
        builder.build(tool, image, arguments)
    if push:
        with StillAtWork("pushes") as work:
            builder.publish(tool, wanted, site, work.note)
