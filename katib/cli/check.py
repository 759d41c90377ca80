"""Finds every defect of an Experiment manifest, or of the one that a spec renders to, offline."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from katib.check import Defect
from katib.check.manifest import check_any
from katib.cli.options import SiteFile
from katib.errors import ManifestError
from katib.manifest.render import render
from katib.site import load_site
from katib.spec import is_spec, load_spec, specs, stages_of
from katib.terminal import output, print_words
from katib.text import count
from katib.untrusted import clean, given_text

COLOURS = {"error": "red", "warning": "yellow"}
STDIN = "-"
LONGEST_SPEC = 100_000
"""Characters of a text that is read a second time, to tell whether it is a spec."""


def check(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Experiment manifest, or a spec; - reads a manifest from standard input"),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="count warnings as defects")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print a list of findings")] = False,
    site: SiteFile = None,
) -> int:
    """Finds every defect of the Experiment in FILE: where it is, what Katib v0.19 would do, and the fix.

    A spec is rendered first, for the site, and the lines are those that the verb render prints.
    """
    text, source = _manifest(file, site)
    findings = check_any(text, source)
    if as_json:
        print(json.dumps([found.record for found in findings], indent=2))
    else:
        for found in findings:
            _print(found)
        print_words(_summary(source, findings))
    defects = [found for found in findings if strict or found.severity == "error"]
    return 2 if defects else 0


def _manifest(file: str, site: Path | None) -> tuple[str, str]:
    """Returns the manifest and what messages call it; that of a spec is the one that it renders to."""
    if file in specs() and not Path(file).exists():
        return _rendered(file, site)
    text = _text(file)
    if len(text) > LONGEST_SPEC or not is_spec(text):
        if site:
            raise ManifestError(f"{file}: is a manifest, which needs no site; leave out SITE= (--site)")
        return text, "standard input" if file == STDIN else file
    if file == STDIN:
        raise ManifestError(
            "standard input: has the keys of a spec, not of a manifest; give the spec's file by its name"
        )
    return _rendered(file, site)


def _rendered(spec: str, site: Path | None) -> tuple[str, str]:
    """Returns the manifest of a spec's first stage, or of all of it, and what messages call it."""
    return render(stages_of(load_spec(spec))[0], load_site(site), word=spec), f"{spec}, rendered"


def _text(file: str) -> str:
    try:
        return given_text(sys.stdin.buffer if file == STDIN else Path(file))
    except OSError as cause:
        raise ManifestError(f"{file}: cannot be read ({cause.strerror})") from None
    except UnicodeDecodeError as cause:
        raise ManifestError(f"{file}: is not UTF-8 text (byte {cause.start}); is it a manifest?") from None


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
