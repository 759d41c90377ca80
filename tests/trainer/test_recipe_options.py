"""Options of the recipe: each does what its source says, resumes exactly, and leaves Series 3 as it was by default."""

import json
import math
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from tests.trainer.test_resume import assert_same, flat
from tests.trainer.training import Training, stop_after_every_second_step
from trainer.config import Training as Settings
from trainer.data.mixing import KINDS
from trainer.data.readers.corpora import open_corpus
from trainer.data.readers.subset import load
from trainer.data.sampling import Batch
from trainer.kernels.transformer import TransformerLayer
from trainer.models import build
from trainer.models.dprnn import RecurrentPath
from trainer.recipe import DEFAULTS
from trainer.training import fit, gradients
from trainer.training.checkpoint import new_session
from trainer.training.losses import pit_si_snr
from trainer.training.rates import after_epoch

AS_SERIES_3 = ["--optimizer", "adam", "--scheduler", "plateau", "--warmup-steps", "0", "--average-best", "1"]
"""Every option with the value that it had before it was one."""
OPTIONS = [
    pytest.param(["--optimizer", "adamw", "--weight-decay", "0.1"], id="adamw"),
    pytest.param(["--scheduler", "cosine", "--cosine-epochs", "4"], id="cosine"),
    pytest.param(["--model", "dprnn", "--dropout", "0.2"], id="dropout in dprnn"),
    pytest.param(["--model", "sepformer", "--dropout", "0.2"], id="dropout in sepformer"),
    pytest.param(["--loss-threshold", "-1"], id="loss threshold"),
    pytest.param(["--average-best", "2"], id="average"),
    pytest.param(["--warmup-steps", "7"], id="warm-up"),
    pytest.param(["--speed-perturbation", "5"], id="speed"),
]
"""Each option away from its default."""


def weights(run_dir: Path) -> dict[str, Tensor]:
    """Returns the weights of the last checkpoint."""
    state: dict[str, Tensor] = torch.load(run_dir / "last.pt", weights_only=True)["model"]
    return state


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """Returns the list to which the trainer's steps add the batch that they take."""
    taken: list[Batch] = []
    step = fit.Fit._step

    def noting(self: fit.Fit, batch: Batch, *rest: Any) -> None:
        taken.append(Batch(batch.mixtures.clone(), batch.targets.clone()))
        step(self, batch, *rest)

    monkeypatch.setattr(fit.Fit, "_step", noting)
    return taken


def published(parameters: Iterable[nn.Parameter]) -> Adam:
    """Returns the optimizer of Series 3."""
    return Adam(parameters, lr=1e-3, weight_decay=1e-5, fused=True)


def plain_loop(
    model: str,
    batches: list[Batch],
    make: Callable[[Iterable[nn.Parameter]], Optimizer] = published,
    before: Callable[[Optimizer, int], None] | None = None,
) -> dict[str, Tensor]:
    """Returns the weights after the steps written out, with nothing of the epoch loop; `before` sees each step."""
    torch.manual_seed(42)
    network = build(model, "debug").train()
    optimizer = make(network.parameters())
    for number, batch in enumerate(batches, start=1):
        network.zero_grad()
        loss = -(pit_si_snr(network(batch.mixtures), batch.targets) * (1 / len(batch.mixtures))).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        if before:
            before(optimizer, number)
        optimizer.step()
    return network.state_dict()


@pytest.fixture
def easier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds 10 dB to every training score, which changes no gradient, so that some are above 1 dB and some below."""
    monkeypatch.setattr(gradients, "pit_si_snr", lambda *pair: pit_si_snr(*pair) + 10)


def assert_equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    torch.testing.assert_close(flat(left), flat(right), rtol=0, atol=0)


@pytest.mark.parametrize("model", ["convtasnet", "dprnn", "sepformer", "spmamba"])
def test_by_default_a_training_is_that_of_series_3_bit_for_bit(
    model: str, training: Training, tmp_path: Path, batches: list[Batch]
) -> None:
    """Two epochs of Adam, clipping and the plateau, written out; with every option named they are the same training,
    and config.json has the same words as before there were options.
    """
    flags = ["--model", model, "--epochs", "2", "--train-limit", "6", "--validation-limit", "2"]
    assert training.here(tmp_path / "trial", *flags) == 0
    assert_equal(weights(tmp_path / "trial"), plain_loop(model, batches))
    assert not set(DEFAULTS) & set(json.loads((tmp_path / "trial" / "config.json").read_text()))
    (tmp_path / "named").mkdir()
    assert training.here(tmp_path / "named" / "trial", *flags, *AS_SERIES_3) == 0
    assert_same(tmp_path / "named" / "trial", tmp_path / "trial")


@pytest.mark.usefixtures("easier")
@pytest.mark.parametrize("flags", OPTIONS)
def test_with_each_option_a_stopped_training_resumes_exactly(
    flags: list[str], training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM comes after every second batch; what comes out is bitwise the undisturbed run, and not the default's."""
    words = ["--epochs", "3", "--batch-size", "5"]
    assert training.here(tmp_path / "trial", *words, *flags) == 0
    assert training.here(tmp_path / "default", *words, *flags[: 2 * (flags[0] == "--model")]) == 0
    default = weights(tmp_path / "default")
    # An average leaves the training itself as it is.
    differs = any(not torch.equal(weight, default[name]) for name, weight in weights(tmp_path / "trial").items())
    assert differs == ("--average-best" not in flags)
    stop_after_every_second_step(monkeypatch)
    (tmp_path / "stopped").mkdir()
    codes = [143]
    while codes[-1] == 143:
        codes.append(training.here(tmp_path / "stopped" / "trial", *words, *flags))
    assert (codes[-1], len(codes) > 3) == (0, True)
    assert_same(tmp_path / "stopped" / "trial", tmp_path / "trial")


def test_adamw_is_that_of_torch(training: Training, tmp_path: Path, batches: list[Batch]) -> None:
    assert training.here(tmp_path / "trial", "--epochs", "2", "--optimizer", "adamw", "--weight-decay", "0.1") == 0
    expected = plain_loop("convtasnet", batches, lambda p: AdamW(p, lr=1e-3, weight_decay=0.1, fused=True))
    assert_equal(weights(tmp_path / "trial"), expected)


def test_the_cosine_and_the_warm_up_are_those_written_out(
    training: Training, tmp_path: Path, batches: list[Batch]
) -> None:
    """Three epochs of three steps, of which the first five warm up: a rise that multiplies the cosine."""
    flags = ["--epochs", "3", "--scheduler", "cosine", "--cosine-epochs", "4", "--warmup-steps", "5"]
    assert training.here(tmp_path / "trial", *flags) == 0
    rates = [1e-3 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(3)]

    def before(optimizer: Optimizer, number: int) -> None:
        optimizer.param_groups[0]["lr"] = rates[(number - 1) // 3] * min(number, 5) / 5

    assert_equal(weights(tmp_path / "trial"), plain_loop("convtasnet", batches, before=before))
    history = json.loads((tmp_path / "trial" / "summary.json").read_text())["history"]
    assert [record["lr"] for record in history] == rates
    assert [record["steps"] for record in history] == [3, 3, 3]


@pytest.mark.usefixtures("easier")
@pytest.mark.parametrize("parts", [(), ("--micro-batch", "3")], ids=["whole", "in parts"])
def test_the_loss_threshold_is_that_of_speechbrain(
    parts: tuple[str, ...], training: Training, tmp_path: Path, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, where the order of additions does not matter: the mean over the mixtures whose loss is above it, and
    no step where there is none (as in SpeechBrain's recipes/WSJ0Mix/separation/train.py).
    """
    monkeypatch.setattr(Batch, "to", lambda batch, device: Batch(batch.mixtures.double(), batch.targets.double()))
    torch.set_default_dtype(torch.float64)
    kept: list[int] = []
    try:
        assert training.here(tmp_path / "trial", "--epochs", "3", "--loss-threshold", "-1", *parts) == 0
        torch.manual_seed(42)
        network = build("convtasnet", "debug").train()
        optimizer = published(network.parameters())
        for batch in batches:
            network.zero_grad()
            loss = -pit_si_snr(network(batch.mixtures), batch.targets) - 10
            loss = loss[loss > -1]
            kept.append(len(loss))
            if len(loss):
                loss.mean().backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimizer.step()
    finally:
        torch.set_default_dtype(torch.float32)
    assert {0 < number < 4 for number in kept} == {True, False}
    torch.testing.assert_close(flat(weights(tmp_path / "trial")), flat(network.state_dict()), rtol=1e-6, atol=1e-9)
    history = json.loads((tmp_path / "trial" / "summary.json").read_text())["history"]
    assert sum(record["mixtures"] for record in history) == sum(kept)
    assert sum(record["steps"] for record in history) == sum(map(bool, kept))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_dropout_is_of_what_a_part_adds_and_of_nothing_else(training: bool) -> None:
    """SepFormer's layer and DPRNN's path written out in torch's own functions, with the same random numbers."""
    torch.manual_seed(0)
    sequences = torch.randn(2, 9, 8)
    layer = TransformerLayer(8, 2, 16, 0.5).train(training)
    plain = TransformerLayer(8, 2, 16).train(training)
    plain.load_state_dict(layer.state_dict())
    torch.manual_seed(1)
    output = layer(sequences)
    torch.manual_seed(1)
    between = sequences + F.dropout(plain.attention(plain.attention_norm(sequences)), 0.5, training)
    expected = between + F.dropout(plain.feedforward[2](F.relu(inner(plain, between))), 0.5, training)
    torch.testing.assert_close(output, expected)
    assert torch.allclose(output, plain(sequences), atol=1e-5) != training

    path = RecurrentPath(8, 4, 0.5).train(training)
    chunks = torch.randn(2, 3, 5, 8)
    torch.manual_seed(1)
    output = path(chunks)
    torch.manual_seed(1)
    hidden = F.dropout(path.lstm(chunks.movedim(2, 0).flatten(1, 2)), 0.5, training)
    torch.testing.assert_close(output, path.projection(hidden).view(5, 2, 3, 8).movedim(0, 2))


def test_best_pt_is_the_average_of_the_best_epochs(training: Training, tmp_path: Path, corpus: Path) -> None:
    """Epochs are ranked by their own validation, which is that of a run without averages; what is reported is the
    average's, which the trainer's evaluation of best.pt confirms.
    """
    own: list[tuple[float, dict[str, Tensor]]] = []
    for epochs in ("1", "2", "3"):
        assert training.here(tmp_path / "plain", "--epochs", epochs) == 0
        history = json.loads((tmp_path / "plain" / "summary.json").read_text())["history"]
        own.append((history[-1]["val_si_snr"], weights(tmp_path / "plain")))
    assert training.here(tmp_path / "trial", "--epochs", "3", "--average-best", "2") == 0
    summary = json.loads((tmp_path / "trial" / "summary.json").read_text())
    assert [record["own_val_si_snr"] for record in summary["history"]] == [score for score, _ in own]
    best = torch.load(tmp_path / "trial" / "best.pt", weights_only=True)
    two = sorted(own[: best["epoch"]], key=lambda pair: -pair[0])[:2]
    expected = {name: torch.stack([each[name] for _, each in two]).mean(0) for name in own[0][1]}
    torch.testing.assert_close(flat(best["model"]), flat(expected))
    again = new_session(Settings(model="convtasnet", preset="debug"), torch.device("cpu")).model
    again.load_state_dict(best["model"])
    subset = open_corpus(corpus).validation
    scores = []
    for row in subset.rows:
        mixture, targets = map(torch.from_numpy, load(row, KINDS[row.kind][0], 0, row.frames))
        scores.append(pit_si_snr(again(mixture[None]), targets[None]).item())
    assert best["val_si_snr"] == pytest.approx(sum(scores) / len(scores), abs=1e-4)


def test_a_stop_while_an_average_is_validated_saves_the_training_s_own_weights(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM comes then, at the end of the second epoch; the resumed run is bitwise the undisturbed one."""
    flags = ["--epochs", "3", "--average-best", "2"]
    assert training.here(tmp_path / "trial", *flags) == 0
    validate, stops = fit.Fit._validate, [True]

    def validating(self: fit.Fit, started: float | None = None) -> Any:
        if started is None and stops:
            stops.pop()
            os.kill(os.getpid(), signal.SIGTERM)
        return validate(self, started)

    monkeypatch.setattr(fit.Fit, "_validate", validating)
    (tmp_path / "stopped").mkdir()
    assert training.here(tmp_path / "stopped" / "trial", *flags) == 143
    assert training.here(tmp_path / "stopped" / "trial", *flags) == 0
    assert_same(tmp_path / "stopped" / "trial", tmp_path / "trial")


def inner(layer: TransformerLayer, sequences: Tensor) -> Tensor:
    """Returns what the feed-forward network has before its ReLU."""
    before: Tensor = layer.feedforward[0](layer.feedforward_norm(sequences))
    return before


@pytest.mark.parametrize(("scheduler", "last"), [("plateau", 5e-4), ("none", 1e-3)])
def test_without_a_scheduler_the_learning_rate_stays(scheduler: Literal["plateau", "none"], last: float) -> None:
    """After three epochs that are no better, with a patience of two and a curriculum that is at its end."""
    settings = Settings(model="convtasnet", preset="debug", curriculum="all", scheduler=scheduler)
    session = new_session(settings, torch.device("cpu"))
    for epoch in range(1, 5):
        after_epoch(session, epoch, 1.0)
    assert session.optimizer.param_groups[0]["lr"] == last
