"""The page that `python -m katib` prints without a verb: the first steps, and the verbs in the order of their use."""

import shutil
from collections.abc import Callable
from textwrap import fill

PROGRAM = "python -m katib"
GROUPS = {
    "Begin": ("demo", "corpus", "pack"),
    "Search": ("plan", "local", "render", "check", "sweep"),
    "Conclude": ("results", "report", "ui", "best", "confirm", "arch", "log"),
    "On a cluster with Katib": (
        "doctor",
        "install-katib",
        "images",
        "deploy",
        "status",
        "logs",
        "pause",
        "resume",
        "stop",
        "delete",
    ),
}
WIDEST, NAME = 100, 16


def overview(summary: Callable[[str], str]) -> str:
    """Returns the page, in lines of the terminal's width; `summary` returns the sentence that describes a verb."""
    width = min(WIDEST, shutil.get_terminal_size().columns)
    head = (
        "Sepsweep finds the training hyperparameters of speech-separation models.",
        "",
        f"Usage: {PROGRAM} VERB [OPTIONS]; make VERB takes --trials 6 as TRIALS=6",
        "",
        "First, from nothing to a report in minutes:",
        f"  {PROGRAM} demo",
        "Then a search on your own corpus, and the options of a verb:",
        f"  {PROGRAM} local convtasnet --preset debug --data path/to/PolSESS",
        f"  {PROGRAM} local --help",
    )
    found = list(head)
    for heading, verbs in GROUPS.items():
        found += ["", heading]
        found += [
            fill(
                summary(verb),
                width,
                initial_indent=f"  {verb:{NAME - 2}}",
                subsequent_indent=" " * NAME,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for verb in verbs
        ]
    return "\n".join(found)
