"""Starts the collector. stdout is a copy of the trainer's output, for `kubectl logs` and Katib's UI; messages go to stderr."""

import logging
import sys
from collections.abc import Sequence

from katib.services.collector.arguments import ArgumentError, parse
from katib.services.collector.watch import Watch

BAD_INPUT = 2


def main(argv: Sequence[str]) -> int:
    """Watches one trial. An exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s collector: %(message)s")
    try:
        arguments = parse(argv)
    except ArgumentError as error:
        print(f"collector: {error}", file=sys.stderr)
        return BAD_INPUT
    return Watch(arguments).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
