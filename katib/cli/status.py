"""Shows what runs on the cluster: searches and their trials, live."""

import json
from typing import Annotated

import typer

from katib.backend.cluster.status import Curves, read_progress
from katib.backend.cluster.view import print_progress, records
from katib.backend.cluster.watching import watch as show_live
from katib.cli._bundles import Reached, bundled
from katib.cli.options import Json, Notify, recipient_of
from katib.errors import NotifyError
from katib.spec import search_name
from katib.terminal import output


@bundled
def status(
    reached: Reached,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="model, or the name of an experiment (default: all of ours)")
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="keep showing it until Ctrl-C")] = False,
    notify: Notify = None,
    as_json: Json = False,
) -> None:
    """Shows the namespace's searches with every trial: epoch, value, node, GPU-hours, and why one failed or waits."""
    told = recipient_of(notify)
    if told and not watch:
        raise NotifyError("--notify: only who watches can tell; add --watch (-w, WATCH=1)")
    cluster = reached.cluster
    name = search_name(model) if model else None
    if watch:
        show_live(cluster, name, output(), told)
        return
    searches = read_progress(cluster, Curves(), name)
    if as_json:
        print(json.dumps(records(searches), indent=2))
    else:
        print_progress(searches, output(), cluster.namespace)
