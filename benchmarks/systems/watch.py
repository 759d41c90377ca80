"""Measures the live page: a refresh of 2 000 trials, the first paint of 200, and what it costs the engine.

python -m benchmarks.systems.watch [--trials 2000] [--epochs 100] [--rounds 10] [--seconds 30]

The searches are made (made_experiment.py), with four trials under way that get an epoch from here, or run by the
engine with trials that sleep. The page is served by a process of its own and asked for by HTTP, in chromium for the
paint. On a busy machine, times are upper bounds.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from katib.backend.local.record import DATABASE
from tests.browser import PROGRAM, browser
from tests.katib.backend.local.rig import manifest
from tests.ports import free_port

PORT = free_port()
ADDRESS = f"http://127.0.0.1:{PORT}"
MEGABYTES, REFRESH, PAINT, SHARE = 300.0, 1.0, 1.0, 2.0
"""The limits: MB of the server, seconds of a refresh, seconds of the first paint, per cent of a core for the engine."""
RUNNING = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30.0)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        refreshes(Path(folder), words.trials, words.epochs, words.rounds)
    with tempfile.TemporaryDirectory() as folder:
        paint(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        engine(Path(folder), words.seconds)


def refreshes(out: Path, trials: int, epochs: int, rounds: int) -> None:
    """Prints the time from a new epoch to the new page, the processor time of it, and the memory."""
    database = under_way(out, trials, epochs)
    with served(out) as process:
        begin = time.monotonic()
        tag, size = state("made", "")
        print(
            f"{trials} trials x {epochs} epochs: first look {time.monotonic() - begin:.1f} s, {size / 1e6:.2f} MB",
            flush=True,
        )
        tag, size = state("made", "", "belief")
        print(f"with all figures {size / 1e6:.2f} MB after {time.monotonic() - begin:.0f} s", flush=True)
        waited, processor = [], []
        for turn in range(rounds):
            before, begin = cpu(process.pid), time.monotonic()
            report(database, trials - turn % RUNNING, epochs + 1 + turn // RUNNING)
            while (new := state("made", tag)[0]) == tag:
                time.sleep(0.02)
            tag = new
            waited.append(time.monotonic() - begin)
            processor.append(cpu(process.pid) - before)
        line("refresh, of the processor", statistics.median(processor), "s", REFRESH)
        line("from a new epoch to the page", statistics.median(waited), "s", 2.0)
        seen = tags("made")
        before = cpu(process.pid)
        end(database, trials - RUNNING + 1)
        while tags("made", seen.values())["all"] == seen["all"]:
            time.sleep(0.2)
        line("a trial ends: the table of all, of the processor", cpu(process.pid) - before, "s", REFRESH)
        begin_cpu, begin = cpu(process.pid), time.monotonic()
        while time.monotonic() < begin + 10:
            state("made", tag)
            time.sleep(1)
        share = 100 * (cpu(process.pid) - begin_cpu) / (time.monotonic() - begin)
        print(f"server while trials run and nothing is reported: {share:.1f} % of a core")
        line("memory of the server", peak(process.pid), "MB", MEGABYTES)


def paint(out: Path) -> None:
    """Prints the time to the first paint of 200 trials, by a server that has just started, and the second time."""
    under_way(out, 200, 50)
    if PROGRAM is None:
        print("no chromium: the first paint is not measured")
        return
    with served(out) as process, browser() as page:
        for which in ("first", "second"):
            page.open(f"{ADDRESS}/search/made")
            # Chromium may record the paint only after the page is there.
            page.wait_until("performance.getEntriesByName('first-contentful-paint').length > 0")
            found = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
            line(f"{which} paint of 200 trials", found, "s", PAINT)
            page.wait_until("!!document.getElementById('strip')")
            strip = page.evaluate("performance.now() / 1000")
            print(f"its strip is there after {strip:.2f} s at most, {cpu(process.pid):.2f} s of the server's processor")


def engine(out: Path, seconds: float) -> None:
    """Prints the share of a core that the engine takes, without and with the page open."""
    search = manifest("--epochs", "100000", "--seconds", "1", values=("1", "2"), parallelTrialCount=2)
    file = out / "test.yaml"
    file.write_text(yaml.safe_dump(search))
    words = [sys.executable, "-m", "katib", "local", str(file), "--out", str(out), "--yes"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(10)
        alone = share(process.pid, seconds, lambda: None)
        with served(out):
            tag = ""

            def look() -> None:
                nonlocal tag
                tag = state("test", tag)[0]

            watched = share(process.pid, seconds, look)
        print(f"engine with two trials of an epoch a second: {alone:.2f} % of a core alone")
        line("the same with the page open", watched, "% of a core", SHARE)
    finally:
        process.terminate()
        process.wait()


def share(process: int, seconds: float, look: Any) -> float:
    """Returns the per cent of a core that a process takes while `look` is called once a second."""
    before, begin = cpu(process), time.monotonic()
    while time.monotonic() < begin + seconds:
        look()
        time.sleep(1)
    return 100 * (cpu(process) - before) / (time.monotonic() - begin)


def under_way(out: Path, trials: int, epochs: int) -> Path:
    """Returns the database of a made search whose last trials are running."""
    subprocess.run(
        [sys.executable, "-m", "benchmarks.systems.made_experiment", str(out), "made", str(trials), str(epochs)],
        check=True,
    )
    database = out / "made" / DATABASE
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE trial_user_attributes SET value_json = '\"Running\"' WHERE key = 'state' AND trial_id > ?",
            (trials - RUNNING,),
        )
    connection.close()
    return database


def report(database: Path, trial: int, step: int) -> None:
    """Writes an epoch as the engine does."""
    connection = sqlite3.connect(database)
    with connection:
        connection.execute(
            "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)"
            " VALUES (?, ?, 3.0, 'FINITE')",
            (trial, step),
        )
    connection.close()


def end(database: Path, trial: int) -> None:
    """Ends a trial as the engine does."""
    connection = sqlite3.connect(database)
    with connection:
        connection.execute(
            "UPDATE trial_user_attributes SET value_json = '\"Succeeded\"' WHERE key = 'state' AND trial_id = ?",
            (trial,),
        )
    connection.close()


@contextmanager
def served(out: Path, *words: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Yields the process of the page, once it answers."""
    command = [sys.executable, "-m", "katib", "watch", "--out", str(out), "--port", str(PORT), *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"{ADDRESS}/icon.svg", timeout=5):
                break
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait()


def state(name: str, tag: str, part: str = "strip") -> tuple[str, int]:
    """Returns the tag and the size of the state of a search once it has `part`.

    That is `tag` again, and 0, where it has not changed.
    """
    request = urllib.request.Request(f"{ADDRESS}/state/{name}", headers={"If-None-Match": tag} if tag else {})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            body = answer.read()
            if any(section["id"] == part for section in json.loads(body)["sections"]):
                return str(answer.headers["ETag"]), len(body)
    except urllib.error.HTTPError as error:
        if error.code != 304:
            raise
        return tag, 0
    time.sleep(1)  # it still reads
    return state(name, tag, part)


def tags(name: str, have: Iterable[str] = ()) -> dict[str, str]:
    """Returns the tag of each section, asked for by a page that has those with the tags `have`."""
    with urllib.request.urlopen(f"{ADDRESS}/state/{name}?have={','.join(have)}", timeout=120) as answer:
        return {section["id"]: section["tag"] for section in json.loads(answer.read())["sections"]}


def cpu(process: int) -> float:
    """Returns the seconds of a processor that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(process: int) -> float:
    """Returns the largest memory of a process so far, in MB."""
    words = next(text for text in Path(f"/proc/{process}/status").read_text().splitlines() if text.startswith("VmHWM"))
    return int(words.split()[1]) / 1024


def line(what: str, value: float, unit: str, limit: float) -> None:
    """Prints a figure beside its limit."""
    print(f"{what:50} {value:8.2f} {unit} (limit {limit:g})" + ("" if value <= limit else "  OVER"), flush=True)


if __name__ == "__main__":
    main()
