"""Prints what doctor's checks found."""

from collections.abc import Iterable

from katib.backend.cluster.doctor.result import Result
from katib.terminal import output

COLOURS = {"ok": "green", "unknown": "blue", "warning": "yellow", "error": "red"}


def print_results(results: Iterable[Result], *, all_of_them: bool) -> None:
    """Prints one line for each check, and the effect and the fix below each problem."""
    out = output()
    for result in results:
        if result.status in ("ok", "unknown") and not all_of_them:
            continue
        bold = "bold " if result.status == "error" else ""
        lead = (f"{result.status:8}", bold + COLOURS[result.status])
        out.words(f"{result.check}: {result.problem}", lead=lead, indent=10)
        if result.status in ("warning", "error"):
            out.words(f"        effect: {result.effect}", indent=16)
            out.words(f"        fix:    {result.fix}", indent=16)
