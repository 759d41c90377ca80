"""Errors that a user can fix; the command line prints each as one line. Any other error is a bug."""

from bisect import bisect
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

MOST_OPTIONS, NEIGHBOURS, LONGEST_WORD = 100, 20, 200
LEAST_LETTERS = 3
"""A shorter beginning of a word does not identify it."""


class SepsweepError(Exception):
    """The base of all errors that name what is wrong, where, and what to do next.

    `exit_code` is 2 if the input is bad and 1 if something else failed, such as a trial or the cluster.
    """

    exit_code = 2


class SpecError(SepsweepError):
    """A search specification (katib/specs/*.yaml) is not valid."""


class SiteError(SepsweepError):
    """A site file (k8s/site.yaml) is not valid."""


class ManifestError(SepsweepError):
    """A file is not an Experiment manifest that can be run."""


class FolderError(SepsweepError):
    """A folder that the user named is missing, empty, or cannot be written."""


class NotifyError(SepsweepError):
    """Whom to notify is no address and no command, or is not for typing."""


class CostError(SepsweepError):
    """A search would cost more than the user can have meant, and there is no terminal to ask on."""


class EngineError(SepsweepError):
    """The local search cannot continue."""

    exit_code = 1


class RecordError(EngineError):
    """A file of a local search is damaged, or was written by another program."""

    exit_code = 2


class PageError(SepsweepError):
    """A page cannot be served on this machine."""


class ClusterError(SepsweepError):
    """The cluster refused or could not be reached."""

    exit_code = 1


class ResultError(SepsweepError):
    """The trials do not support the conclusion that was asked for."""

    exit_code = 1


class UnansweredError(SepsweepError):
    """The question that comes before a change was not answered."""

    exit_code = 1


def nearest(word: str, valid: Iterable[str]) -> str:
    """Returns the end of a message: the valid word that `word` was probably meant to be, or else all valid words.

    Among very many words, only the alphabetical neighbours are compared, and only the first ones are listed.
    """
    options, near, listed = _options(tuple(valid))
    plain = word.strip().lower()
    if len(plain) > LONGEST_WORD:
        return f"valid: {listed}"
    if len(options) > MOST_OPTIONS:
        place = bisect(near, plain)
        near = near[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]
    # A common beginning says more than similar letters: by its letters alone, "bayes" is nearer to "cmaes" than to
    # "bayesianoptimization".
    begun = [option for option in near if len(plain) >= LEAST_LETTERS and option.startswith(plain)]
    longer = sorted((option for option in near if len(option) >= LEAST_LETTERS and plain.startswith(option)), key=len)
    close = begun if len(begun) == 1 else get_close_matches(plain, near, n=1) or longer[-1:]
    return f"did you mean '{options[close[0]]}'?" if close else f"valid: {listed}"


@lru_cache(maxsize=16)
def _options(valid: tuple[str, ...]) -> tuple[dict[str, str], list[str], str]:
    """Returns the valid words by their lower-case form, these forms in order, and the list of all words to print.

    The cache serves inputs with many misspelt words.
    """
    options = {option.lower(): option for option in sorted(valid)}
    shown = [word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}..." for word in options.values()]
    if len(shown) > MOST_OPTIONS:
        shown = [*shown[:NEIGHBOURS], f"and {len(shown) - NEIGHBOURS} more"]
    listed = ", ".join(shown)
    near = [option for option in options if len(option) <= LONGEST_WORD]
    return options, sorted(near) if len(options) > MOST_OPTIONS else near, listed
