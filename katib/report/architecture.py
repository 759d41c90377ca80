"""Prints an architecture sweep: the runs that it takes, and the result and cost of each variant."""

import sys
from collections.abc import Sequence
from pathlib import Path

from katib.conclude.architecture import Variant, front
from katib.conclude.follow_up import FollowUp
from katib.errors import ResultError
from katib.files import write_whole
from katib.program import as_typed
from katib.report.pareto import AXES, axes, page
from katib.terminal import print_rows, print_words
from katib.text import count, duration, settings_text, with_unit

PLOT = "pareto.html"


def print_plan(follow_up: FollowUp) -> None:
    """Prints which architectures are to be trained, and with which settings."""
    plan = follow_up.plan
    known = sum(len(group.known) for group in plan.groups)
    counted = f"; {count(known, 'run')} of the search's own architecture count" if known else ""
    values = ", ".join(group.configuration[plan.field] for group in plan.groups)
    print_words(
        f"arch: experiment '{follow_up.name}', {count(follow_up.outstanding, 'run')}: {plan.field} {values}"
        f" with seeds {', '.join(map(str, plan.seeds))}{counted}"
    )
    settings = {name: text for name, text in plan.groups[0].configuration.items() if name != plan.field}
    print_words(f"      the best of '{plan.search}': {settings_text(settings)}")


def print_outcome(follow_up: FollowUp, variants: Sequence[Variant], out: Path) -> int:
    """Prints the variants, writes their plot below `out`, and returns the exit code.

    Raises ResultError where every run has ended and none has a value.
    """
    plan = follow_up.plan
    valued = any(variant.mean is not None for variant in variants)
    if not valued and not follow_up.outstanding:
        raise ResultError(
            f"none of the runs of '{follow_up.name}' ended with a value: {'; '.join(follow_up.failures[:1])}"
        )
    _print_variants(follow_up, variants)
    for line in follow_up.failures:
        print(f"failed: {as_typed(line)}", file=sys.stderr)
    if valued:
        path = out / follow_up.name / PLOT
        metric, direction = follow_up.manifest.measure, follow_up.manifest.direction
        write_whole(path, [page(plan, variants, metric, direction=direction)])
        print(f"written: {path}")
    print_words(follow_up.left)
    return follow_up.code


def _print_variants(follow_up: FollowUp, variants: Sequence[Variant]) -> None:
    """Prints one line for each variant, with the time of a step, or that of an epoch where no run tells its steps."""
    plan, metric, direction = follow_up.plan, follow_up.manifest.measure, follow_up.manifest.direction
    measured = any(variant.step_seconds is not None for variant in variants)
    rows = []
    for variant in variants:
        seconds = variant.step_seconds if measured else variant.epoch_seconds
        cheapest = [cost for cost in axes(variants) if variant in front(variants, cost, direction=direction)]
        rows.append(
            [
                variant.value,
                "" if variant.mean is None else with_unit(variant.mean, metric),
                "" if variant.half_width is None else with_unit(variant.half_width, metric),
                *(with_unit(variant.seeds[seed], metric) if seed in variant.seeds else "" for seed in plan.seeds),
                "" if variant.parameters is None else f"{variant.parameters:,}",
                "" if variant.multiply_adds is None else f"{variant.multiply_adds / 1e9:.3g} G",
                "" if seconds is None else f"{1e3 * seconds:.3g} ms" if seconds < 1 else duration(seconds),
                ", ".join(AXES[cost][0].split(",")[0] for cost in cheapest),
            ]
        )
    seeds = [f"seed {seed}" for seed in plan.seeds]
    costs = ["parameters", "multiply-adds", "step" if measured else "epoch", "no other is better and cheaper in"]
    headings, ranks = [plan.field, "mean", "±", *seeds, *costs], [0, 1, 2, *[6] * len(seeds), 3, 4, 5, 7]
    # A command's parameters are nobody's to count.
    shown = [place for place, rank in enumerate(ranks) if rank not in (3, 4) or any(row[place] for row in rows)]
    print_rows(
        [headings[place] for place in shown],
        [[row[place] for place in shown] for row in rows],
        [ranks[place] for place in shown],
    )


def record(follow_up: FollowUp, variants: Sequence[Variant]) -> dict[str, object]:
    """Returns the sweep for JSON."""
    return {
        "experiment": follow_up.name,
        "search": follow_up.plan.search,
        "field": follow_up.plan.field,
        "variants": [
            {
                "value": variant.value,
                "seeds": {str(seed): value for seed, value in variant.seeds.items()},
                "mean": variant.mean,
                "half_width": variant.half_width,
                "parameters": variant.parameters,
                "multiply_adds": variant.multiply_adds,
                "step_seconds": variant.step_seconds,
                "epoch_seconds": variant.epoch_seconds,
            }
            for variant in variants
        ],
        "runs_to_go": follow_up.outstanding,
    }
