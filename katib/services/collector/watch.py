"""The collector's loop: from the trainer's first line to the end that Katib expects. Called by __main__.py.

One thread, which sleeps between two looks: a trial reports once in minutes, and a sidecar has no right to its CPU.
"""

import logging
import math
import signal
import sys
import time
from dataclasses import dataclass

from katib.metrics import MetricParser, number
from katib.services.collector.arguments import Arguments
from katib.services.collector.output import Output
from katib.services.collector.report import Reporter
from katib.services.collector.stopper import Stopper
from katib.services.collector.trainer import Trainer
from katib.services.observations import ObservationLogs

LOOK = 0.25
"""Seconds between two looks."""
APPEARS = 600.0
"""Seconds for the trainer to appear: its container was started before this one, or could not be."""
SAVES = 120.0
"""Seconds for a trainer that is to stop, before it is killed: the template's terminationGracePeriodSeconds."""
MARKS = 600.0
"""Seconds for the early-stopping service to mark the trial."""
FAREWELL = 10.0
"""Seconds for the last rows of a pod that is being deleted."""

DONE, TERMINATED = 0, 128 + signal.SIGTERM
FAILED = 255
"""The exit code of Katib's own collector beside a trainer that failed (klog.Fatal)."""

log = logging.getLogger("collector")


@dataclass
class _Stop:
    """A trainer that was asked to end at `asked`, on the monotonic clock."""

    asked: float
    killed: bool = False


class Watch:
    """One trial. `run` returns the exit code."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._trainer = Trainer(arguments.output)
        self._output = Output(arguments.output, sys.stdout.buffer)
        self._parser = MetricParser(arguments.filters, arguments.metrics)
        logs = ObservationLogs(arguments.db_manager)
        self._reporter = Reporter(logs, arguments.trial, arguments.objective)
        self._stopper = Stopper(arguments.early_stopping, arguments) if arguments.early_stopping is not None else None
        self._asked = 0
        """Steps of the objective when the service was last asked."""
        self._stop: _Stop | None = None
        self._terminated: float | None = None
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def run(self) -> int:
        """Until the trainer has ended and what it printed is reported."""
        begin = time.monotonic()
        while not (ended := self._trainer.ended) or (self._output.behind and not self._leaving()):
            if self._trainer.shell is None and not ended:
                if time.monotonic() - begin > APPEARS:
                    log.error("no trainer has appeared within %.0f s", APPEARS)
                    return FAILED
                if self._terminated is not None:
                    return TERMINATED
            self._look()
            if not self._output.behind or self._reporter.full:
                time.sleep(LOOK)
        return self._end()

    def _look(self) -> None:
        """What has come since the last look."""
        if not self._reporter.full:
            for line in self._output.lines():
                self._take(line)
        self._reporter.flush()
        if self._stop is None:
            self._ask()
        elif not self._stop.killed and time.monotonic() - self._stop.asked > SAVES:
            log.warning("the trainer has not ended within %.0f s; it is killed", SAVES)
            self._stop.killed = True
            self._trainer.kill()

    def _take(self, line: str) -> None:
        for one in self._parser.texts(line):
            value = number(one.text)
            if value is None and one.text:
                # Katib keeps a text, and takes the latest trial for the best: its darts example prints a genotype.
                self._reporter.add(one.name, one.text, one.time)
            elif value is not None and math.isfinite(value):
                self._reporter.add(one.name, value, one.time)
            else:
                log.warning("%s=%s is no number that Katib can rank; left out", one.name, one.text)

    def _ask(self) -> None:
        """The early-stopping service, after each step that the DB manager has."""
        if self._stopper is None or not self._reporter.done or self._trainer.ended:
            return
        step = self._reporter.steps
        # What an earlier pod has reported it has also asked about.
        if step <= max(self._asked, self._reporter.inherited or 0):
            return
        self._asked = step
        best = self._arguments.direction.best(self._reporter.range)
        why = None if best is None else self._stopper.ends(step, best)
        if why is None:
            return
        try:
            stopped = self._trainer.stop()
        except OSError as error:
            log.warning("to be stopped (%s), but goes on: the trainer cannot be told: %s", why, error)
            return
        if stopped:
            log.info("stopped early at %s", why)
            self._stop = _Stop(time.monotonic())

    def _end(self) -> int:
        """After the trainer's end: report the rest, then end as Katib's own collector does."""
        completed = self._trainer.completed
        if completed and self._stop is None:
            # Of an output that was broken off, the last line may be half a number.
            self._take(self._output.last())
        self._deliver()
        objective = self._arguments.objective
        if completed and self._stop is None and not self._reporter.steps:
            log.warning("the trainer has printed no %s that the filters find", objective)
            self._reporter.add_unavailable(objective)
            self._deliver()
        if self._output.skipped:
            log.warning("%d lines were too long to be looked at", self._output.skipped)
        if not self._reporter.done:
            return TERMINATED
        if self._stop is not None:
            return self._mark()
        if completed:
            log.info("the trainer has completed")
            return DONE
        if self._terminated is not None:
            log.info("the pod is being deleted, and the trainer has ended")
            return TERMINATED
        log.error("the trainer has failed")
        return FAILED

    def _deliver(self) -> None:
        """Everything, however long the DB manager is away: without it Katib cannot count the trial either."""
        self._reporter.flush()
        while not self._reporter.done and not self._leaving():
            time.sleep(LOOK)
            self._reporter.flush()

    def _mark(self) -> int:
        assert self._stopper is not None  # noqa: S101 (nothing else stops a trial)
        begin, pause = time.monotonic(), LOOK
        while not self._stopper.mark():
            if time.monotonic() - begin > MARKS or self._leaving():
                log.error("the trial could not be marked as stopped early; Katib takes it for completed")
                break
            time.sleep(pause)
            pause = min(2 * pause, 10.0)
        return DONE

    def _leaving(self) -> bool:
        """Returns whether this pod is being deleted, and the time for last rows is over."""
        return self._terminated is not None and time.monotonic() - self._terminated > FAREWELL

    def _on_sigterm(self, *_: object) -> None:
        """The pod is being deleted; the trainer may still be writing a checkpoint, so only its end ends this."""
        self._terminated = self._terminated or time.monotonic()
