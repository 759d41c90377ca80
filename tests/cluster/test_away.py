"""The API server goes away and comes back: whatever watches it continues."""

import time
from pathlib import Path

from katib.backend.cluster.answers import UnreachableError
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.kinds import CONFIG_MAP, EXPERIMENT
from katib.backend.cluster.status import SELECTORS, Curves, progress_of
from katib.site import Site
from tests.cluster import rig
from tests.cluster.search import Katib
from tests.cluster.tools import Tools, manifest
from tests.cluster.watched import Watched

PATIENCE = 300


def until(informer: Informer, wanted: object) -> None:
    """Waits for changes until `wanted()`."""
    end = time.monotonic() + PATIENCE
    while not wanted():  # type: ignore[operator]
        assert time.monotonic() < end, informer.problem
        informer.wait(1)


def test_informer_keeps_its_copy_and_catches_up(tools: Tools) -> None:
    def named(name: str) -> bool:
        return name in {item["metadata"]["name"] for item in informer.objects()[CONFIG_MAP]}

    tools.kubectl("create", "configmap", "before")
    with Informer(tools.cluster, {CONFIG_MAP: ""}, retry=0.2) as informer:
        until(informer, lambda: named("before"))
        with rig.api_server_away():
            until(informer, lambda: isinstance(informer.problem, UnreachableError))
            assert named("before")
        tools.kubectl("create", "configmap", "after")
        tools.kubectl("delete", "configmap", "before")
        until(informer, lambda: named("after") and not named("before"))
        assert informer.problem is None


def test_status_shows_the_last_state_while_the_server_is_away(tools: Tools, site: Site) -> None:
    tools.cluster.apply(EXPERIMENT, manifest(site))
    Katib(tools, "series3-dprnn").trial("series3-dprnn-a")
    with Informer(tools.cluster, SELECTORS, retry=0.2) as informer:
        until(informer, lambda: informer.complete)
        with rig.api_server_away():
            until(informer, lambda: informer.problem)
            (found,) = progress_of(tools.cluster, informer.objects(), Curves())
            assert [row.trial.name for row in found.rows] == ["series3-dprnn-a"]
        until(informer, lambda: informer.problem is None)


def test_status_keeps_watching_through_the_servers_absence(
    tools: Tools, site: Site, site_file: Path, tmp_path: Path
) -> None:
    """`status -w`, in a pipe and on a terminal, says that it is not up to date, and later shows what has changed.

    What it tells people is the change alone: neither the absence nor a second beginning.
    """
    told = tmp_path / "told"
    tools.cluster.apply(EXPERIMENT, manifest(site))
    katib = Katib(tools, "series3-dprnn")
    katib.trial("series3-dprnn-a")
    words = ("status", "-w", "--site", str(site_file))
    with Watched(*words, "--notify", f"tee -a {told}") as piped, Watched(*words, terminal=True) as shown:
        for status, trial in (
            (piped, "series3-dprnn-a"),
            (shown, "state"),
        ):  # a terminal has names without their prefix
            status.until(trial)
        with rig.api_server_away():
            for status, trial in ((piped, "series3-dprnn-a"), (shown, "state")):
                status.until("not up to date")
                status.until(trial)
        katib.state("series3-dprnn-a", "Succeeded", 3.5)
        for status in (piped, shown):
            status.until("3.50 dB")
            assert "not up to date" not in status.printed[status.printed.rindex("of 25 trials") :]
            assert status.interrupt() == 0
    news = told.read_text()
    told_once = (news.count(": goes on, 0 of 25"), news.count(": new best val_si_snr 3.50 dB by "))
    assert (told_once, news.count("series3-dprnn: ")) == ((1, 1), 2), news
