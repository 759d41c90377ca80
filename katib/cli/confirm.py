"""Trains the best configurations with three seeds: better than the baseline, or not?"""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from katib.cli._follow import Data, Followed, How, OnCluster, Seeds, follow, numbers
from katib.cli.options import MOST, Context, Json, Out, SiteFile, Yes
from katib.conclude.confirmation import SEEDS, conclude, keep, plan_confirmation, verdict_record
from katib.conclude.fixed_runs import Plan
from katib.conclude.remarks import differences
from katib.conclude.verdict import Verdict
from katib.errors import SepsweepError
from katib.manifest.object import Manifest
from katib.spec import search_name
from katib.table.trial_table import TrialTable
from katib.terminal import print_rows, print_words
from katib.text import count, short, with_unit


def confirm(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="name of the search, or its model")],
    data: Data = None,
    out: Out = Path("runs"),
    seeds: Seeds = None,
    top: Annotated[int, typer.Option(help="how many configurations", min=1, max=MOST)] = 3,
    baseline: Annotated[str, typer.Option(help="values to beat by seed, 42=3.01,123=2.87 (default: the spec's)")] = "",
    cluster: OnCluster = False,
    site: SiteFile = None,
    context: Context = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Run the best configurations of EXPERIMENT with each seed, as an Experiment of its own, and state the verdict.

    Started again it goes on, and says how far it is; with --json it starts nothing.
    """
    name, beaten = search_name(experiment), _baseline(baseline)
    wanted = SEEDS if seeds is None else numbers(seeds)

    def make(table: TrialTable, manifest: Mapping[str, Any]) -> Plan:
        return plan_confirmation(table, manifest, seeds=wanted, top=top, baseline=beaten)

    how = How(out=out, data=data, cluster=cluster, site=site, context=context, yes=yes, look=as_json)
    found = follow(name, "confirm", make, _show, how)
    _require_same(found, None if seeds is None else wanted, beaten)
    verdict = conclude(found.plan, found.table) if found.table is not None else None
    if verdict is not None and how.on_cluster:
        keep(out, name, verdict)
    if as_json:
        return _print_json(found, verdict)
    return _close(found, verdict)


def _baseline(text: str) -> dict[int, float] | None:

    if not text:
        return None
    found: dict[int, float] = {}
    pairs = [part.partition("=") for part in text.replace(",", " ").split()]
    for seed, _, value in pairs:
        try:
            found[int(seed)] = float(value)
        except ValueError:
            break
    if len(found) < max(1, len(pairs)) or not all(map(math.isfinite, found.values())):
        raise SepsweepError(
            f"--baseline '{text}': finite values by seed, each seed once, such as 42=3.01,123=2.87,456=3.20"
        )
    return found


def _require_same(found: Followed, seeds: tuple[int, ...] | None, baseline: dict[int, float] | None) -> None:
    """What was planned before the runs stays: a plan that follows the results proves nothing."""
    plan = found.plan
    if seeds is not None and plan.seeds != seeds:
        told = ",".join(map(str, plan.seeds))
        print(f"note: '{found.name}' was planned with seeds {told}, and stays so", file=sys.stderr)
    if baseline is not None and plan.baseline != baseline:
        print(f"note: '{found.name}' was planned with another baseline, and stays so", file=sys.stderr)


def _show(found: Followed) -> None:

    plan, metric = found.plan, Manifest.of(found.manifest).metrics[0]
    known = sum(len(group.known) for group in plan.groups)
    again = f"; {count(known, 'run')} of the search ran to the end and count" if known else ""
    print_words(
        f"confirm: experiment '{found.name}', {count(found.outstanding, 'run')}: {count(len(plan.groups), 'configuration')}"
        f" of '{plan.search}' with seeds {', '.join(map(str, plan.seeds))}{again}"
    )
    rows = [
        [
            str(place),
            "" if group.mean is None else with_unit(group.mean, metric),
            ", ".join(str(seed) for seed in plan.seeds if seed not in group.known),
            *map(short, group.configuration.values()),
        ]
        for place, group in enumerate(plan.groups, 1)
    ]
    print_rows(["#", "believed", "seeds to run", *plan.groups[0].configuration], rows)
    if not plan.baseline:
        print_words(
            "note: there is no baseline to compare with; give one with --baseline (BASELINE=42=3.01,123=2.87,456=3.20)"
        )


def _close(found: Followed, verdict: Verdict | None) -> int:

    plan, values, metric = found.plan, found.values, Manifest.of(found.manifest).metrics[0]
    rows = []
    for place, (group, by_seed) in enumerate(zip(plan.groups, values, strict=True), 1):
        mean = with_unit(sum(by_seed.values()) / len(by_seed), metric) if by_seed else ""
        each = [with_unit(by_seed[seed], metric) if seed in by_seed else "" for seed in plan.seeds]
        rows.append([str(place), mean, *each, *map(short, group.configuration.values())])
    headings = ["#", "mean", *(f"seed {seed}" for seed in plan.seeds), *plan.groups[0].configuration]
    print_rows(headings, rows)
    for line in found.failures:
        print(f"failed: {line}", file=sys.stderr)
    if verdict is not None:
        told = differences(found.table, verdict.baseline) if found.table else ""
        print_words(verdict.sentence, told)
        first = plan.groups[0].configuration
        if dict(verdict.configuration) != first:
            print_words("note: the search's first choice did not come through; the verdict is on the next one")
        settings = ", ".join(f"{name} {text}" for name, text in verdict.configuration.items())
        print_words(f"      {settings}", indent=6)
        return 0
    if found.outstanding:
        print_words(
            f"no verdict yet: {count(found.outstanding, 'run')} of {len(plan.words)} to go; the same command goes on"
        )
        return found.code
    print("error: none of the confirming runs ended with a value", file=sys.stderr)
    return found.code or 1


def _print_json(found: Followed, verdict: Verdict | None) -> int:

    groups = [
        {
            "configuration": group.configuration,
            "mean": group.mean,
            "sd": group.sd,
            "seeds": {str(seed): value for seed, value in by_seed.items()},
        }
        for group, by_seed in zip(found.plan.groups, found.values, strict=True)
    ]
    record = {
        "experiment": found.name,
        "search": found.plan.search,
        "candidates": groups,
        "runs_to_go": found.outstanding,
        "verdict": verdict_record(verdict) if verdict else None,
    }
    print(json.dumps(record, indent=2))
    return 0
