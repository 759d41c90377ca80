"""Names the unknown variables and the unknown target of a make command line, each with the nearest known one.

The Makefile runs it with the machine's own Python, before there is an environment: it needs only the standard library
of Python 3.9 or later.
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches


def message(unknown: Sequence[str], known: Sequence[str], typed: Sequence[str] = ()) -> str:
    """Returns one line about the `unknown` variables, in the order in which they were `typed`; make reverses it."""
    order = [word.partition("=")[0].rstrip(":?+!") for word in reversed(typed)]
    first, *others = sorted(unknown, key=lambda name: order.index(name) if name in order else len(order))
    near = _nearest(first, known)
    valid = f"it takes {', '.join(known)}" if known else "it takes none"
    line = f"unknown variable {first}, " + (f"did you mean {near}?" if near else valid)
    if others:
        line += f" ({', '.join(f'{name}: {_nearest(name, known) or valid}' for name in others)})"
    return line


def target(unknown: str, known: Sequence[str], arguments: Sequence[str] = ()) -> str:
    """Returns one line about an unknown target; after a target that takes `arguments`, it was meant as one of them."""
    if arguments:
        return f"no such target, did you mean {arguments[0]}={unknown}?"
    near = get_close_matches(unknown.lower().replace("_", "-"), known, n=1)
    return "no such target, " + (f"did you mean {near[0]}?" if near else "make help lists them")


def _nearest(name: str, known: Sequence[str]) -> str:
    """Returns the known variable that `name` was probably meant to be; empty where none is near."""
    return next(iter(get_close_matches(name.upper().replace("-", "_"), known, n=1)), "")


def _groups(words: Sequence[str]) -> Iterator[list[str]]:
    """Yields the words between the separators `--`."""
    rest = iter(words)
    while True:
        yield list(itertools.takewhile(lambda word: word != "--", rest))


if __name__ == "__main__":
    groups = _groups(sys.argv[1:])
    if sys.argv[1] == "--target":
        print(target(next(groups)[1], next(groups), next(groups)))
        sys.exit()
    print(message(next(groups), next(groups), next(groups)))
