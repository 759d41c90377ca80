"""A trial that continues another one goes on in that one's run directory, and nowhere else."""

from pathlib import Path

import pytest

from tests.trainer.training import Training


def test_a_continuation_goes_on_where_the_first_trial_was(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    training, first, second = Training(corpus), tmp_path / "search-a", tmp_path / "search-a-2"
    monkeypatch.setenv("SEPSWEEP_CONTINUES", "")
    assert training.here(first, "--epochs", "1", "--linger", "0") == 0
    before = [line for line in capsys.readouterr().out.splitlines() if " val_si_snr=" in line]
    monkeypatch.setenv("SEPSWEEP_CONTINUES", "search-a")
    assert training.here(second, "--epochs", "2", "--linger", "0") == 0
    output = capsys.readouterr().out.splitlines()
    reported = [line for line in output if " val_si_snr=" in line]
    assert output[0] == f"note: search-a-2 continues {first}"
    assert (reported[:1], len(reported)) == (before, 2)
    assert not second.exists()
    # Of another configuration: refused.
    assert training.here(second, "--epochs", "2", "--lr", "0.5") == 2
    assert "holds another run, with lr" in capsys.readouterr().err
    # The first trial's directory is gone.
    monkeypatch.setenv("SEPSWEEP_CONTINUES", "search-b")
    assert training.here(second, "--epochs", "1", "--linger", "0") == 0
    assert f"continues {tmp_path / 'search-b'}: no checkpoint; starts anew" in capsys.readouterr().out
    # Its checkpoint is damaged.
    (tmp_path / "search-b" / "last.pt").write_bytes(b"half of one")
    assert training.here(second, "--epochs", "1", "--linger", "0") == 0
    assert "; starts anew" in capsys.readouterr().out
    assert (tmp_path / "search-b" / "last.pt.damaged").exists()


@pytest.mark.parametrize("name", ["..", ".", "../search-a", "/runs/search-a", "a/b", "a\nb", "a" * 64])
def test_what_is_no_plain_name_is_refused(
    name: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPSWEEP_CONTINUES", name)
    assert Training(corpus).here(tmp_path / "search-a-2") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: SEPSWEEP_CONTINUES ")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
