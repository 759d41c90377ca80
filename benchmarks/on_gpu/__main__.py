"""Measures what only a GPU can show, in at most nine minutes: `python -m benchmarks.on_gpu --out on_gpu.json`.

Each part runs in a process of its own and has its own time limit. What is missing on the machine is skipped by name,
and what has been measured is in the JSON file after each part. It needs torch, triton and pytest; speechbrain and MPS
where they are. The table is printed at the end, in Markdown.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.on_gpu.parts import PARTS, Part
from benchmarks.on_gpu.rows import TINY, Row, Sizes

MOST_SECONDS = 540.0
GRACE_SECONDS = 10.0
"""How long a part may take to end once it has been asked to."""


@dataclass(frozen=True)
class Outcome:
    """What a part has brought."""

    part: str
    state: str
    """done, skipped, failed, or over its time limit."""
    reason: str
    seconds: float
    rows: tuple[Row, ...]


def measure(part: Part, sizes: Sizes, seconds: float, command: Sequence[str] = ()) -> Outcome:
    """Returns the outcome of a part that is ended after so many seconds; `command` stands for its process in tests."""
    argv = command or [sys.executable, "-m", "benchmarks.on_gpu.parts", part.name, json.dumps(asdict(sizes))]
    started, skipped, last = time.monotonic(), "", ""
    rows: dict[str, Row] = {}
    ended: list[str] = []
    pipe = subprocess.PIPE
    # A group of its own, so that its trials and tests end with it.
    with subprocess.Popen(argv, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True) as process:

        def end() -> None:
            ended.append("over its time limit")
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(GRACE_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(seconds, end)
        timer.start()
        for line in process.stdout or ():
            said = _read(line)
            if isinstance(said, Row):
                rows[said.what] = said  # the counts of tests come again and again
                print(f"  {_cells(part.name, said)}", flush=True)
            elif said:
                skipped = said
            elif line.strip():
                last = line.strip()
        timer.cancel()
    state = ended[0] if ended else "skipped" if skipped else "failed" if process.returncode else "done"
    reason = skipped or (last if state == "failed" else "")
    return Outcome(part.name, state, reason, time.monotonic() - started, tuple(rows.values()))


def _read(line: str) -> Row | str:
    """Returns what a line of a part says: a row, why it is skipped, or nothing of that."""
    try:
        said = json.loads(line)
        return str(said["skipped"]) if "skipped" in said else Row(**said)
    except (ValueError, TypeError):
        return ""


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yields the lines of a Markdown table of all rows, and what was skipped, failed or cut off."""
    yield "| part | what | value | least–greatest | limit | note |"
    yield "|---|---|---|---|---|---|"
    for outcome in outcomes:
        for row in outcome.rows:
            yield _cells(outcome.part, row)
    yield ""
    for outcome in outcomes:
        reason = f": {outcome.reason}" if outcome.reason else ""
        yield f"- {outcome.part}: {outcome.state} after {outcome.seconds:.0f} s{reason}"


def _cells(part: str, row: Row) -> str:
    spread = "" if row.least is None or row.greatest is None else f"{row.least:.3g}–{row.greatest:.3g}"
    limit = f"{row.limit}, {'kept' if row.kept else 'MISSED'}" if row.limit else ""
    return f"| {part} | {row.what} | {row.value:.3g} {row.unit} | {spread} | {limit} | {row.note} |"


def _machine(sizes: Sizes) -> dict[str, str]:
    name = torch.cuda.get_device_name() if sizes.device == "cuda" else platform.processor() or platform.machine()
    return {"device": name, "torch": torch.__version__, "python": platform.python_version(), "sizes": sizes.preset}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the parts and returns 1 where one has failed, was cut off, or has missed a limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("on_gpu.json"), help="the JSON file (default: on_gpu.json)")
    parser.add_argument("--parts", nargs="+", choices=[part.name for part in PARTS], help="only these")
    parser.add_argument("--seconds", type=float, default=MOST_SECONDS, help="of all parts together (default: 540)")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes on the CPU: whether it runs, not how fast")
    options = parser.parse_args(argv)
    if not options.out.absolute().parent.is_dir():
        parser.error(f"--out: no folder {options.out.parent}; make it first")
    if not options.tiny and not torch.cuda.is_available():
        parser.error("torch finds no GPU here; --tiny tries the script on the CPU")
    sizes, end = TINY if options.tiny else Sizes(), time.monotonic() + options.seconds
    outcomes: list[Outcome] = []
    for part in (part for part in PARTS if part.name in (options.parts or [part.name])):
        left = min(part.seconds, end - time.monotonic() - GRACE_SECONDS)
        print(f"{part.name}, at most {max(0, left):.0f} s", flush=True)
        if left <= 0:
            outcomes.append(Outcome(part.name, "skipped", f"all {options.seconds:.0f} s are over", 0.0, ()))
        else:
            outcomes.append(measure(part, sizes, left))
        content = {"machine": _machine(sizes), "parts": [asdict(outcome) for outcome in outcomes]}
        options.out.write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(["", *table(outcomes)]), flush=True)
    whole = all(outcome.state in ("done", "skipped") for outcome in outcomes)
    return 0 if whole and all(row.kept is not False for outcome in outcomes for row in outcome.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
