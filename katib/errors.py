"""Errors that a user can mend. The command line prints each as one line; anything else is a bug and shows its trace."""

from bisect import bisect
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

MOST_OPTIONS, NEIGHBOURS, LONGEST_WORD = 100, 20, 200
LEAST_LETTERS = 3
"""Of a word, by which one that begins with it is known."""


class SepsweepError(Exception):
    """Base of all errors that name what is wrong, where, and what to do next.

    `exit_code` is 2 where the input is bad and 1 where the world failed (a trial, a cluster).
    """

    exit_code = 2


class SpecError(SepsweepError):
    """A search specification (katib/specs/*.yaml) is not valid."""


class SiteError(SepsweepError):
    """A site file (k8s/site.yaml) is not valid."""


class ManifestError(SepsweepError):
    """A file is not an Experiment manifest that can be run."""


class FolderError(SepsweepError):
    """A folder that the caller named is missing, empty, or cannot be written."""


class CostError(SepsweepError):
    """A search would cost more than its caller can have meant, and there is nobody to ask."""


class EngineError(SepsweepError):
    """The local search cannot go on."""

    exit_code = 1


class RecordError(EngineError):
    """A file of a local search is damaged, somebody else's, or not what it seems."""

    exit_code = 2


class ClusterError(SepsweepError):
    """The cluster refused or could not be reached."""

    exit_code = 1


class ResultError(SepsweepError):
    """The trials do not support the conclusion that was asked for."""

    exit_code = 1


class UnansweredError(SepsweepError):
    """A question before a change was broken off."""

    exit_code = 1


def nearest(word: str, valid: Iterable[str]) -> str:
    """Returns the valid word that `word` was probably meant to be, or the list of all of them, as the tail of a
    message.

    Of very many words only those that come next in the alphabet are looked at, and the first are listed.
    """
    options, near, listed = _options(tuple(valid))
    plain = word.strip().lower()
    if len(plain) > LONGEST_WORD:
        return f"valid: {listed}"
    if len(options) > MOST_OPTIONS:
        place = bisect(near, plain)
        near = near[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]
    # A beginning says more than likeness: "bayes" is nearer to "cmaes" than to "bayesianoptimization" by its letters
    # alone.
    begun = [option for option in near if len(plain) >= LEAST_LETTERS and option.startswith(plain)]
    longer = sorted((option for option in near if len(option) >= LEAST_LETTERS and plain.startswith(option)), key=len)
    close = begun if len(begun) == 1 else get_close_matches(plain, near, n=1) or longer[-1:]
    return f"did you mean '{options[close[0]]}'?" if close else f"valid: {listed}"


@lru_cache(maxsize=16)
def _options(valid: tuple[str, ...]) -> tuple[dict[str, str], list[str], str]:
    """Returns the valid words by their small letters, these in order, and all words as a list to print: made once for
    many slips.
    """
    options = {option.lower(): option for option in sorted(valid)}
    shown = [word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}..." for word in options.values()]
    if len(shown) > MOST_OPTIONS:
        shown = [*shown[:NEIGHBOURS], f"and {len(shown) - NEIGHBOURS} more"]
    listed = ", ".join(shown)
    near = [option for option in options if len(option) <= LONGEST_WORD]
    return options, sorted(near) if len(options) > MOST_OPTIONS else near, listed
