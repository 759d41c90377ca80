"""Changes valid files as a stranger or an accident would: JSON by its structure, any other file by its bytes.

Each change takes a `random.Random`, so the same seed makes the same change; hypothesis passes one that it can shrink.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any


@dataclass(frozen=True)
class Reader:
    """A reader under test: `change` makes an input; `read` reads it in an empty folder and uses it as the verbs do."""

    change: Callable[[Random], bytes]
    read: Callable[[bytes, Path], None]


TEXTS = (
    "", " ", "x" * 5000, "../../../x", "/etc/passwd", "a\x00b", "\x1b[2J", "\u202e", "\ud800", "=1+1", "-1", "1e999",
    "nan", "Infinity", "9" * 5000, "<script>", "```", "${trialParameters.x}", "$(X)", "((((", "a{1000}{1000}",
    "10000-01-01", "null", "2026-11-28T21:00:00Z",
)  # fmt: skip
NUMBERS = (
    0,
    -1,
    1,
    2**31,
    2**63,
    -(2**63),
    10**18,
    10**400,
    0.5,
    -0.0,
    1e308,
    -1e308,
    1e-320,
    float("inf"),
    float("nan"),
)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"name": "x"},
    ["x"] * 1000,
    [1.5, "x", None],
)
TOKENS = (
    b"\x00", b"\xff\xfe", b"\n", b"\r", b"\t", b'"', b"'", b"{", b"}", b"[" * 2000, b"{a: " * 300, b"&a ", b"*a",
    b"|", b">", b"!!python/object:x ", b"!!binary ", b"<<: ", b"? ", b"- - - ", b"%YAML 9.9\n", b"---\n", b"...",
    b": ", b"#", b"9" * 5000, b"1e999", b".inf", b"0x", b"0o8", b"1_0", b"2026-11-28", b"\xe2\x80\xae",
    b"\xed\xa0\x80", b"\x1b[2J", b",", b";", b"../", b"\x85", b"=",
)  # fmt: skip


def value(draw: Random) -> Any:
    """Returns a value that nobody expects."""
    kind = draw.randrange(8)
    if kind < 3:
        return draw.choice(TEXTS)
    if kind < 6:
        return draw.choice(NUMBERS)
    if kind == 6:
        return copy.deepcopy(draw.choice(OTHERS))
    found: Any = draw.choice(TEXTS)
    for _ in range(draw.choice((1, 10, 70, 100))):
        found = [found] if draw.randrange(2) else {"a": found}
    return found


def document(draw: Random, seed: Any) -> Any:
    """Returns a JSON value of which one to four places are replaced, removed, doubled, renamed or exchanged."""
    made = copy.deepcopy(seed)
    for _ in range(1 + draw.randrange(4)):
        places = list(_places(made))
        if not places:
            return value(draw)
        holder, key = draw.choice(places)
        change = draw.randrange(6)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, list):
            holder.extend([copy.deepcopy(holder[key])] * draw.choice((1, 50)))
        elif change == 1:
            holder[draw.choice(TEXTS)] = holder.pop(key)
        elif change == 2:
            other, where = draw.choice(places)
            holder[key] = copy.deepcopy(other[where])
        else:
            holder[key] = value(draw)
    return made


def as_json(draw: Random, seed: Any) -> bytes:
    """Returns the text of a changed JSON value, now and then with its bytes changed as well."""
    text = json.dumps(document(draw, seed)).encode()
    return content(draw, text) if draw.randrange(6) == 0 else text


def content(draw: Random, seed: bytes) -> bytes:
    """Returns the bytes with one to four pieces changed, removed, doubled, or with something inserted between them."""
    made = bytearray(seed)
    for _ in range(1 + draw.randrange(4)):
        begin = draw.randrange(len(made) + 1)
        end = min(len(made), begin + draw.choice((1, 1, 4, 30, 300)))
        change = draw.randrange(5)
        if change == 0:
            made[begin:end] = bytes(draw.randrange(256) for _ in range(end - begin))
        elif change == 1:
            del made[begin:end]
        elif change == 2:
            made[begin:begin] = made[begin:end] * draw.choice((1, 2, 100))
        elif change == 3:
            made[begin:end] = draw.choice(TOKENS)
        else:
            made[begin:begin] = draw.choice(TOKENS)
    return bytes(made)


def _places(found: Any) -> Iterator[tuple[Any, Any]]:
    """Yields every place of a JSON value: what holds it, and the key or index there."""
    waiting = [found]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
                yield holder, key
                waiting.append(holder[key])
