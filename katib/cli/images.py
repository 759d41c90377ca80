"""Builds the images of the trials and of Katib's services, and pushes them."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import SiteFile, Yes


def images(
    registry: Annotated[
        str, typer.Option(help="where they go: host/project (default: that of the site's image)")
    ] = "",
    push: Annotated[
        bool,
        typer.Option(
            "--push", help="push them, and write their digests into the site file and Katib's configuration"
        ),
    ] = False,
    site: SiteFile = None,
    yes: Yes = False,
) -> None:
    """Build the images of images/ with docker, podman or buildah, tagged with the git commit."""
    from tempfile import TemporaryDirectory

    from katib.cli.searches import confirm, say
    from katib.cluster import images as builder
    from katib.site import SITE, load_site

    place = site or SITE
    current = load_site(place).image
    name = builder.tool()
    wanted = builder.images(registry or current.partition("@")[0].rpartition("/")[0] or "sepsweep")
    for image in wanted:
        print(f"build{' and push' if push else ''}: {image.reference} with {name}")
    if push:
        print(f"  {place} then names the trainer by its digest, {builder.SERVICES_CONFIG} the services")
        confirm("Go on?", yes)
    for image in wanted:
        builder.build(name, image)
    if not push:
        return
    with TemporaryDirectory() as folder:
        for image in wanted:
            reference = builder.push(name, image, Path(folder))
            say(f"pushed: {reference}")
            if image.dockerfile.parent.name == "trainer":
                builder.pin(place, builder.TRAINER_LINE, reference)
            else:
                builder.pin(builder.SERVICES_CONFIG, builder.SERVICES_LINE, reference)
