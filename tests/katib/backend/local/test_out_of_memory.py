"""A trial whose memory runs out goes on once with smaller batches, on the checkpoint that it has, to the same result."""

import json
from pathlib import Path

import pytest

from katib.table.smaller import smaller
from tests.katib.backend.local.rig import Rig

FULL = '''
import os, sys
from importlib.abc import MetaPathFinder


class Full(MetaPathFinder):
    """Lets the network's output not fit from the second epoch on, for more mixtures at once than there is room for."""

    def find_spec(self, name, path=None, target=None):
        if name == "trainer.training.fit":
            sys.meta_path.remove(self)
            from torch import nn
            from trainer.training.progress import Progress

            call = nn.Module.__call__
            room = int(os.environ["ROOM"])

            def limited(module, *arguments):
                run = next((word for before, word in zip(sys.argv, sys.argv[1:]) if before == "--run-dir"), "")
                rows = arguments[0].shape[0] if type(module).__name__ == "ConvTasNet" else 0
                if os.path.exists(os.path.join(run, "last.pt")) and module.training and rows > room:
                    raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
                return call(module, *arguments)

            nn.Module.__call__ = limited
        return None


if "trainer" in getattr(sys, "orig_argv", []):
    sys.meta_path.insert(0, Full())
'''


def search(rig: Rig, corpus: Path, name: str) -> dict[str, object]:
    """Returns the only row of a search with one trial of two epochs."""
    done = rig.run("demo", "--data", str(corpus), "--trials", "1", "--epochs", "2", "--name", name)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = rig.results(name)
    return row


@pytest.mark.long
def test_an_exhausted_trial_goes_on_once_with_smaller_batches(
    rig: Rig, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory lacks from the second epoch on; the first is not trained again, and the second ends as it would have."""
    whole = search(rig, corpus, "whole")
    (tmp_path / "sitecustomize.py").write_text(FULL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ROOM", "1")
    row = search(rig, corpus, "full")
    assert (row["state"], row["epochs"], row["restarts"]) == ("Succeeded", 2, 1)
    assert row["reason"] == smaller(4, 1)
    assert row["val_si_snr"] == pytest.approx(whole["val_si_snr"], rel=1e-3)
    run = rig.out / "full" / str(row["trial"])
    assert json.loads((run / "micro_batch.json").read_text()) == {"micro_batch": 1, "failed": 4}
