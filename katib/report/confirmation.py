"""Prints a confirmation: the runs that it takes, how far they are, and the verdict."""

import sys

from katib.conclude.confirmation import verdict_record
from katib.conclude.follow_up import FollowUp
from katib.conclude.plan import FollowUpPlan, Group
from katib.conclude.remarks import differences
from katib.conclude.verdict import Verdict
from katib.program import as_typed
from katib.terminal import print_rows, print_words
from katib.text import count, short, with_unit

CONTROL = "; and the trainer's defaults as a control, unless BASELINE= (--baseline) gives values of as many mixtures"


def print_plan(follow_up: FollowUp) -> None:
    """Prints which configurations are to be run with which seeds."""
    plan, metric = follow_up.plan, follow_up.manifest.measure
    known = sum(len(group.known) for group in plan.groups)
    counted = f"; {count(known, 'run')} of the search {'counts' if known == 1 else 'count'} as well" if known else ""
    print_words(
        f"confirm: experiment '{follow_up.name}', {count(follow_up.outstanding, 'run')}:"
        f" {count(sum(not group.control for group in plan.groups), 'configuration')} of '{plan.search}'"
        f" with seeds {', '.join(map(str, plan.seeds))}{_size(plan)}{counted}{CONTROL if plan.control else ''}"
    )
    rows = [
        [
            _number(number, group),
            "" if group.mean is None else with_unit(group.mean, metric),
            ", ".join(str(seed) for seed in plan.seeds if seed not in group.known),
            *_settings(group, plan),
        ]
        for number, group in enumerate(plan.groups, 1)
    ]
    print_rows(["#", "estimated mean", "seeds to run", *plan.groups[0].configuration], rows)
    if not (plan.baseline or plan.control):
        print_words("note: no baseline to compare with; give one with BASELINE=42=3.01,123=2.87,456=3.20 (--baseline)")


def _number(number: int, group: Group) -> str:
    return "control" if group.control else str(number)


def _settings(group: Group, plan: FollowUpPlan) -> list[str]:
    """Returns the settings of a group in the order of the first one's; the control has none of the search's."""
    return [short(group.configuration.get(name, "default")) for name in plan.groups[0].configuration]


def _size(plan: FollowUpPlan) -> str:
    return f" on {plan.train_limit} mixtures" if plan.train_limit else ""


def print_outcome(follow_up: FollowUp, verdict: Verdict | None) -> int:
    """Prints the values of each configuration and the verdict, or how many runs it still takes.

    Returns the exit code: 1 where every run has ended and none has a value.
    """
    plan, metric = follow_up.plan, follow_up.manifest.measure
    rows = []
    for number, (group, by_seed) in enumerate(zip(plan.groups, follow_up.values, strict=True), 1):
        mean = with_unit(sum(by_seed.values()) / len(by_seed), metric) if by_seed else ""
        each = [with_unit(by_seed[seed], metric) if seed in by_seed else "" for seed in plan.seeds]
        rows.append([_number(number, group), mean, *each, *_settings(group, plan)])
    headings = ["#", "mean", *(f"seed {seed}" for seed in plan.seeds), *plan.groups[0].configuration]
    print_rows(headings, rows)
    for line in follow_up.failures:
        print(f"failed: {as_typed(line)}", file=sys.stderr)
    if verdict is not None:
        _print_verdict(follow_up, verdict)
        return 0
    if follow_up.left:
        print_words(f"no verdict yet: {follow_up.left}")
        return follow_up.code
    print("error: none of the confirming runs ended with a value", file=sys.stderr)
    return follow_up.code or 1


def _print_verdict(follow_up: FollowUp, verdict: Verdict) -> None:
    print_words(verdict.sentence, differences(follow_up.table, verdict.baseline) if follow_up.table else "")
    if dict(verdict.configuration) != follow_up.plan.groups[0].configuration:
        print_words("note: no new run of the search's first choice has a value; the verdict is on the next one")
    if follow_up.plan.control:
        print_words(f"note: the baseline is the control, the trainer's defaults{_size(follow_up.plan)}")
    settings = ", ".join(f"{name} {text}" for name, text in verdict.configuration.items())
    print_words(f"      {settings}", indent=6)


def record(follow_up: FollowUp, verdict: Verdict | None) -> dict[str, object]:
    """Returns the confirmation for JSON."""
    groups = [
        {
            "configuration": group.configuration,
            "mean": group.mean,
            "sd": group.sd,
            "seeds": {str(seed): value for seed, value in by_seed.items()},
            **({"control": True} if group.control else {}),
        }
        for group, by_seed in zip(follow_up.plan.groups, follow_up.values, strict=True)
    ]
    return {
        "experiment": follow_up.name,
        "search": follow_up.plan.search,
        "candidates": groups,
        "runs_to_go": follow_up.outstanding,
        "verdict": verdict_record(verdict) if verdict else None,
    }
