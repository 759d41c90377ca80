"""Runs a command once, as a trial of a local search, until its first epoch has shown whether it prints its metric."""

import select
import shlex
import time
from collections import deque
from collections.abc import Mapping, Sequence

from katib.backend.local.launch import Launcher
from katib.backend.local.process import KILL_TIMEOUT, TrialProcess
from katib.backend.local.signals import STOPS, listening
from katib.errors import EngineError, SpecError
from katib.metrics import MetricParser, Report
from katib.spec_command import likely_names, likely_regexp
from katib.untrusted import clean

TRIAL, SHOWN, WIDEST, LONGEST = "first", 5, 120, 10_000
"""The name of the only trial; how many of its last lines a message shows, how many characters of each, and how many
are looked at."""


def first_epoch(start: Launcher, assignments: Mapping[str, str], *, ends: bool) -> tuple[list[Report], float]:
    """Returns all values of the metric that the command prints, and the seconds until the last one was there.

    `ends` says that the command ends after an epoch by itself; any other is killed once it has printed the metric.
    Raises SpecError where it fails, or ends without the metric; EngineError where a signal stops this program.
    """
    folder, metric = start.folder / TRIAL, start.experiment.search.metric
    launch = start.launch(TRIAL, assignments, start.slots[-1])
    for path in (folder, *launch.volumes):
        path.mkdir(parents=True, exist_ok=True)
    parser = MetricParser(start.experiment.template.filters, (metric,))
    last: deque[str] = deque(maxlen=SHOWN)
    found: list[tuple[Report, float]] = []

    def take(lines: list[str]) -> None:
        last.extend(filter(None, (clean(line, LONGEST).strip() for line in lines)))
        found.extend((report, process.seconds) for line in lines for report in parser.parse(line))

    with listening() as signals:
        process = TrialProcess(launch.argv, launch.env, folder, launch.working_dir)
        try:
            while (code := process.poll()) is None and (ends or not found):
                waited = [signals.descriptor] if process.silent else [signals.descriptor, process.fileno()]
                select.select(waited, [], [], 1)
                if set(signals.take()) & set(STOPS):
                    raise EngineError("stopped; nothing was written")
                take(process.lines())
            take(process.lines(all_of_it=True))
        finally:
            process.kill()
            ends_by = time.monotonic() + KILL_TIMEOUT
            while process.poll() is None and time.monotonic() < ends_by:
                time.sleep(0.01)
            process.close()
    if code:
        why = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        swapped = _swapped(start.experiment.trial(TRIAL, assignments).argv[0], launch.argv[0])
        raise SpecError(f"--command: {why}; {_printed(last)}{swapped}")
    if not found:
        raise SpecError(f"--command: no line has the metric {metric}; {_printed(last)}; {_advice(metric, list(last))}")
    return [report for report, _ in found], found[-1][1]


def _printed(last: deque[str]) -> str:
    return "its last lines: " + " | ".join(line[:WIDEST] for line in last) if last else "it printed nothing"


def _advice(metric: str, last: Sequence[str]) -> str:
    """Returns what to try where the lines do not say NAME=VALUE of the metric."""
    if regexp := likely_regexp(metric, last):
        return f"--regexp {shlex.quote(regexp)} reads it there"
    names = ", ".join(likely_names(last))
    another = f"name another --metric ({names})" if names else "name another --metric"
    return rf"{another}, or say with --regexp how the line looks, such as '{metric}: (\S+)'"


def _swapped(typed: str, run: str) -> str:
    """Returns which interpreter ran, where it is this program's and not the one of the user's shell."""
    if typed == run:
        return ""
    return f"; {typed} is {run} here: name another interpreter by its path"
