"""Carries the reason of an early stop from the service to the collector and back to be written down, as metadata of the calls.

Katib's messages have no field for it, and the service may be started again between its verdict and the mark.
"""

from collections.abc import Iterable
from typing import Any

KEY = "sepsweep-reason-bin"
LONGEST = 500
"""Characters that are taken: anybody in the namespace may send some."""


def sent(reason: str) -> tuple[tuple[str, bytes], ...]:
    """The metadata that holds `reason`."""
    return ((KEY, reason.encode()),) if reason else ()


def received(metadata: Iterable[Any] | None) -> str:
    """The reason that `metadata` holds, in one line; empty where it holds none."""
    found = next((value for key, value in metadata or () if key == KEY), b"")
    text = found.decode(errors="replace") if isinstance(found, bytes) else str(found)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:LONGEST]
