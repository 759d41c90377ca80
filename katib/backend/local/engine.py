"""The loop of a local search: proposes trials, starts them in free slots, reads their reports, and stops them.

One thread waits for output, for ended trials and for signals at once, and sleeps in between. Every event is recorded in
the store before it is acted on, so that a start after kill -9 knows what was going on.
"""

import math
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from katib.backend.local.ending import INTERRUPTED, Halt, too_many_failures, verdict
from katib.backend.local.gpu_budget import GpuBudget, is_paused
from katib.backend.local.launch import Launcher
from katib.backend.local.process import TrialProcess, set_aside
from katib.backend.local.proposals import Proposals, trial_name
from katib.backend.local.reasons import unwritable
from katib.backend.local.record import Pause, Trial
from katib.backend.local.requeue import requeue
from katib.backend.local.running import SAVE_TIMEOUT, Running, deadline, seen_for
from katib.backend.local.signals import STOPS, Signals, listening
from katib.backend.local.store import Store
from katib.backend.local.view import View
from katib.errors import EngineError, FolderError
from katib.manifest.gpu_hours import SPENT
from katib.metrics import MetricParser, katib_number
from katib.search.history import Observation
from katib.search.sampler import preload
from katib.text import count
from katib.trainer_contract import OUTPUT, STARTS_ANEW
from katib.trial import State
from katib.untrusted import clean, folder_inside


class Engine:
    """One run of a search that learns from `earlier` trials. Raises ManifestError where its algorithms are unknown."""

    def __init__(self, launcher: Launcher, store: Store, view: View, earlier: Sequence[Observation] = ()) -> None:
        experiment = launcher.experiment
        self._launcher, self._store, self._view, self._experiment = launcher, store, view, experiment
        self._proposals = Proposals.of(experiment, view.say, earlier)
        self._parser = MetricParser(experiment.template.filters, [experiment.search.metric])
        self._trials = {trial.name: trial for trial in store.trials()}
        self._running: dict[str, Running] = {}
        self._budget = GpuBudget.of(launcher)
        self._free = list(reversed(launcher.slots))
        self._selector = selectors.DefaultSelector()
        self._begun: dict[str, float] = {}
        """When the first try of each trial started in this run of the engine, in s on the monotonic clock."""
        self._halt: Halt | None = None

    @property
    def trials(self) -> list[Trial]:
        """All trials, in the order of their proposal."""
        return list(self._trials.values())

    def run(self) -> Halt | None:
        """Searches until the budget is spent (None) or something ends the search; then no trial is running."""
        with listening() as signals, self._view:
            self._selector.register(signals.descriptor, selectors.EVENT_READ)
            try:
                self._attempt(self._settle)
                self._attempt(self._after_budget)
                self._attempt(self._start_trials)
                if self._running and self._experiment.search.algorithm.name == "bayesianoptimization":
                    preload()
                while True:
                    self._attempt(self._start_trials)
                    if not self._running:
                        self._attempt(self._pause_waiting)
                        return self._halt
                    self._view.show(self.trials)
                    self._wait(signals)
            finally:
                for running in self._running.values():
                    running.process.close()
                self._selector.close()

    def _attempt(self, step: Callable[..., None], *arguments: object) -> None:
        """Takes a step; where a full disk prevents it, ends the search in order: the other trials save first."""
        try:
            step(*arguments)
        except (EngineError, FolderError) as error:
            self._stop_all(Halt(error.exit_code, str(error)))

    def _settle(self) -> None:
        """Completes what an engine that was killed had decided but not completely recorded."""
        for trial in self.trials:
            self._store.close_trial(trial)
            if trial.finished:
                continue
            effort = trial.effort
            if effort.started is not None:
                effort = effort.ended(seen_for(self._launcher.folder / trial.name, effort.started), failed=False)
            state: State = "EarlyStopped" if trial.stop else "Created"
            self._change(trial, effort=effort, state=state, reason=trial.stop or trial.reason)
        self._check_failures()

    def _after_budget(self) -> None:
        """Lets the trials go on that paused when a smaller budget was spent, or ends the search where it still is."""
        paused, halt = list(filter(is_paused, self.trials)), self._budget.halt(self._trials, self._running)
        if paused and halt:
            self._stop_all(halt)
        for trial in () if halt else paused:
            self._go_on(trial)

    def _pause_waiting(self) -> None:
        """Pauses the trials that wait, where the search ends because its budget is spent."""
        reason = self._halt.reason if self._halt else ""
        for trial in self.trials:
            if reason.startswith(SPENT) and not trial.finished:
                self._change(trial, state="EarlyStopped", stop=reason, reason=reason)

    def _start_trials(self) -> None:
        while self._free and not self._halt:
            trial = self._next()
            if trial is None:
                return
            self._start(trial)

    def _next(self) -> Trial | None:
        """Returns a trial that waits, a new one, or a paused one that goes on; None where there is none for now."""
        for trial in requeue(self._store, self.trials):
            self._begun.pop(trial.name, None)
            self._trials[trial.name] = trial
            self._view.change(trial)
        listed = (trial for trial in self.trials if trial.state == "Created" and trial.name not in self._running)
        waiting = next(listed, None)
        step = None if waiting else self._proposals.next(self.trials)
        if (waiting or step) and (halt := self._budget.halt(self._trials, self._running)):
            self._stop_all(halt)
            return None
        if step is None:
            return waiting
        if step.continues:
            return self._go_on(self._trials[step.continues])
        name = step.trial or trial_name(self._experiment.name)
        trial = self._store.add(name, step.assignments, self._proposals.sampler.space)
        self._trials[name] = trial
        self._view.change(trial)
        return trial

    def _go_on(self, trial: Trial) -> Trial:
        """Returns a paused trial as one that waits for a slot, with deadline and tries of its own, as on Katib."""
        self._begun.pop(trial.name, None)
        pauses = (*trial.pauses, Pause(len(trial.values), trial.stop))
        effort = replace(trial.effort, failures=0)
        self._change(trial, effort=effort, pauses=pauses, stop="", reason="goes on", state="Created")
        return self._trials[trial.name]

    def _start(self, trial: Trial) -> None:
        device = self._free[-1]
        launch = self._launcher.launch(trial.name, trial.assignments, device, continued=bool(trial.pauses))
        folder = self._launcher.folder / trial.name
        try:
            search = self._launcher.folder
            for path in (folder, *launch.volumes):
                folder_inside(path, search if path.is_relative_to(search) else self._launcher.runs)
            if launch.working_dir:
                launch.working_dir.mkdir(parents=True, exist_ok=True)
            if trial.effort.starts and not launch.ours:
                set_aside(folder, trial.effort.starts)
            process = TrialProcess(launch.argv, launch.env, folder, launch.working_dir)
        except OSError as error:
            raise unwritable(folder, error) from None
        first = self._begun.setdefault(trial.name, time.monotonic())
        # A deadline that was set for a GPU does not apply to a processor.
        ends = None if self._launcher.without_gpu else deadline(self._experiment.template, first, time.monotonic())
        self._running[trial.name] = Running(
            process, self._free.pop(), launch.ours, self._experiment.template.grace_seconds, ends
        )
        self._selector.register(process, selectors.EVENT_READ, trial.name)
        sharers = self._launcher.sharers(device)
        effort = trial.effort.begun(process.started, gpu=device is not None, sharers=sharers)
        self._change(trial, effort=effort, reason="", state="Running")

    def _wait(self, signals: Signals) -> None:
        """Sleeps until something happens, then handles all of it."""
        wakes = [wake for running in self._running.values() if (wake := running.wakes) is not None]
        deadlines = [wake - time.monotonic() for wake in wakes]
        if self._halt is None and (lasts := self._budget.lasts(self._trials, self._running)) is not None:
            deadlines.append(lasts)
        if self._view.refresh:
            deadlines.append(self._view.refresh)
        for key, _ in self._selector.select(max(0.0, min(deadlines)) if deadlines else None):
            if key.data:
                self._attempt(self._read, key.data)
        for caught in signals.take():
            if caught in STOPS:
                self._stop_by_signal(caught)
        for name, running in list(self._running.items()):
            if (code := running.process.poll()) is not None:
                self._attempt(self._ended, name, code)
            else:
                running.check()
                if running.process.clock_was_set():
                    effort = replace(self._trials[name].effort, started=running.process.started)
                    self._attempt(partial(self._change, self._trials[name], effort=effort))
        if self._halt is None and self._running and (halt := self._budget.halt(self._trials, self._running)):
            self._stop_all(halt)

    def _read(self, name: str, *, all_of_it: bool = False) -> None:
        process = self._running[name].process
        try:
            lines = process.lines(all_of_it=all_of_it)
        except OSError as error:
            raise unwritable(self._launcher.folder / name / OUTPUT, error) from None
        for line in lines:
            if self._running[name].ours and STARTS_ANEW in line:
                self._view.say(f"trial {name}  {clean(line)}")
            for printed in self._parser.texts(line):
                if (value := katib_number(printed.text)) is not None:
                    self._report(name, value)
                else:
                    self._running[name].text = printed.text
        if process.silent and not all_of_it:
            self._selector.unregister(process)

    def _report(self, name: str, value: float) -> None:
        """Records the process's next report and stops the trial where the rule says so.

        Reports that the store has already are the history of a resumed trial.
        """
        running, trial = self._running[name], self._trials[name]
        running.step += 1
        recorded = trial.values[running.step - 1 : running.step]
        if trial.stop or recorded == (value,) or (math.isnan(value) and any(map(math.isnan, recorded))):
            return
        # It is asked while the search ends, too: the next start does not ask about an epoch that is recorded.
        stop = self._proposals.stop(trial, (*trial.values[: running.step - 1], value), self.trials)
        trial = self._trials[name] = self._store.report(trial, running.step, value, stop)
        self._view.report(trial, running.step)
        if stop:
            running.process.stop(SAVE_TIMEOUT)
            self._view.stopping(trial)

    def _ended(self, name: str, code: int) -> None:
        running = self._running[name]
        try:
            self._read(name, all_of_it=True)
        finally:
            # The slot becomes free even where the disk is full.
            del self._running[name]
            self._free.append(running.device)
            with suppress(KeyError):
                self._selector.unregister(running.process)
            running.process.close()
        process, trial = running.process, self._trials[name]
        if process.poll() == 0 and not trial.stop:
            # A report of an earlier, failed try counts only where this try has printed it too, as our trainer prints
            # its history.
            trial = self._trials[name] = self._store.keep(trial, running.step)
        end = running.end(code)
        if self._parser.parse(end.last_line):  # a metric is no reason
            end = replace(end, last_line="")
        judged = verdict(trial, end, self._experiment, halted=self._halt is not None)
        effort = trial.effort.ended(process.seconds, failed=judged.failed_try)
        if judged.halt:
            self._stop_all(judged.halt)
        if judged.state == "Created" and judged.reason != INTERRUPTED and not running.ours:
            # Katib reads the output of the last pod only; our trainer resumes, and prints its history again.
            with suppress(OSError):
                set_aside(self._launcher.folder / name, trial.effort.starts)
            trial = self._store.keep(trial, 0)
        self._change(trial, effort=effort, state=judged.state, reason=judged.reason)
        self._check_failures()

    def _check_failures(self) -> None:
        if halt := too_many_failures(self.trials, self._experiment):
            self._stop_all(halt)

    def _stop_by_signal(self, number: int) -> None:
        if self._halt and number == signal.SIGINT:
            for running in self._running.values():
                running.process.kill()
            return
        self._stop_all(Halt(128 + number, f"stopped by {signal.Signals(number).name}"))

    def _stop_all(self, halt: Halt) -> None:
        """Asks all trials to end. Of several reasons the first one counts."""
        if self._halt is None:
            self._halt = halt
            if self._running:
                waits = f"waiting for {count(len(self._running), 'trial')} to save and stop"
                self._view.say(f"{halt.reason}; {waits}, Ctrl-C kills them")
        for running in self._running.values():
            running.process.stop(running.grace)

    def _change(self, trial: Trial, **changes: object) -> None:
        before, self._trials[trial.name] = trial, self._store.update(trial, **changes)
        if self._trials[trial.name].state != before.state:
            self._view.change(self._trials[trial.name])
