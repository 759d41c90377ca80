"""Specs and sites are read with kubectl's rules (goyaml v2, resolve.go and decode.go), as manifests are."""

from pathlib import Path
from typing import Any

import pytest

from katib.document import Strict, load
from katib.errors import SpecError


class Pair(Strict):
    """Two keys that take anything."""

    key: Any = None
    other: Any = None


def read(data: bytes, folder: Path) -> Pair:
    path = folder / "pair.yaml"
    path.write_bytes(data)
    return load(path, Pair, SpecError)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 1e-4),
        ("-1.5E+3", -1500),
        ("2026-11-24", "2026-11-24"),
        ("2026-11-24T09:30:00Z", "2026-11-24T09:30:00Z"),
        ("190:20:30", "190:20:30"),
        ("yes", True),
        ("no", False),
        ("on", True),
        ("OFF", False),
        ("n", False),
        ("'no'", "no"),
        ("010", 8),
        ("0o10", 8),
        ("09", 9),
        ("0b101", 5),
        ("=", "="),
        ("!!str 12", "12"),
        ("[&a {x: 1}, {<<: *a, z: 2}]", [{"x": 1}, {"x": 1, "z": 2}]),
        ("[&a {x: 1}, {x: 0, <<: *a}]", [{"x": 1}, {"x": 1}]),
        ("[&a {x: 1}, &b {x: 5, z: 2}, {<<: [*a, *b]}]", [{"x": 1}, {"x": 5, "z": 2}, {"x": 1, "z": 2}]),
        (
            "{1: a, 0x10: b, 1_0: c, 1e3: d, 1.5: e}",
            {"1": "a", "16": "b", "10": "c", "1000": "d", "1.5": "e"},
        ),
        ("{true: a, 'on': b, False: c}", {"true": "a", "on": "b", "false": "c"}),
        ("1e400", "1e400"),
        ("!!binary aGVsbG8=", "hello"),
        ("!!int '3'", 3),
        ("!own 3", "3"),
    ],
)
def test_scalar_of_a_spec_is_what_kubectl_takes_it_for(written: str, value: object, tmp_path: Path) -> None:
    """PyYAML takes 1e-4 for a text, 0o10 too, a date for a date, 190:20:30 for a number, and refuses `=`."""
    found = read(f"key: {written}\n".encode(), tmp_path).key
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text", ["\ufeffkey: 1\nother: 2\n", "---\nkey: 1\nother: 2\n...\n", "%YAML 1.1\n---\nkey: 1\nother: 2\n"]
)
def test_mark_of_order_and_marks_of_a_document_are_no_part_of_it(text: str, tmp_path: Path) -> None:
    assert read(text.encode(), tmp_path) == Pair(key=1, other=2)


LAUGHS = "key:\n- &a0 [x, x]\n" + "".join(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"key: 1\nother: 2\nkey: 3\n", "pair.yaml:3: key: key 'key' stands here a second time"),
        (b"key: {a: 1, a: 2}\n", "pair.yaml:1: key.a: key 'a' stands here a second time"),
        (b"key: 1\n---\nkey: 2\n", "pair.yaml:3: a second document begins here"),
        (b"key:\n\tother: 1\n", "pair.yaml:2: is not YAML: found character that cannot start any token"),
        (b"key: \xff\n", "is not UTF-8 text (byte 5)"),
        ("key: 1\n".encode("utf-16"), "is not UTF-8 text (byte 0)"),
        (b"key: \x00\n", "is not YAML"),
        (b"key: " + b"[" * 300 + b"]" * 300, "nested too deeply"),
        (b"key: " + b"{a: " * 5000, "is not YAML"),
        (b"key: *none\n", "found undefined alias 'none'"),
        (b"key: &a [*a]\n", "an alias refers to itself"),
        (LAUGHS.encode(), "aliases multiply beyond measure"),
        (b"key: .inf\n", "'.inf' is not finite"),
        (b"key: {y: 1}\n", "pair.yaml:1: key.true: key 'y' is the boolean true; write it in quotes"),
        (b"key: {~: 1}\n", "a key is null, a list or a mapping"),
        (b"key: {[a]: 1}\n", "a key is null, a list or a mapping"),
        (b"key: {<<: 3}\n", "a merge (<<) takes a mapping or a list of mappings"),
        (b"key: !!int x\n", "'x' is no !!int"),
        (b"key: !!binary '*'\n", "a !!binary value is no base64"),
        (b"- key\n", "holds no keys"),
        (b"# nothing\n", "holds no keys"),
        (b"".join(b"k%d: 1\n" % index for index in range(3000)), "; and 2990 more"),
    ],
)
def test_text_that_kubectl_refuses_or_drops_a_part_of_is_one_short_line(
    data: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as error:
        read(data, tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 3000
