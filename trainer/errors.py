"""Errors that end the trainer with one line on stderr and an exit code of their own."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from trainer.text import one_line

SECTOR = 4096
"""Bytes that a file system gives at once."""


class TrainerError(Exception):
    """Base of all errors that name what is wrong, where, and what to do next."""

    exit_code = 1

    def __str__(self) -> str:
        """Returns the message as one line that any terminal can show: names in it come from corpora of others."""
        return one_line(super().__str__())


class ConfigError(TrainerError):
    """A flag or a run directory does not fit."""

    exit_code = 2


class DataError(TrainerError):
    """A corpus is missing, incomplete or damaged."""

    exit_code = 2


class DivergedError(TrainerError):
    """The loss or the validation is no longer finite."""

    exit_code = 3


class MemoryExhaustedError(TrainerError):
    """A step does not fit into the memory of the device."""

    exit_code = 4


class DataFaultError(TrainerError):
    """Data that was there when the training began can no longer be read."""

    exit_code = 5


class DamagedCheckpointError(TrainerError):
    """A checkpoint no longer has the content that was written."""

    exit_code = 2


class StorageError(TrainerError):
    """The run directory cannot take what must be written, for example because the disk is full."""


def unwritten(path: Path, error: Exception) -> StorageError:
    """Returns the error of an output that cannot be written; libsndfile says "System error" where a disk is full."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    with suppress(OSError):
        full = full or (not isinstance(error, OSError) and shutil.disk_usage(path.parent).free < SECTOR)
    why = os.strerror(errno.ENOSPC) if full else getattr(error, "strerror", None) or error
    return StorageError(f"{path}: cannot be written ({why}); {'make room, or ' if full else ''}choose another --out")


def worker_fault(error: RuntimeError) -> DataFaultError | None:
    """Returns the error for the user if the DataLoader says, wherever the main thread is, that a worker has died."""
    # About an error inside a worker it says "worker process".
    if "DataLoader worker (pid" not in str(error):
        return None
    message = " ".join(str(error).split())
    return DataFaultError(
        f"a reading process has died ({message}); give the container more memory, or more shared memory, "
        "or train with fewer --workers"
    )
