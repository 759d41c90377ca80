"""Starts a service by its arguments: `python -m katib.services` is the entrypoint of the image.

katib-config can set a command only for a suggestion service. Katib starts the container of an early-stopping service
without arguments and a metrics collector with flags.
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Runs the service that the arguments are for; returns its exit code."""
    if argv:
        from katib.services.collector.__main__ import main as collect

        return collect(argv)
    from katib.services.early_stopping import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
