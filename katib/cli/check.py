"""Finds every defect of an Experiment manifest, offline."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from katib.check import Defect
from katib.check.manifest import check_any
from katib.errors import ManifestError
from katib.spec import is_spec, specs
from katib.terminal import output, print_words
from katib.text import count
from katib.untrusted import clean

COLOURS = {"error": "red", "warning": "yellow"}
STDIN = "-"
LONGEST_SPEC = 100_000
"""Characters of a text that is read a second time, to tell whether it is a spec."""


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Experiment manifest; - reads standard input")],
    strict: Annotated[bool, typer.Option("--strict", help="count warnings as defects")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print a list of findings")] = False,
) -> int:
    """Finds every defect of the Experiment in FILE: where it is, what Katib v0.19 would do, and the fix."""
    source = "standard input" if file == STDIN else file
    text = _text(file)
    if len(text) <= LONGEST_SPEC and is_spec(text):
        raise ManifestError(f"{clean(source)}: has the keys of a spec, not of a manifest; {_rendered(file)}")
    findings = check_any(text, source)
    if as_json:
        print(json.dumps([found.record for found in findings], indent=2))
    else:
        for found in findings:
            _print(found)
        print_words(_summary(source, findings))
    defects = [found for found in findings if strict or found.severity == "error"]
    return 2 if defects else 0


def _text(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as cause:
        if file in specs():
            raise ManifestError(f"{file}: is a model, not a manifest; {_rendered(file)}") from None
        raise ManifestError(f"{file}: cannot be read ({cause.strerror})") from None
    except UnicodeDecodeError as cause:
        raise ManifestError(f"{file}: is not UTF-8 text (byte {cause.start}); is it a manifest?") from None


def _rendered(spec: str) -> str:
    """Returns the command that checks the manifest of a spec."""
    name = "FILE" if spec == STDIN else clean(spec)
    return f"check the one that it renders to: python -m katib render {name} | python -m katib check -"


def _print(found: Defect) -> None:
    out = output()
    lead = (found.severity, f"bold {COLOURS[found.severity]}")
    out.words(f" line {found.line}: {found.where}{found.problem}  [{found.rule}]", lead=lead, indent=2)
    out.words(f"  effect: {found.effect}", indent=10)
    out.words(f"  fix:    {found.fix}", indent=10)
    out.line()


def _summary(source: str, findings: list[Defect]) -> str:
    if not findings:
        return f"{clean(source)}: nothing found"
    counts = [count(sum(found.severity == severity for found in findings), severity) for severity in COLOURS]
    return f"{clean(source)}: {', '.join(counts)}; docs/check.md explains each [rule]"
