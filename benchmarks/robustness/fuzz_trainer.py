"""Lists what the trainer reads of foreign corpora and runs: tables, sounds, packs and checkpoints."""

import json
import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from benchmarks.robustness.fuzz_mutations import Reader, content

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


@cache
def _corpus() -> Path:
    from tests.tiny_corpus import write_subset
    from trainer.data.pack import pack

    root = Path(mkdtemp()) / "tiny"
    for name in ("train", "val"):
        write_subset(root, name, 2, 0.3, 1)
        pack(root, name, root.with_name("packed"))
    return root


def _corpus_file(pattern: str) -> Reader:
    """Returns a reader of one file of a corpus whose other files are valid."""

    def change(draw: Random) -> bytes:
        return content(draw, next(_corpus().glob(pattern)).read_bytes())

    def read(data: bytes, folder: Path) -> None:
        shutil.copytree(_corpus(), folder / "tiny")
        next((folder / "tiny").glob(pattern)).write_bytes(data)
        _read_subset(folder / "tiny")

    return Reader(change, read)


def _read_subset(root: Path) -> None:
    import numpy as np

    from trainer.data.mixing import KINDS
    from trainer.data.readers.corpora import open_subset

    subset = open_subset(root, "val")
    subset.fingerprint()
    for row in subset.rows:
        mixture, targets = (
            np.zeros(min(row.frames, 800), np.float32),
            np.zeros((2, min(row.frames, 800)), np.float32),
        )
        subset.read(row.index, KINDS[row.kind][0], 0, mixture, targets)


@cache
def _checkpoint() -> bytes:
    import torch

    from trainer.training.checkpoint import _dump

    return bytes(
        _dump(
            {
                "identity": {"model": "x"},
                "model": {"a": torch.zeros(3)},
                "progress": {"epoch": 1},
                "random": None,
            }
        )
    )


def _change_checkpoint(draw: Random) -> bytes:
    """Returns other bytes below a correct checksum, as only an attacker would make them."""
    from trainer.training.checkpoint import _LENGTH, _comment

    body = content(draw, _checkpoint()[:-_LENGTH])
    return body + _comment(body)


def _read_checkpoint(data: bytes, folder: Path) -> None:
    from trainer.training.checkpoint import read

    (folder / "last.pt").write_bytes(data)
    read(folder / "last.pt")


def _change_pack(draw: Random) -> bytes:
    """Returns a changed pack, most often with a correct checksum, as only an attacker would make it."""
    import zlib

    import numpy as np

    from trainer.data.readers.packed import ENTRY, MAGIC, PREFIX

    made = bytearray(content(draw, (_corpus().with_name("packed") / "val.pack").read_bytes()))
    if len(made) >= PREFIX.itemsize and draw.randrange(4):
        made[: len(MAGIC)] = MAGIC
        prefix = np.frombuffer(bytes(made[: PREFIX.itemsize]), PREFIX)[0].copy()
        end = PREFIX.itemsize + int(prefix["header"])
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            end += json.loads(bytes(made[PREFIX.itemsize : end]))["mixtures"] * ENTRY.itemsize
        prefix["crc"] = zlib.crc32(bytes(made[PREFIX.itemsize : end])) if isinstance(end, int) else 0
        made[: PREFIX.itemsize] = prefix.tobytes()
    return bytes(made)


def _read_pack(data: bytes, folder: Path) -> None:
    (folder / "val.pack").write_bytes(data)
    _read_subset(folder)


OF_THE_TRAINER: dict[str, Reader] = {
    "checkpoint": Reader(_change_checkpoint, _read_checkpoint),
    "csv": _corpus_file("val/*.csv"),
    "wav": _corpus_file("val/mix/*.wav"),
    "pack": Reader(_change_pack, _read_pack),
}
