"""TensorBoard's event files, with the numbers of each epoch: `tensorboard --logdir RUNS` draws them.

They are written here, so that the trainer needs neither TensorBoard's packages nor a process for them. A file is a
sequence of records (tensorflow/core/lib/io/record_writer.cc), each a protocol buffer Event
(tensorflow/core/util/event.proto), of which three fields are used. The settings of the run are in one of them as the
HPARAMS tab reads them (tensorboard/plugins/hparams/plugin_data.proto), beside which it lists the last numbers.
"""

import json
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from trainer.run_files import CONFIG, SUMMARY
from trainer.tracking.epoch import chart_numbers

FOLDER = "tensorboard"
"""Folder in the run directory; TensorBoard takes every file with `tfevents` in its name."""
LARGEST = 1 << 28
"""Bytes of an event file that may be read; an epoch takes some 500."""
SETTINGS_TAG = b"_hparams_/session_start_info"
_FIRST = b"\x1a\x0dbrain.Event:2"  # file_version
_POLYNOMIAL = 0x82F63B78


class EventFile:
    """Receives the numbers of the epochs, and writes those that no earlier process has written."""

    def __init__(self, run_dir: Path) -> None:
        """Begins a file of this process. Raises OSError."""
        self._summary, self._config = run_dir / SUMMARY, run_dir / CONFIG
        folder = run_dir / FOLDER
        folder.mkdir(exist_ok=True)
        earlier = list(folder.glob("*tfevents*"))
        self._done = max((step for file in earlier for step in _steps(file)), default=0)
        now = datetime.now().timestamp()
        # TensorBoard reads the files of a folder in the order of their names. A container's process has the same
        # number at each start.
        name = f"events.out.tfevents.{int(now)}.{platform.node()}.{os.getpid()}.{len(earlier)}"
        self._file = (folder / name).open("xb")
        self._write(_event(now, 0, _FIRST))

    def catch_up(self) -> None:
        """Writes the epochs of summary.json that are new. Raises OSError."""
        for record in json.loads(self._summary.read_text())["history"]:
            if not self._done:
                settings, begun = json.loads(self._config.read_text()), datetime.now().timestamp()
                self._write(_event(begun, 0, _settings(settings, begun)))
            if record["epoch"] > self._done:
                self._done = record["epoch"]
                ended = datetime.fromisoformat(record["time"]).timestamp()
                self._write(_event(ended, self._done, _scalars(chart_numbers(record))))

    def close(self) -> None:
        """Closes the file. Raises OSError."""
        self._file.close()

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        self._file.write(length + _checksum(length) + event + _checksum(event))
        self._file.flush()


def _steps(file: Path) -> Iterator[int]:
    """Yields the steps of the events in `file` up to its end, or to a record that a killed process left unfinished."""
    if not file.is_file() or file.is_symlink() or file.stat().st_size > LARGEST:
        return
    content, begin = file.read_bytes(), 0
    while begin + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, begin)
        event = content[begin + 12 : begin + 12 + length]
        # An event begins with its time (1 + 8 bytes), then the step.
        if begin + 16 + length > len(content) or event[:1] != b"\x09" or event[9:10] != b"\x10":
            return
        yield sum((byte & 0x7F) << 7 * place for place, byte in enumerate(_first_number(event[10:20])))
        begin += 16 + length


def _first_number(content: bytes) -> bytes:
    """Returns the bytes of the number with which `content` begins; all but the last have their highest bit set."""
    return content[: next((place + 1 for place, byte in enumerate(content) if byte < 0x80), len(content))]


def _event(seconds: float, step: int, rest: bytes) -> bytes:
    """Returns an Event: wall_time = 1, step = 2, then file_version = 3 or summary = 5."""
    return struct.pack("<Bd", 0x09, seconds) + b"\x10" + _number(step) + rest


def _scalars(numbers: Mapping[str, float]) -> bytes:
    """Returns the field `summary` of an Event, which has a value (1) with tag (1) and simple_value (2) for each."""
    values = (_field(1, _field(1, name.encode()) + struct.pack("<Bf", 0x15, value)) for name, value in numbers.items())
    return _field(5, b"".join(values))


def _settings(settings: Mapping[str, object], begun: float) -> bytes:
    """Returns the field `summary` of an Event with the hyperparameters of a run: those that are one value each.

    Its only value has a tag (1), a scalar tensor of a float (8), which the reader wants, and metadata (9): the plugin's
    name and content, a SessionStartInfo with a map of name to google.protobuf.Value and the time of its start.
    """
    values = {name: _value(value) for name, value in settings.items() if isinstance(value, bool | int | float | str)}
    entries = (_field(1, _field(1, name.encode()) + _field(2, value)) for name, value in values.items())
    info = b"".join(entries) + struct.pack("<Bd", 0x29, begun)
    metadata = _field(1, _field(1, b"hparams") + _field(2, _field(3, info)))
    tensor = b"\x08\x01" + _field(2, b"") + struct.pack("<BBf", 0x2A, 4, 0.0)
    return _field(5, _field(1, _field(1, SETTINGS_TAG) + _field(8, tensor) + _field(9, metadata)))


def _value(value: bool | int | float | str) -> bytes:
    """Returns a google.protobuf.Value: number_value = 2, string_value = 3 or bool_value = 4."""
    if isinstance(value, bool):
        return bytes([0x20, value])
    return struct.pack("<Bd", 0x11, value) if isinstance(value, int | float) else _field(3, value.encode())


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _number(len(content)) + content


def _number(value: int) -> bytes:
    """Returns a whole number in groups of 7 bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _table() -> list[int]:
    """Returns the CRC-32C of each byte (Castagnoli's polynomial, reflected; RFC 3720, B.4)."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def _checksum(content: bytes) -> bytes:
    """Returns the masked CRC-32C of a record's part (tensorflow/core/lib/hash/crc32c.h)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
