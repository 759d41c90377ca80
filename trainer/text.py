"""Words of messages."""

import re
from collections.abc import Iterable
from difflib import get_close_matches


def count(number: int, noun: str, plural: str = "") -> str:
    """Returns the number with its noun: 1 epoch, 2 epochs; `plural` is needed where it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def one_line(text: str) -> str:
    """Returns the text as one line without control characters, which a terminal would obey."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", " ", text).split())


def first_line(error: Exception) -> str:
    """Returns the first line of what an error says, or else its name."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def nearest(word: str, valid: Iterable[str]) -> str:
    """Returns the end of a message: the valid word that `word` was probably meant to be, or all valid words."""
    options = list(valid)
    # In a word of three letters another letter is another word: gpu is not meant to be cpu.
    close = get_close_matches(word, options, n=1, cutoff=0.7 if len(word) == 3 else 0.6)
    return f"did you mean '{close[0]}'?" if close else f"valid: {', '.join(options)}"
