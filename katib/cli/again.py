"""Runs failed trials again, from their checkpoints."""

from typing import Annotated

import typer

from katib.cli._bundles import Where, bundled
from katib.cli.options import Data, Notify, Yes
from katib.cli.searches import go_ahead
from katib.spec import search_name
from katib.table.formats import print_table
from katib.terminal import output


@bundled
def again(
    where: Where,
    trial: Annotated[
        str, typer.Argument(metavar="TRIAL|EXPERIMENT", help="a failed trial, or a search, with --failed")
    ],
    failed: Annotated[bool, typer.Option("--failed", help="all failed trials of EXPERIMENT")] = False,
    data: Data = None,
    notify: Notify = None,
    yes: Yes = False,
) -> int:
    """Runs TRIAL, or all failed trials of EXPERIMENT, again from their checkpoints, each with all its tries before it.

    On this machine the search runs to its end; where it is running already, the trials join its queue. A trial that
    diverged would diverge again, and stays as it is.
    """
    result = go_ahead(where.telling(notify).again(search_name(trial), data, every=failed), yes)
    if result.table is not None:
        print_table(result.table, output())
    return result.code
