"""The page that the program prints without a verb: the first steps, and the verbs in the order of their use."""

import shutil
from collections.abc import Callable
from textwrap import fill

from katib.program import GROUPS, name

WIDEST, COLUMN = 100, 16


def overview(summary: Callable[[str], str]) -> str:
    """Returns the page, in lines of the terminal's width; `summary` returns the sentence that describes a verb."""
    program = name()
    make = "" if program == "sepsweep" else "; make VERB takes --trials 6 as TRIALS=6"
    width = min(WIDEST, shutil.get_terminal_size().columns)
    head = (
        "Sepsweep finds the training hyperparameters of speech-separation models.",
        "",
        f"Usage: {program} VERB [OPTIONS]{make}",
        "",
        "First, from nothing to a report in minutes:",
        f"  {program} demo",
        "Then a search on your own corpus, and the options of a verb:",
        f"  {program} local convtasnet --preset debug --data path/to/PolSESS",
        f"  {program} local --help",
        "Or one of a trainer of your own, which prints its metric once an epoch:",
        f"  {program} init mine.yaml",
        f"  {program} local mine.yaml",
    )
    found = list(head)
    for heading, verbs in GROUPS.items():
        found += ["", heading]
        found += [
            fill(
                summary(verb),
                width,
                initial_indent=f"  {verb:{COLUMN - 2}}",
                subsequent_indent=" " * COLUMN,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for verb in verbs
        ]
    return "\n".join(found)
