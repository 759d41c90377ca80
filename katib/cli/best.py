"""Prints the most promising configurations of a search, by what all its trials say."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from katib.backend.choice import choose_backend
from katib.cli.options import MOST, Context, Json, OfCluster, Out, SiteFile
from katib.cli.tables import tell, trial_table
from katib.columns import without_prefix
from katib.conclude.confirmation import find_verdict, hindrance, nothing_to_go_by
from katib.conclude.remarks import differences, progress, remarks
from katib.conclude.selection import Candidate, candidates, seed_noise
from katib.spec import search_name
from katib.table.trial_table import TrialTable
from katib.terminal import output, print_rows, print_words
from katib.text import short, with_unit


def best(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="name of the experiment, or a model")],
    out: Out = Path("runs"),
    top: Annotated[int, typer.Option(help="how many", min=1, max=MOST)] = 3,
    cluster: OfCluster = False,
    site: SiteFile = None,
    context: Context = None,
    as_json: Json = False,
) -> int:
    """Print the candidates of EXPERIMENT: what each is believed to reach over seeds, beside what its trial reached."""

    name = search_name(experiment)
    table = trial_table(choose_backend(out, site, context, cluster=cluster), name)
    noise, metric = seed_noise(table), table.identity.metric
    found = candidates(table, top, noise)
    if as_json:
        print(json.dumps([_record(one) for one in found], indent=2))
    if not found:
        print(f"error: {nothing_to_go_by(table)}", file=sys.stderr)
        return 1
    if as_json:
        return 0
    ended = sum(row.state in ("Succeeded", "EarlyStopped") and row.value is not None for row in table.rows)
    print_words(
        f"{name}: {metric} that a configuration is believed to reach over seeds, by all {ended} trials that ended"
    )
    _print_candidates(found, metric)
    if noise is None:
        print_words(
            "nothing is known of the difference that seeds alone make: no trial has anything to be compared with"
        )
    else:
        print_words(f"seeds alone make a difference of {with_unit(noise.sd, metric)} (sd), {noise.source}")
    tell(remarks(table))
    print_words(*_what_follows(table, name, out).split("\n"))
    return 0


def _print_candidates(found: Sequence[Candidate], metric: str) -> None:

    out, settings = output(), found[0].configuration
    prefix = without_prefix([name for one in found for name in one.trials])[0] if out.terminal else ""
    headings = ["#", "believed", "+-", "observed", "its place", "trial", "state", *settings]
    ranks = [0, 1, 2, 3, 7, 4, 6, *[5] * len(settings)]
    rows = [
        [
            str(place),
            with_unit(one.mean, metric),
            "" if one.sd is None else with_unit(one.sd, metric),
            with_unit(one.observed, metric),
            str(one.rank),
            ", ".join(name.removeprefix(prefix) for name in one.trials),
            one.state,
            *(short(text) for text in one.configuration.values()),
        ]
        for place, one in enumerate(found, 1)
    ]
    print_rows(headings, rows, ranks, out=out, title=f"trials {prefix}*" if prefix else "")


def _what_follows(table: TrialTable, name: str, out: Path) -> str:
    """Returns the verdict where there is one.

    Else how far the search is, why it cannot be confirmed, or the command that does so.
    """
    if verdict := find_verdict(out, table):
        return "\n".join(filter(None, (verdict.sentence, differences(table, verdict.baseline))))
    if table.under_way:
        return progress(table)
    if why := hindrance(table):
        return f"no confirmation: {why}"
    where = "" if out == Path("runs") else f" OUT={out}"
    return f"next: make confirm EXPERIMENT={name}{where}{table.venue.variables}"


def _record(one: object) -> dict[str, object]:

    return asdict(one)  # type: ignore[call-overload,no-any-return]
