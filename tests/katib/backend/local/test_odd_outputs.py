"""Trials whose output is not made of short lines: progress bars that are drawn over, and lines without end."""

import pytest

from katib.untrusted import LINE_LIMIT
from tests.katib.backend.local.rig import Rig, script

BAR = (
    rf"""awk 'BEGIN {{ for (i = 0; i < {LINE_LIMIT} / 20; i++) printf "\rstep %6d of 99999", i; printf "\r    \r" }}'"""
)


def test_a_progress_bar_that_is_never_ended_hides_no_metric(rig: Rig) -> None:
    """It is drawn over for longer than a line may be, at each epoch, as tqdm(leave=False) does."""
    search = script(f"for value in 1 2 3; do {BAR}; echo val_si_snr=$value; done", maxTrialCount=1)
    search["spec"]["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"] = [r"(val_si_snr)=(\d)"]
    ended = rig.run(search)
    assert ended.returncode == 0, ended.stdout
    (trial,) = rig.results()
    assert trial["state"] == "Succeeded"
    assert trial["metrics"]["val_si_snr"]["value"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (f"head -c {LINE_LIMIT + 1} /dev/zero | tr '\\0' x", f"a line of more than {LINE_LIMIT} bytes"),
        (BAR + "; printf '\\rno data'", "last line: no data"),
    ],
)
def test_why_nothing_was_reported_names_what_was_printed_last(rig: Rig, printed: str, told: str) -> None:
    rig.run(script(printed, maxTrialCount=1, maxFailedTrialCount=1))
    (trial,) = rig.results()
    assert trial["state"] == "MetricsUnavailable"
    assert told in trial["reason"]
