"""Measures the verbs that conclude.

python -m benchmarks.systems.results [--trials N …] [--rounds 3] [VERB …]

Builds a local experiment of so many finished trials (made_experiment.py) and runs each verb on it as a process of its
own. Prints its total and processor seconds, medians of the rounds, and its peak memory. On a busy machine, times are
upper bounds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

NAME = "made"
VERBS: Mapping[str, tuple[str, ...]] = {
    "results": ("results", NAME),
    "results json": ("results", NAME, "--format", "json"),
    "results csv": ("results", NAME, "--format", "csv"),
    "plan": ("plan", "dprnn"),
    "log": ("log", NAME, "--file", "{out}/LOG.md"),
    "best": ("best", NAME),
    "report": ("report", NAME),
}
"""By name the words behind `python -m katib`; `{out}` is the folder of the runs."""
LIMITS = {200: (2.0, None), 2000: (None, 1000.0)}
"""Seconds, and MB, by number of trials."""
REPORT_SECONDS = 15.0
"""For 200 trials; the report draws, and compares what mattered with luck."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verbs", nargs="*", metavar="VERB", help=f"of {', '.join(VERBS)}; default: all")
    parser.add_argument("--trials", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    for trials in words.trials:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            # The plan looks for its experiment under the spec's own name.
            # Built by another process: this one must stay small, because a child begins with its parent's peak.
            build = [sys.executable, "-m", "benchmarks.systems.made_experiment", folder, NAME, str(trials)]
            subprocess.run([*build, str(words.epochs)], check=True)
            (out / "series3-dprnn").symlink_to(out / NAME)
            for verb in words.verbs or VERBS:
                report(verb, out, trials, words.rounds)


def report(verb: str, out: Path, trials: int, rounds: int) -> None:
    """Prints one line: the figures beside their limits."""
    measured = [run([word.format(out=out) for word in VERBS[verb]], out) for _ in range(rounds)]
    seconds, processor = (statistics.median(one[index] for one in measured) for index in (0, 1))
    most = max(memory for _, _, memory in measured)
    limits = LIMITS.get(trials, (None, None))
    if verb == "report" and limits[0]:
        limits = (REPORT_SECONDS, limits[1])
    texts = [
        f"{value:.2f} {unit}" + (f" (limit {limit:g})" if limit else "")
        for value, unit, limit in ((seconds, "s", limits[0]), (most, "MB", limits[1]))
    ]
    print(
        f"{trials:5} trials  {verb:14} {texts[0]:20} processor {processor:.2f} s  {texts[1]}",
        flush=True,
    )


def run(words: list[str], out: Path) -> tuple[float, float, float]:
    """Returns the seconds, processor seconds and MB of one call of a verb."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "katib", *words, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if code := os.waitstatus_to_exitcode(status):
        assert process.stderr is not None
        raise RuntimeError(f"{' '.join(words)}: exit code {code}: {process.stderr.read().decode()}")
    process.returncode = 0
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


if __name__ == "__main__":
    main()
