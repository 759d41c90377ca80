"""A run directory that the user may not enter."""

from pathlib import Path

import pytest

from tests.not_allowed import refuse
from trainer.__main__ import main


def test_a_run_directory_that_may_not_be_entered_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "theirs"
    refuse(folder, monkeypatch)
    assert main(["export", "--checkpoint", str(folder), "--out", str(tmp_path / "x.pt")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {folder}/best.pt: Permission denied; ask its owner")
