"""Logs to stderr, each message on one line, whatever a caller or a trainer has put into it."""

import logging
import sys

from katib.untrusted import clean


class _OneLine(logging.Formatter):
    """Removes from a message what a terminal would obey; a trace below it is Python's own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return clean(super().formatMessage(record))


def to_stderr(line: str) -> None:
    """Logs from INFO on, in the format `line`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(line))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
