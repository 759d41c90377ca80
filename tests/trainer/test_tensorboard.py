"""TensorBoard's event files, read as protocol buffers by Google's own package, which knows nothing of ours."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.trainer.training import Training
from trainer.tracking import TRACKERS, NoTracker, Trackers, open_tracker, tensorboard
from trainer.tracking.tensorboard import _checksum, _number

FIELDS = {  # of tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto
    "Event": [
        ("wall_time", 1, "DOUBLE"),
        ("step", 2, "INT64"),
        ("file_version", 3, "STRING"),
        ("summary", 5, "Summary"),
    ],
    "Summary": [("value", 1, "Value")],
    "Value": [("tag", 1, "STRING"), ("simple_value", 2, "FLOAT"), ("tensor", 8, "Tensor"), ("metadata", 9, "Metadata")],
    "Tensor": [("dtype", 1, "INT32"), ("tensor_shape", 2, "Shape"), ("float_val", 5, "FLOAT")],
    "Shape": [("unknown_rank", 3, "BOOL")],
    "Metadata": [("plugin_data", 1, "PluginData")],
    "PluginData": [("plugin_name", 1, "STRING"), ("content", 2, "Hparams")],
    # tensorboard/plugins/hparams/plugin_data.proto; a map is a repeated entry.
    "Hparams": [("version", 1, "INT32"), ("session_start_info", 3, "Start")],
    "Start": [("hparams", 1, "Entry"), ("start_time_secs", 5, "DOUBLE")],
    "Entry": [("key", 1, "STRING"), ("value", 2, "Setting")],
    "Setting": [("number_value", 2, "DOUBLE"), ("string_value", 3, "STRING"), ("bool_value", 4, "BOOL")],
}
REPEATED = ("value", "hparams")


@pytest.fixture(autouse=True)
def _no_tracker_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_") or name == TRACKERS]:
        monkeypatch.delenv(name)


def event_class() -> Any:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="read", syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            repeated = field in REPEATED and kind in FIELDS and kind != "Setting"
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, label=label)
            if kind in FIELDS:
                made.type, made.type_name = kinds.TYPE_MESSAGE, f".read.{kind}"
            else:
                made.type = kinds.Type.Value(f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("read.Event"))


def events(file: Path) -> list[Any]:
    kind, content, found = event_class(), file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        assert content[8:12] == _checksum(content[:8])
        assert content[12 + length : 16 + length] == _checksum(content[12 : 12 + length])
        found.append(kind.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return found


def files(run: Path) -> list[Path]:
    return sorted((run / "tensorboard").iterdir())


def test_the_checksum_is_that_of_the_standard() -> None:
    """RFC 3720, B.4: of 32 bytes of 0 the CRC-32C is 8A9136AA; TFRecord rotates it and adds a constant."""
    for content, crc in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (b"123456789", 0xE3069283)):
        masked = ((crc >> 15) | (crc << 17)) + 0xA282EAD8 & 0xFFFFFFFF
        assert _checksum(content) == struct.pack("<I", masked)


def test_each_epoch_is_one_event_with_every_number_and_a_resume_adds_only_what_is_new(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACKERS, "tensorboard")
    monkeypatch.setenv("WANDB_PROJECT", "not-asked-for")
    run = tmp_path / "run"
    assert training.here(run, "--epochs", "2") == 0
    (file,) = files(run)
    assert not (run / "wandb").exists()
    first, settings, *epochs = events(file)
    assert (first.file_version, first.step) == ("brain.Event:2", 0)
    assert [event.step for event in epochs] == [1, 2]
    (value,) = settings.summary.value
    assert (value.tag, settings.step, value.tensor.dtype) == ("_hparams_/session_start_info", 0, 1)
    assert value.metadata.plugin_data.plugin_name == "hparams"
    start = value.metadata.plugin_data.content.session_start_info
    found = {one.key: one.value.string_value or one.value.number_value for one in start.hparams}
    config = json.loads((run / "config.json").read_text())
    assert (found["model"], found["lr"]) == (config["model"], config["lr"])
    assert start.start_time_secs == settings.wall_time
    history = json.loads((run / "summary.json").read_text())["history"]
    for event, record in zip(epochs, history, strict=True):
        numbers = {value.tag: value.simple_value for value in event.summary.value}
        assert numbers["val_si_snr"] == pytest.approx(record["val_si_snr"], abs=1e-5)
        assert {"epoch", "lr", "grad_norm", "train_loss", "val_loss", "mixtures_per_second"} <= numbers.keys()
        assert {f"val_si_snr_{variant}" for variant in record["variants"]} <= numbers.keys()
    # A process that was killed may leave half an event, and has not written the rest.
    with file.open("r+b") as half:
        half.truncate(file.stat().st_size - 7)
    assert training.here(run, "--epochs", "3") == 0
    old, new = files(run)
    assert old == file
    assert [event.step for event in events(new)] == [0, 2, 3]


def test_a_number_of_steps_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    for step in (1, 127, 128, 300, 10**6, 2**31):
        file = tmp_path / f"events.tfevents.{step}"
        event = b"\x09" + bytes(8) + b"\x10" + _number(step) + b"\x2a\x00"
        file.write_bytes(struct.pack("<Q", len(event)) + bytes(4) + event + bytes(4))
        assert list(tensorboard._steps(file)) == [step]
        file.write_bytes(b"\xff" * 100)
        assert list(tensorboard._steps(file)) == []


def test_nothing_is_tracked_by_default_and_an_unknown_tracker_is_refused_before_anything_is_written(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(open_tracker(tmp_path), NoTracker)
    for value, answer in (
        ("tensorbord", "SEPSWEEP_TRACKERS 'tensorbord': unknown tracker, did you mean 'tensorboard'?"),
        ("wandb, wandb", "SEPSWEEP_TRACKERS 'wandb, wandb': wandb is there twice; remove one of the two"),
        ("wandb,mlflow", "SEPSWEEP_TRACKERS 'mlflow': unknown tracker, valid: wandb, tensorboard"),
    ):
        monkeypatch.setenv(TRACKERS, value)
        assert training.here(tmp_path / "run") == 2
        assert capsys.readouterr().err == f"error: {answer}\n"
        assert not (tmp_path / "run").exists()
    monkeypatch.setenv(TRACKERS, "")
    assert isinstance(open_tracker(tmp_path), Trackers)
    assert list(tmp_path.iterdir()) == []


def test_wandb_without_a_project_is_a_warning_and_a_folder_that_takes_no_file_another(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(TRACKERS, "wandb, tensorboard")
    run = tmp_path / "run"
    run.mkdir()
    (run / "tensorboard").write_text("in the way")
    assert training.here(run, "--epochs", "1") == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert warnings[0].endswith("has wandb, but WANDB_PROJECT is not set; training continues without W&B")
    assert "TensorBoard's event file cannot be written" in warnings[1]
