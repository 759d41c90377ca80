"""Checks of a model's config."""

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


STACKED = ("blocks", "repeats", "layers", "transformer_layers", "mambas")
"""Fields that count layers: a thousand of them take minutes to build."""
LONG = ("kernel_size", "block_kernel_size", "chunk_size", "n_fft", "hop", "window", "taps")
"""Fields that are a length: ten thousand samples or frames are more than a second, and any network would be slow."""


def most(field: str) -> int:
    """Returns the largest value of an int field; a tensor of the next size up could have no memory anywhere."""
    if field in STACKED:
        return 1000
    return 10_000 if field in LONG else 1_000_000


def check_types(config: "DataclassInstance") -> None:
    """Raises ValueError that names the first field that is no bool, or no int from 1 to the most, as it should be."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.type is bool and not isinstance(value, bool):
            raise ValueError(f"{field.name} must be true or false, not {value!r}")
        if field.type is int and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{field.name} must be a whole number of at least 1, not {value!r}")
        if field.type is int and value > most(field.name):
            raise ValueError(f"{field.name} must be at most {most(field.name)}, not {value}")


def check_even(config: "DataclassInstance", field: str) -> None:
    """Raises ValueError that names the field if it is odd, because half of it is a stride."""
    if (value := getattr(config, field)) % 2:
        raise ValueError(f"{field} must be even, because its half is the stride, not {value}")


def check_spectral(config: "DataclassInstance") -> None:
    """Raises ValueError that names the field of a spectral network's config that does not fit the others."""
    names = ("n_fft", "hop", "window", "channels", "heads")
    n_fft, hop, window, channels, heads = (getattr(config, name) for name in names)
    check_even(config, "n_fft")
    if hop > n_fft // 2:
        raise ValueError(f"hop must be at most half of the {n_fft} samples of n_fft, not {hop}")
    if window > n_fft // 2 + 1:
        raise ValueError(f"window must be at most the {n_fft // 2 + 1} frequencies, not {window}")
    if channels % heads:
        raise ValueError(f"heads must divide the {channels} channels, not be {heads}")
