"""Who watches a cluster tells its news: from the objects of searches to what a real server gets."""

import time
from dataclasses import replace

from katib.backend.cluster.live import Progress
from katib.backend.cluster.telling import Telling
from katib.heartbeat import Heartbeat
from katib.notify import Notifier, recipient
from tests.katib.backend.cluster.test_status_screen import CAUSE, made
from tests.katib.hook import hook


def changed(item: Progress, number: int, **changes: object) -> Progress:
    """Returns the search with other facts of one row."""
    row = item.rows[number]
    own = {name: changes.pop(name) for name in ("state", "message") if name in changes}
    rows = list(item.rows)
    rows[number] = replace(row, trial=replace(row.trial, **own), **changes)  # type: ignore[arg-type]
    return replace(item, rows=tuple(rows))


def test_the_first_look_is_no_news_and_each_event_after_it_is_told_once() -> None:
    first = made("series3-dprnn", 4)
    for number in range(4):
        first = changed(first, number, state="Running", cause=None, message="")
    names = [row.trial.name for row in first.rows]
    later = changed(first, 0, state="Succeeded", best=5.25)
    later = changed(later, 1, state="EarlyStopped", best=1.0, message="best of epoch 15 is below the median")
    later = changed(later, 2, state="Failed", cause=CAUSE)
    over = replace(later, search=replace(later.search, state="Succeeded"))
    with hook() as server:
        telling = Telling(Notifier(recipient(f"{server.url}/topic")))
        # A search that had ended before is no news.
        old = replace(over, search=replace(over.search, name="old", uid="other"))
        for look in (first, first, later, later, over, over):
            assert telling.look([look, old]) == ""
        assert telling.close() == ""
    assert server.texts[0] == f"series3-dprnn: goes on, 0 of {planned(first)} trials ended"
    assert sorted(server.texts[1:4]) == sorted(
        [
            f"series3-dprnn: {names[2]} failed: {CAUSE}",
            f"series3-dprnn: {names[1]} was stopped early: best of epoch 15 is below the median",
            f"series3-dprnn: new best val_si_snr 5.25 dB by {names[0]}; 3 of {planned(first)} trials ended",
        ]
    )
    assert server.texts[4:] == [
        f"series3-dprnn: has ended, 3 of {planned(first)} trials ended, best val_si_snr 5.25 dB by {names[0]}"
    ]


def test_a_training_without_a_step_is_told_once() -> None:
    item = changed(made("series3-dprnn", 1), 0, state="Running", cause=None)
    steps = Heartbeat(3, 100, 120, 4000, False, time.time(), 0.5, 8.0, 2000.0)
    with hook() as server:
        telling = Telling(Notifier(recipient(f"{server.url}/topic")))
        for stepped in (steps.stepped, steps.stepped - 720, steps.stepped - 730):
            telling.look([changed(item, 0, heartbeat=replace(steps, stepped=stepped))])
        telling.close()
    (text,) = server.texts[1:]
    assert text == (
        f"series3-dprnn: {item.rows[0].trial.name} is silent: no step for 12 min, after step 120 of 4000 of epoch 3"
    )


def planned(item: Progress) -> int:
    return item.search.configurations


def test_a_search_that_somebody_stopped_says_so_and_a_deaf_address_is_one_note() -> None:
    item = made("series3-dprnn", 2)
    over = replace(item, search=replace(item.search, state="Failed", message="Experiment has failed"))
    with hook(404) as server:
        telling = Telling(Notifier(recipient(f"{server.url}/topic")))
        notes = [telling.look([item]), telling.look([over]), telling.close()]
        assert "ended before its end: Experiment has failed" in server.texts[-1]
    assert [bool(note) for note in notes].count(True) == 1
    assert "127.0.0.1: it answered 404" in "".join(notes)
