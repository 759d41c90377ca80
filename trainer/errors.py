"""Errors that end a training run with one line and an exit code of their own.

Raised anywhere, printed by trainer/__main__.py.
"""


class TrainerError(Exception):
    """Base of all errors that name what is wrong, where, and what to do next."""

    exit_code = 1


class ConfigError(TrainerError):
    """A flag or a run directory does not fit."""

    exit_code = 2


class DataError(TrainerError):
    """A corpus is missing, incomplete or damaged."""

    exit_code = 2


class DivergedError(TrainerError):
    """The loss left the finite numbers."""

    exit_code = 3


class MemoryExhaustedError(TrainerError):
    """A step does not fit into the memory of its device."""

    exit_code = 4


class DataFaultError(TrainerError):
    """Data that was there when the training began cannot be read any more."""

    exit_code = 5


class DamagedCheckpointError(TrainerError):
    """A checkpoint is not what was written."""

    exit_code = 2


class StorageError(TrainerError):
    """The run directory cannot take what must be written, for example because the disk is full."""
