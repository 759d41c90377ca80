"""Sounds that cannot be written, of which libsndfile says no more than "System error"."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

from trainer.errors import unwritten


@pytest.mark.parametrize(
    ("error", "free", "said"),
    [
        (soundfile.LibsndfileError(2), 0, "(No space left on device); make room, or choose another --out"),
        (soundfile.LibsndfileError(2), 1 << 30, "System error.); choose another --out"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x"), 1 << 30, "device); make room, or choose another --out"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x"), 0, "(Permission denied); choose another --out"),
    ],
)
def test_an_output_that_cannot_be_written_says_why_and_what_to_do(
    error: Exception, free: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    told = str(unwritten(tmp_path / "a.wav", error))
    assert told.startswith(f"{tmp_path}/a.wav: cannot be written (")
    assert told.endswith(said)
