"""Measures whether one live page that stays open grows: chromium's heap and DOM nodes, and the server's memory.

python -m benchmarks.systems.watch_hour [--minutes 60]

The engine runs a real search meanwhile: four trials at a time of 30 epochs of 4 s, stopped by the median rule, about
100 an hour. The page grows by what the search has more to show; so the same page is opened anew at the end, and the one
that was open must not hold more than that.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.systems.watch import ADDRESS, cpu, peak, served, state
from katib.backend.local.table import experiments
from tests.browser import Page, browser
from tests.katib.backend.local.rig import manifest, medianstop

EPOCHS, SECONDS, AT_A_TIME = 30, 4, 4
TRIALS = "document.querySelectorAll('#trials tbody tr').length"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hour(Path(folder), words.minutes)


def hour(out: Path, minutes: int) -> None:
    """Prints a line a minute, and what the page holds when it is opened anew."""
    search = manifest(
        *("--epochs", str(EPOCHS), "--seconds", str(SECONDS)),
        maxTrialCount=10000,
        parallelTrialCount=AT_A_TIME,
        earlyStopping=medianstop(10, 5),
    )
    file = out / "test.yaml"
    file.write_text(yaml.safe_dump(search))
    words = [sys.executable, "-m", "katib", "local", str(file), "--out", str(out), "--yes"]
    engine = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with served(out) as server, browser() as page:
            while not any(name == "test" for name in experiments(out)):
                time.sleep(1)
            state("test", "")
            page.open(f"{ADDRESS}/search/test")
            print("minute  trials  DOM nodes  heap MB  listeners  server MB, its CPU s", flush=True)
            for minute in range(minutes + 1):
                held(page, str(minute), server.pid)
                page.events.clear()
                if minute < minutes:
                    time.sleep(60)
            complaints = page.complaints()
            page.open(f"{ADDRESS}/search/test")
            page.wait_until("!!document.getElementById('belief')")
            time.sleep(10)
            held(page, "anew", server.pid)
            print(f"complaints in the console in the last minute: {complaints or 'none'}")
    finally:
        engine.terminate()
        engine.wait()


def held(page: Page, when: str, server: int) -> None:
    """Prints what page and server hold once the garbage of the page is collected."""
    page.call("HeapProfiler.collectGarbage")
    counters = page.call("Memory.getDOMCounters")
    heap = page.call("Runtime.getHeapUsage")["usedSize"] / 1e6
    trials = page.evaluate(TRIALS)
    print(
        f"{when:>6} {trials:>7} {counters['nodes']:>10} {heap:8.2f} {counters['jsEventListeners']:>10}"
        f" {peak(server):9.0f} {cpu(server):8.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
