"""The image's entrypoint: `python -m katib.services`, with what Katib gives to each of its containers.

katib-config can set a command for a suggestion service alone. The container of an early-stopping service is started
without arguments and a metrics collector with flags, so these two are told apart by that.
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Becomes the service that the arguments are for. An exit code."""
    if argv:
        from katib.services.collector.__main__ import main as collect

        return collect(argv)
    from katib.services.early_stopping import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
