"""Runs the collector's loop, from the trainer's first line to the exit code that Katib expects.

It is a single thread, which sleeps between two polls: a trial reports every few minutes, and the CPU is the trainer's.
"""

import logging
import math
import signal
import sys
import time
from dataclasses import dataclass

from katib.metrics import JsonParser, MetricParser, katib_number
from katib.services.collector.arguments import Arguments
from katib.services.collector.output import Output
from katib.services.collector.report import Reporter
from katib.services.collector.stopper import Stopper
from katib.services.collector.trainer import Trainer
from katib.services.observations import ObservationLogs

POLL_SECONDS = 0.25
"""Seconds between two polls."""
START_TIMEOUT = 600.0
"""Seconds for the trainer to appear: its container starts before this one, or cannot start."""
SAVE_TIMEOUT = 120.0
"""Seconds for a trainer to stop before it is killed: the template's terminationGracePeriodSeconds."""
MARK_TIMEOUT = 600.0
"""Seconds for the early-stopping service to mark the trial."""
LAST_ROWS_TIMEOUT = 10.0
"""Seconds for the last rows of a pod that is being deleted."""

DONE, TERMINATED = 0, 128 + signal.SIGTERM
FAILED = 255
"""The exit code of Katib's own collector beside a trainer that failed (klog.Fatal)."""

log = logging.getLogger("collector")


@dataclass
class _Stop:
    """A stop of the trainer, requested at `asked` on the monotonic clock."""

    asked: float
    killed: bool = False


class Watch:
    """Watches one trial."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._trainer = Trainer(arguments.output)
        self._output = Output(arguments.output, sys.stdout.buffer)
        filters, names = arguments.filters, arguments.metrics
        self._parser = MetricParser(filters, names) if filters else JsonParser(names)
        logs = ObservationLogs(arguments.db_manager)
        self._reporter = Reporter(logs, arguments.trial, arguments.objective)
        self._stopper = Stopper(arguments.early_stopping, arguments) if arguments.early_stopping is not None else None
        self._asked = 0
        """The steps of the objective when the service was last asked."""
        self._stop: _Stop | None = None
        self._terminated: float | None = None
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def run(self) -> int:
        """Runs until the trainer has ended and all that it printed is reported; returns the exit code."""
        begin = time.monotonic()
        while not (ended := self._trainer.ended) or (self._output.behind and not self._leaving()):
            if self._trainer.shell is None and not ended:
                if time.monotonic() - begin > START_TIMEOUT:
                    log.error("no trainer has appeared within %.0f s", START_TIMEOUT)
                    return FAILED
                if self._terminated is not None:
                    return TERMINATED
            self._poll()
            if not self._output.behind or self._reporter.full:
                time.sleep(POLL_SECONDS)
        return self._end()

    def _poll(self) -> None:
        """Reads and reports what was printed since the last poll, and asks whether to stop."""
        if not self._reporter.full:
            for line in self._output.lines():
                self._take(line)
        self._reporter.flush()
        if self._stop is None:
            self._ask()
        elif not self._stop.killed and time.monotonic() - self._stop.asked > SAVE_TIMEOUT:
            log.warning("the trainer has not ended within %.0f s; it is killed", SAVE_TIMEOUT)
            self._stop.killed = True
            self._trainer.kill()

    def _take(self, line: str) -> None:
        for metric in self._parser.texts(line):
            value = katib_number(metric.text)
            if value is None and metric.text:
                # Katib keeps a text, and takes the latest trial for the best: its darts example prints a genotype.
                self._reporter.add(metric.name, metric.text, metric.time)
            elif value is not None and math.isfinite(value):
                self._reporter.add(metric.name, value, metric.time)
            else:
                log.warning("%s=%s is not a number that Katib can rank; left out", metric.name, metric.text)

    def _ask(self) -> None:
        """Asks the early-stopping service after each step that the DB manager has, and stops the trainer."""
        if self._stopper is None or not self._reporter.done or self._trainer.ended:
            return
        step = self._reporter.steps
        # An earlier pod has asked after each of the steps that it reported.
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
            log.warning("to be stopped (%s), but continues: the trainer cannot be reached: %s", why, error)
            return
        if stopped:
            log.info("stopped early at %s", why)
            self._stop = _Stop(time.monotonic())

    def _end(self) -> int:
        """Reports the rest after the trainer's end; returns the exit code of Katib's own collector."""
        completed = self._trainer.completed
        if completed and self._stop is None:
            # The last line of an output that was broken off may be half a number.
            self._take(self._output.last())
        self._deliver()
        objective = self._arguments.objective
        if completed and self._stop is None and not self._reporter.steps:
            log.warning("the trainer has printed no %s that the filters match", objective)
            self._reporter.add_unavailable(objective)
            self._deliver()
        if self._output.skipped:
            log.warning("%d lines were too long to be read", self._output.skipped)
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
        """Reports all rows, however long the DB manager does not answer: Katib needs it for the trial as well."""
        self._reporter.flush()
        while not self._reporter.done and not self._leaving():
            time.sleep(POLL_SECONDS)
            self._reporter.flush()

    def _mark(self) -> int:
        assert self._stopper is not None  # noqa: S101 (nothing else stops a trial)
        begin, pause = time.monotonic(), POLL_SECONDS
        while not self._stopper.mark():
            if time.monotonic() - begin > MARK_TIMEOUT or self._leaving():
                log.error("the trial could not be marked as stopped early; Katib takes it for completed")
                break
            time.sleep(pause)
            pause = min(2 * pause, 10.0)
        return DONE

    def _leaving(self) -> bool:
        """Returns whether this pod is being deleted and the time for the last rows is over."""
        return self._terminated is not None and time.monotonic() - self._terminated > LAST_ROWS_TIMEOUT

    def _on_sigterm(self, *_: object) -> None:
        """Notes that the pod is being deleted; the loop still waits for the trainer, which may write a checkpoint."""
        self._terminated = self._terminated or time.monotonic()
