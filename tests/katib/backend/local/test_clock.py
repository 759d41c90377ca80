"""A clock that is set while a trial runs, as by NTP after a start without a network, or by hand."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from katib.backend.local import process, record
from tests.katib.backend.local.rig import Rig, script

WAITS = """echo val_si_snr=1
touch jump
for turn in $(seq 600); do
    if [ -e seen ]; then echo val_si_snr=2; exit 0; fi
    echo waits
    sleep 0.1
done
exit 1"""


@pytest.mark.parametrize("hours", [-1, 24])
def test_a_trial_that_runs_began_by_the_clock_that_is_on_the_wall(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Whoever looks at it, or ends it after kill -9, counts its time from there: neither a day nor nothing."""
    folder = rig.out / "test"

    def clock() -> float:
        real = time.time()
        if not (tmp_path / "jump").exists():
            return real
        (trial,) = record.read(folder)[1]
        if trial.effort.started and abs(trial.effort.started - real - 3600 * hours) < 1800:
            (tmp_path / "seen").touch()
        return real + 3600 * hours

    monkeypatch.setattr(process, "time", SimpleNamespace(time=clock, monotonic=time.monotonic, sleep=time.sleep))
    (tmp_path / "waits").write_text(f"cd {tmp_path}\n{WAITS}")
    done = rig.run(script(f"sh {tmp_path}/waits", maxTrialCount=1))
    assert done.returncode == 0, done.stdout + done.stderr
    (trial,) = rig.results()
    assert trial["state"] == "Succeeded"
    assert 0 <= trial["seconds"] < 1800
