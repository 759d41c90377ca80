"""The epoch loop: trains, validates, steps the scheduler, writes a checkpoint, and only then reports the result.

It uses Adam, gradient clipping and ReduceLROnPlateau on the validation SI-SNR, as the published baselines did.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from trainer.config import Run
from trainer.data.readers.corpora import Corpus
from trainer.data.sampling import WHOLE, Batch, Excerpt, Share, loader
from trainer.device import made_with
from trainer.errors import DataFaultError, StorageError
from trainer.metric_line import metric_line, say
from trainer.run_files import BEST, LAST, PREVIOUS, SUMMARY
from trainer.text import count
from trainer.tracking import Tracker
from trainer.tracking.example import Signals
from trainer.training.average import averaged, best_of
from trainer.training.checkpoint import Kept, Session, dump, dump_best
from trainer.training.divergence import diverged
from trainer.training.epoch import epoch_of, frames_of
from trainer.training.examples import separated
from trainer.training.gradients import Gradients
from trainer.training.group import ALONE, Group
from trainer.training.heartbeat import Heartbeat
from trainer.training.losses import pit_si_snr, si_snr
from trainer.training.progress import Partial, epoch_line, summary
from trainer.training.rates import after_epoch, warming_up
from trainer.training.run_directory import RunDirectory
from trainer.training.scores import Scores, means
from trainer.training.stop import Stopped, StopRequest
from trainer.training.validation import Validation

EXAMPLES = 3
"""Validation mixtures that the tracker gets as sound."""


@dataclass(frozen=True)
class Fit:
    """A training and everything that it works with."""

    run: Run
    corpus: Corpus
    session: Session
    gradients: Gradients
    folder: RunDirectory
    identity: dict[str, object]
    stop: StopRequest
    tracker: Tracker
    spent: Callable[[], float]
    """Returns the seconds that all processes of this run have taken so far, including those that were cut off."""
    group: Group = ALONE
    """The processes that train together, of which the first alone has a folder and a tracker."""
    heartbeat: Heartbeat = field(default_factory=Heartbeat)

    def begin(self) -> None:
        """Scores the unprocessed mixtures, unless a process before this one has done it. Raises Stopped."""
        if math.isnan(self.session.progress.mixture_val_si_snr):
            self.session.progress.mixture_val_si_snr = self.mixture_si_snr()

    def epochs(self) -> None:
        """Trains until `run.epochs` are done, patience runs out or the run is hopeless.

        Raises Stopped, DivergedError, DataFaultError or StorageError.
        """
        while not self.finished:
            epoch = self.session.progress.epoch
            started = time.monotonic() - self.session.progress.partial.seconds
            self._leave_if_asked(started)
            try:
                self._train(epoch, started)
                own = self._validate(started)
                kept = best_of(self.session, own.mean)
                scores = self._validate_average(own, kept, started)
            except DataFaultError:
                # This is between two steps, so the run can resume once the data is fixed.
                self._checkpoint(started)
                raise
            self._end_epoch(epoch, scores, own.mean, kept, time.monotonic() - started)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.session.progress.finished(self.run.epochs, self.run.patience, self.run.hopeless)

    def mixture_si_snr(self) -> float:
        """Returns the score of the unprocessed mixtures on the validation set, in dB."""

        def score(batch: Batch) -> Tensor:
            if self.stop.requested:
                raise Stopped
            return si_snr(batch.mixtures.unsqueeze(1).expand_as(batch.targets), batch.targets).mean(1)

        return self._over_validation(score, self._validation()[:1]).mean

    def examples(self, count: int) -> list[Signals]:
        """Returns the first `count` validation mixtures as the model separates them now."""
        self.session.model.eval()
        batches = [[excerpt] for batch in self._validation()[0] for excerpt in batch][:count]
        with torch.inference_mode():
            return [
                separated(excerpt.variant, batch, self.gradients.estimate(batch.mixtures)[0])
                for (excerpt,), batch in zip(batches, self._load(batches, workers=0), strict=True)
            ]

    def summarize(self, state: str, reason: str | None = None) -> None:
        """Writes summary.json, unless the run ended before there was anything to report.

        `state` is running, finished, stopped, diverged, data fault or out of memory; `reason` is what was wrong, or why
        a finished run ended before --epochs.
        """
        if math.isnan(self.session.progress.mixture_val_si_snr):
            return
        run, session = self.run, self.session
        if state == "finished":
            reason = session.progress.early_reason(run.epochs, run.patience, run.hopeless)
        content = summary(run.training, run.epochs, session.progress, session.parameters, state, reason)
        # The path of the corpus does not define the run, but evaluating the run needs the same corpus.
        content |= {"data_dir": str(self.run.data_dir.absolute()), "spent_seconds": self.spent()}
        content |= {"made_with": made_with(session.device)}
        self.folder.write_json(SUMMARY, content)
        self.tracker.update()

    def _train(self, epoch: int, started: float) -> None:
        """Trains on the training set once, or on what a stopped process left of it."""
        partial = self.session.progress.partial
        batches = epoch_of(self.run.training, self.corpus.train, epoch)
        validating = sum(map(len, chain(*self._validation())))
        self.heartbeat.train(epoch, started, batches, partial, validating=validating, lr=self.session.lr)
        self.session.model.train()
        saved = waiting = time.monotonic()
        left = batches[partial.batches :]
        for excerpts, batch in zip(left, self._load(left, share=self.group.share), strict=True):
            partial.waited += time.monotonic() - waiting
            self._step(batch, len(excerpts), epoch, partial)
            partial.batches += 1
            self._leave_if_asked(started)
            if time.monotonic() - saved >= 60 * self.run.checkpoint_minutes:
                self._checkpoint(started)
                self.summarize("running")
                saved = time.monotonic()
            waiting = time.monotonic()

    def _step(self, batch: Batch, mixtures: int, epoch: int, partial: Partial) -> None:
        """Takes a step with a share, maybe none, of the `mixtures`; skips it where loss or gradient is not finite."""
        session, training = self.session, self.run.training
        self.gradients.zero()
        loss = 0.0
        for part in batch.split(self.run.rows) if len(batch.mixtures) else ():
            loss += self.gradients(part.mixtures, part.targets, 1 / mixtures).item()
        loss = self.group.total(loss)
        # This comes first, so that fp16's scaler does not see the step.
        if not math.isfinite(loss):
            self._skip(epoch, "loss", loss)
            return
        self.group.add_gradients(session.model)
        if training.loss_threshold is not None:
            counted = round(self.group.total(self.gradients.counted))
            # The mean is that over the mixtures that count; where none does, there is nothing to learn.
            if not counted:
                return
            self.gradients.scale(mixtures / counted)
            loss, mixtures = loss * mixtures / counted, counted
        session.scaler.unscale_(session.optimizer)
        norm = clip_grad_norm_(session.model.parameters(), training.grad_clip_norm).item()
        if math.isfinite(norm):
            partial.steps += 1
            partial.norm_sum += norm
        # With fp16 the scaler skips such a step and halves its scale.
        elif not session.scaler.is_enabled():
            self._skip(epoch, "gradient", norm)
            return
        with warming_up(session):
            session.scaler.step(session.optimizer)
        session.scaler.update()
        partial.mixtures += mixtures
        partial.loss_sum += loss * mixtures

    def _skip(self, epoch: int, what: str, value: float) -> None:
        """Counts a batch that is skipped. Raises DivergedError where there are too many of them."""
        partial, most = self.session.progress.partial, self.run.nonfinite_batches
        partial.nonfinite_batches += 1
        if partial.nonfinite_batches > most:
            batches = count(partial.nonfinite_batches, "batch", "batches")
            many = f" in {batches} of the epoch; --nonfinite-batches allows {most}" if most else ""
            raise diverged(self.session, epoch, what, f"{value}{many}")
        say(
            f"epoch {epoch}: batch {partial.batches + 1} is skipped, its {what} is {value} "
            f"({partial.nonfinite_batches} of at most {most})"
        )

    def _validate(self, started: float | None = None) -> Scores:
        """Returns the model's SI-SNR on the validation set. Raises Stopped, with a checkpoint if `started` is given."""

        def score(batch: Batch) -> Tensor:
            if started is not None:
                self._leave_if_asked(started)
            elif self.stop.requested:
                raise Stopped
            return pit_si_snr(self.gradients.estimate(batch.mixtures), batch.targets)

        self.session.model.eval()
        scores = self._over_validation(score, self._validation())
        self.heartbeat.validated()
        for value in (scores.mean, *scores.variants.values()):
            if not math.isfinite(value):
                raise diverged(self.session, self.session.progress.epoch, "validation", str(value))
        return scores

    def _validate_average(self, own: Scores, kept: list[Kept], started: float) -> Scores:
        """Returns the scores of the average of the `kept` epochs; those of the `own` weights where it is the same."""
        history, epochs = self.session.progress.history, [one["epoch"] for one in kept]
        if len(kept) < 2:
            return own
        if epochs == [one["epoch"] for one in self.session.kept]:
            return Scores(history[-1].val_si_snr, history[-1].variants)
        try:
            with averaged(self.session.model, kept):
                return self._validate()
        except Stopped:
            # Only here are the weights those that the training resumes with.
            self._leave_if_asked(started)
            raise

    def _end_epoch(self, epoch: int, scores: Scores, own: float, kept: list[Kept], seconds: float) -> None:
        """Records a finished epoch: steps the scheduler, writes the checkpoints, and reports the result."""
        session = self.session
        record = session.progress.ended(scores.mean, scores.variants, own if kept else None, session.lr, seconds)
        session.progress.history.append(record)
        session.progress.partial = Partial()
        session.kept = kept
        after_epoch(session, epoch, own)
        try:
            # The best one comes first: a process that is killed in between trains this epoch again and writes the same
            # weights.
            if session.progress.best is record:
                with averaged(session.model, kept):
                    best = dump_best(session, self.identity)
                self.folder.write(BEST, best)
            self.folder.write(LAST, dump(session, self.identity), keep=PREVIOUS)
        # The summary reports what is on the disk.
        except (Stopped, StorageError):
            session.progress.history.pop()
            raise
        self.summarize("finished" if self.finished else "running")
        say(epoch_line(record, self.run.epochs), metric_line(record.time, scores.mean))
        if session.progress.best is record:
            with averaged(session.model, kept):
                self.tracker.best_epoch(lambda: self.examples(EXAMPLES))

    def _over_validation(self, score: Callable[[Batch], Tensor], sets: Sequence[list[list[Excerpt]]]) -> Scores:
        """Returns the means over the validation of `score`, which returns [B] for a batch; the first set decides."""
        share, done, found = self.group.share, list[list[float]](), list[Scores]()
        own = [batches[share.rank :: share.size] for batches in sets]
        self.heartbeat.validate(self.session.progress.epoch, sum(map(len, own)), done)
        for batches, part in zip(sets, own, strict=True):
            with torch.inference_mode():
                for batch in self._load(part):
                    scored = score(batch).double()
                    done.append([scored.sum().item(), *scored.tolist()])
            found.append(means(batches, self.group.interleaved(done[len(done) - len(part) :])))
        return Scores(found[0].mean, dict(sorted(chain(*(one.variants.items() for one in found)))))

    def _validation(self) -> list[list[list[Excerpt]]]:
        return Validation(self.run.training, self.corpus.validation).batches(self.run.rows)

    def _load(
        self, batches: Sequence[Sequence[Excerpt]], workers: int | None = None, share: Share = WHOLE
    ) -> Iterator[Batch]:
        workers = self.run.workers if workers is None else workers
        pin = self.session.device.type == "cuda"
        for batch in loader(batches, frames=self._frames, workers=workers, pin=pin, share=share):
            yield batch.to(self.session.device)

    @property
    def _frames(self) -> int:
        return frames_of(self.run.training)

    def _leave_if_asked(self, started: float) -> None:
        self.heartbeat.say()
        if self.stop.requested:
            if self.session.progress.partial.batches:
                self._checkpoint(started)
            raise Stopped

    def _checkpoint(self, started: float) -> None:
        self.session.progress.partial.seconds = time.monotonic() - started
        self.folder.write(LAST, dump(self.session, self.identity), keep=PREVIOUS)
