"""A checkpoint: what a new training is, what is kept of one, and every file that is no checkpoint of it."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.amp.grad_scaler import GradScaler
from torch.optim import Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau

from trainer.config import Training
from trainer.errors import ConfigError, DamagedCheckpointError
from trainer.text import first_line
from trainer.training import checkpoint
from trainer.training.checkpoint import Session, dump, dump_best, new_session, read, restore, resume
from trainer.training.progress import EpochRecord, Progress

CPU = torch.device("cpu")
IDENTITY = {"model": "convtasnet", "lr": 0.002}
TRAINING = Training(
    model="convtasnet", preset="debug", lr=0.002, weight_decay=3e-5, lr_factor=0.3, lr_patience=4, seed=7
)
RECORDS = [
    EpochRecord(epoch, "2026-11-24T09:30:00Z", 1.5 * epoch, -1.0, 0.1, 2.0, 3.0, {"SER": 1.0}, 8, 0.5)
    for epoch in (1, 2)
]


def small() -> Session:
    """Returns a new session of a model with two weights and a bias."""
    torch.manual_seed(7)
    model = torch.nn.Linear(2, 1)
    optimizer = Adam(model.parameters(), lr=0.002)
    scheduler, scaler = ReduceLROnPlateau(optimizer, mode="max"), GradScaler("cpu", enabled=False)
    return Session(TRAINING, CPU, model, optimizer, scheduler, scaler, Progress(float("nan")))


def trained() -> Session:
    """Returns such a session after two epochs of one step each."""
    session = small()
    session.progress.mixture_val_si_snr = -0.25
    for record in RECORDS:
        session.model(torch.randn(3, 2)).square().mean().backward()
        session.optimizer.step()
        session.optimizer.zero_grad()
        session.scheduler.step(1.0)
        session.progress.history.append(record)
    return session


def everything(session: Session) -> dict[str, Any]:
    """Returns everything that a training consists of, from the public state of torch's own objects."""
    return {
        "model": session.model.state_dict(),
        "optimizer": session.optimizer.state_dict(),
        "scheduler": session.scheduler.state_dict(),
        "progress": session.progress.to_dict(),
    }


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other or (one != one and other != other))


def archive(state: Any, **settings: Any) -> bytes:
    """Returns a file as torch.save writes it, without a checksum; `settings` are those of zipfile."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    if not settings:
        return buffer.getvalue()
    packed = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(packed, "w", **settings) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return packed.getvalue()


def sealed(content: bytes) -> bytes:
    """Returns the content with its checksum: the SHA-256 of everything before it, as the comment of the zip archive."""
    body = content[:-2] + (7 + 64).to_bytes(2, "little")
    return body + checkpoint._comment(body)


def test_a_new_training_has_the_settings_that_were_asked_for() -> None:
    """Read from torch's own objects; validation is to rise, and nothing is known of it."""
    session = new_session(TRAINING, CPU)
    (group,) = session.optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.002, 3e-5)
    assert group["fused"]
    scheduler = session.scheduler
    assert (scheduler.mode, scheduler.factor, scheduler.patience) == ("max", 0.3, 4)
    assert not session.scaler.is_enabled()
    assert session.progress.mixture_val_si_snr != session.progress.mixture_val_si_snr
    assert (session.training, session.device) == (TRAINING, CPU)


def test_weights_depend_on_the_seed_alone() -> None:
    """Whatever was drawn before."""
    torch.manual_seed(1)
    one = new_session(TRAINING, CPU).model.state_dict()
    torch.manual_seed(2)
    assert alike(one, new_session(TRAINING, CPU).model.state_dict())
    assert not alike(one, new_session(Training(**{**vars(TRAINING), "seed": 8}), CPU).model.state_dict())


def test_fp16_alone_is_scaled() -> None:
    """Micikevicius et al. 2018, section 3.2: the small gradients of half precision; the others have float32's range."""
    for precision, scaled in (("fp32", False), ("bf16", False), ("fp16", True)):
        training = Training(model="convtasnet", preset="debug", precision=precision)  # type: ignore[arg-type]
        assert new_session(training, CPU).scaler.is_enabled() == scaled


def test_the_number_of_parameters_is_that_of_all_weights() -> None:
    session = new_session(TRAINING, CPU)
    assert session.parameters == sum(len(weight.flatten()) for weight in session.model.state_dict().values())


def test_a_restored_session_is_the_one_that_was_kept(tmp_path: Path) -> None:
    """Every part of it, bit by bit, and the next random numbers; the file says whose it is."""
    before = trained()
    (tmp_path / "last.pt").write_bytes(dump(before, IDENTITY))
    numbers = torch.randn(5)
    after = small()
    assert not alike(everything(after), everything(before))
    restore(after, tmp_path / "last.pt", IDENTITY)
    assert torch.equal(torch.randn(5), numbers)
    assert alike(everything(after), everything(before))
    content = read(tmp_path / "last.pt")
    assert content["identity"] == IDENTITY
    assert content["random_cuda"] is None


def test_a_gpus_random_numbers_are_kept_and_restored_on_a_gpu_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout draws there; a checkpoint of a GPU continues on a CPU, and the other way round."""
    kept, restored = torch.tensor([1, 2, 3], dtype=torch.uint8), []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: kept)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: restored.append((state, device)))
    gpu = torch.device("cuda", 0)
    (tmp_path / "gpu.pt").write_bytes(dump(replace(small(), device=gpu), IDENTITY))
    (tmp_path / "cpu.pt").write_bytes(dump(small(), IDENTITY))
    restore(small(), tmp_path / "gpu.pt", IDENTITY)
    restore(replace(small(), device=gpu), tmp_path / "cpu.pt", IDENTITY)
    assert restored == []
    restore(replace(small(), device=gpu), tmp_path / "gpu.pt", IDENTITY)
    ((state, device),) = restored
    assert torch.equal(state, kept)
    assert device == gpu


def test_the_best_epoch_is_kept_with_its_number_and_value(tmp_path: Path) -> None:
    """It is the one that has just ended: the second, with 3 dB."""
    session = trained()
    session.progress.history.insert(0, RECORDS[0])  # three records, so that the last is not the second
    (tmp_path / "best.pt").write_bytes(dump_best(session, IDENTITY))
    found = read(tmp_path / "best.pt")
    assert alike(found.pop("model"), dict(session.model.state_dict()))
    assert found == {"identity": IDENTITY, "epoch": 2, "val_si_snr": 3.0}


def test_the_checkpoint_is_an_archive_that_other_tools_read(tmp_path: Path) -> None:
    """By Python's own zipfile, which finds the checksum as its comment, and by torch.load."""
    file = tmp_path / "last.pt"
    file.write_bytes(dump(trained(), IDENTITY))
    with zipfile.ZipFile(file) as found:
        assert found.testzip() is None
        assert found.comment.startswith(b"sha256=")
        assert len(found.comment) == 7 + 64
    assert torch.load(file, weights_only=True)["identity"] == IDENTITY


def test_a_directory_without_a_checkpoint_leaves_the_session_new(tmp_path: Path) -> None:
    session = small()
    before = pickle.dumps(everything(session))
    assert resume(session, tmp_path, IDENTITY) == []
    assert pickle.dumps(everything(session)) == before


def test_the_last_checkpoint_counts_and_the_one_before_where_it_is_damaged(tmp_path: Path) -> None:
    """A difference of identities is no damage: it is refused, and the one before is not looked at."""
    last, previous = trained(), trained()
    previous.progress.history.pop()
    (tmp_path / "last.pt").write_bytes(dump(last, IDENTITY))
    (tmp_path / "previous.pt").write_bytes(dump(previous, IDENTITY))
    session = small()
    assert resume(session, tmp_path, IDENTITY) == []
    assert len(session.progress.history) == 2
    (tmp_path / "last.pt").write_bytes(b"short")
    (said,) = resume(session, tmp_path, IDENTITY)
    assert said == (
        f"{tmp_path}/last.pt: is damaged, it has no checksum at its end; resumes from previous.pt, the one before"
    )
    assert len(session.progress.history) == 1
    (tmp_path / "last.pt").write_bytes(dump(last, {**IDENTITY, "lr": 0.5}))
    with pytest.raises(ConfigError, match=r"last\.pt: belongs to another training, with lr 0\.5 \(requested: 0\.002\)"):
        resume(session, tmp_path, IDENTITY)
    assert len(session.progress.history) == 1


def test_where_no_checkpoint_can_be_read_each_is_named(tmp_path: Path) -> None:
    for names in (["last.pt"], ["last.pt", "previous.pt"]):
        for name in names:
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(DamagedCheckpointError) as raised:
            resume(small(), tmp_path, IDENTITY)
        parts = str(raised.value).split("; ")
        assert parts[: len(names)] == [
            f"{tmp_path}/{name}: is damaged, it has no checksum at its end" for name in names
        ]
        assert parts[-1] == "there is no other checkpoint: restore one from a copy, or choose another --run-dir"


@pytest.mark.parametrize("content", [b"short", None])
def test_a_trial_that_goes_on_starts_anew_where_no_checkpoint_can_be_read(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so and keeps the damaged files; of one that lacks a part, nothing stays in the session."""
    monkeypatch.setenv("TRAINER_START_ANEW", "1")
    other = new_session(replace(TRAINING, seed=8), CPU)
    state = torch.load(io.BytesIO(dump(other, IDENTITY)), weights_only=True)
    del state["scheduler"]
    (tmp_path / "last.pt").write_bytes(content or sealed(archive(state)))
    session, fresh = new_session(TRAINING, CPU), new_session(TRAINING, CPU)
    (note,) = resume(session, tmp_path, IDENTITY)
    assert note.startswith(f"{tmp_path}/last.pt: ")
    assert note.endswith("; starts anew")
    assert alike(everything(session), everything(fresh))
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt.damaged"]


def test_a_checkpoint_that_is_missing_after_an_epoch_is_told(tmp_path: Path) -> None:
    (tmp_path / "best.pt").touch()
    (note,) = resume(small(), tmp_path, IDENTITY)
    assert note == f"{tmp_path}: epochs were trained here, and their checkpoint is missing; starts anew"


def test_the_checkpoint_before_is_read_where_it_is_the_only_one(tmp_path: Path) -> None:
    """Between two renames on a volume without second names, last.pt is missing for an instant."""
    (tmp_path / "previous.pt").write_bytes(dump(trained(), IDENTITY))
    session = small()
    assert resume(session, tmp_path, IDENTITY) == []
    assert len(session.progress.history) == 2


def without(part: str) -> dict[str, Any]:
    state = torch.load(io.BytesIO(dump(trained(), IDENTITY)), weights_only=True)
    del state[part]
    return dict(state)


@pytest.mark.parametrize("part", ["model", "optimizer", "scheduler", "scaler", "random", "random_cuda", "progress"])
def test_a_checkpoint_that_lacks_a_part_is_refused(part: str, tmp_path: Path) -> None:
    """Each is needed: a training without one of them would not continue as if it had never stopped."""
    (tmp_path / "last.pt").write_bytes(sealed(archive(without(part))))
    with pytest.raises(DamagedCheckpointError, match=rf"last\.pt: its parts are not those .* \('{part}'\)"):
        restore(small(), tmp_path / "last.pt", IDENTITY)


def test_a_checkpoint_without_an_identity_is_of_another_training(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(sealed(archive(without("identity"))))
    with pytest.raises(ConfigError, match=r"with model None \(requested: convtasnet\)"):
        restore(small(), tmp_path / "last.pt", IDENTITY)


class Running:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def bomb() -> bytes:
    """Returns 10 kB that torch.load would unpack to 10 MB: zeros pack a thousand to one."""
    state = {"model": {"weight": torch.zeros(2_500_000)}}
    return archive(state, compression=zipfile.ZIP_DEFLATED, compresslevel=1)


REFUSED: Mapping[str, tuple[Any, str]] = {
    "nothing": (lambda: b"", "is damaged, it has no checksum at its end"),
    "no checksum": (lambda: archive({}), "is damaged, it has no checksum at its end"),
    "another checksum": (
        lambda: sealed(archive({}))[:-64] + b"0" * 64,
        "is damaged, its checksum is wrong",
    ),
    "a list": (lambda: sealed(archive([1])), "is no checkpoint of this version"),
    "code": (lambda: sealed(archive({"model": Running()})), "cannot be read by this version"),
    "no archive": (lambda: sealed(b"anything at all"), "cannot be read by this version"),
    "a bomb": (lambda: sealed(bomb()), "cannot be read by this version .* bytes that unpack to 10000"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a right checksum too: whoever wrote the file can make one.

    Nothing of it runs, and nothing larger than the file is unpacked.
    """
    content, problem = REFUSED[what]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "last.pt").write_bytes(content())
    with pytest.raises(DamagedCheckpointError, match=rf"^\S*last\.pt: {problem}") as raised:
        read(tmp_path / "last.pt")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.pt").mkdir()
    with pytest.raises(DamagedCheckpointError, match=r"last\.pt: cannot be read \(Is a directory\)"):
        read(tmp_path / "last.pt")


def test_an_error_without_a_word_is_named_by_its_kind() -> None:
    assert first_line(RuntimeError("one\ntwo")) == "one"
    assert first_line(EOFError()) == "EOFError"
