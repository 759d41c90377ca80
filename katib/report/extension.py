"""Prints an extension: the runs that it takes, and what the additional epochs have brought."""

import sys

from katib.conclude.extension import Extended, extended
from katib.conclude.follow_up import FollowUp
from katib.program import as_typed
from katib.terminal import print_rows, print_words
from katib.text import count, difference, short, with_unit


def print_plan(follow_up: FollowUp) -> None:
    """Prints which trials are to be trained further, and from where."""
    plan, metric = follow_up.plan, follow_up.manifest.measure
    print_words(
        f"extend: experiment '{follow_up.name}', {count(follow_up.outstanding, 'run')} to {plan.epochs} epochs:"
        f" {count(len(plan.groups), 'configuration')} of '{plan.search}', from their checkpoints"
    )
    rows = [
        [
            one.source.trial,
            str(one.source.epochs),
            with_unit(one.source.value, metric),
            *map(short, one.group.configuration.values()),
        ]
        for one in extended(follow_up)
    ]
    print_rows(["goes on from", "epochs", "value", *plan.groups[0].configuration], rows)


def print_outcome(follow_up: FollowUp) -> int:
    """Prints what each run had before and has now, or how many runs it still takes.

    Returns the exit code: 1 where every run has ended and none has a value.
    """
    plan, metric = follow_up.plan, follow_up.manifest.measure
    found = extended(follow_up)
    rows = [
        [
            one.source.trial,
            one.state,
            f"{one.source.epochs} to {max(one.epochs, one.source.epochs)}",
            with_unit(one.source.value, metric),
            "" if one.value is None else with_unit(one.value, metric),
            "" if one.value is None else difference(one.value - one.source.value, metric),
            "" if one.best_epoch is None else str(one.best_epoch),
            *map(short, one.group.configuration.values()),
        ]
        for one in found
    ]
    headings = ["goes on from", "state", "epochs", "before", "now", "gain", "best epoch"]
    print_rows([*headings, *plan.groups[0].configuration], rows)
    for line in follow_up.failures:
        print(f"failed: {as_typed(line)}", file=sys.stderr)
    print_words(follow_up.left)
    if not follow_up.outstanding and all(one.value is None for one in found):
        print("error: none of the extended runs ended with a value", file=sys.stderr)
        return follow_up.code or 1
    return follow_up.code


def record(follow_up: FollowUp) -> dict[str, object]:
    """Returns the extension for JSON."""
    return {
        "experiment": follow_up.name,
        "search": follow_up.plan.search,
        "epochs": follow_up.plan.epochs,
        "runs": [_record(one) for one in extended(follow_up)],
        "runs_to_go": follow_up.outstanding,
    }


def _record(one: Extended) -> dict[str, object]:
    return {
        "configuration": one.group.configuration,
        "seed": one.source.seed,
        "continues": one.source.trial,
        "before": {"epochs": one.source.epochs, "value": one.source.value},
        "state": one.state,
        "epochs": one.epochs,
        "value": one.value,
        "best_epoch": one.best_epoch,
    }
