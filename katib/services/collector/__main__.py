"""Starts the collector.

It copies the trainer's output to stdout, for `kubectl logs` and Katib's UI; its own messages go to stderr.
"""

import sys
from collections.abc import Sequence

from katib.services.collector.arguments import ArgumentError, parse
from katib.services.collector.watch import Watch
from katib.services.log import to_stderr

BAD_INPUT = 2


def main(argv: Sequence[str]) -> int:
    """Watches one trial; returns the exit code."""
    to_stderr("%(asctime)s collector: %(message)s")
    try:
        arguments = parse(argv)
    except ArgumentError as error:
        print(f"collector: {error}", file=sys.stderr)
        return BAD_INPUT
    return Watch(arguments).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
