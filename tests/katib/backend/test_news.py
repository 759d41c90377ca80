"""What is news of a search, and what is not."""

from dataclasses import replace

from katib.backend.news import Search, Standing, beginning, ending, news
from katib.measure import SI_SNR
from katib.trial import Direction

SEARCH = Search("demo", SI_SNR, Direction.MAXIMIZE, 30, pauses=False)


def test_each_event_is_one_sentence_and_told_once() -> None:
    before = {"a": Standing("Succeeded", 5.0), "b": Standing("Running", 9.0), "c": Standing("Running", 1.0)}
    now = {
        "a": Standing("Succeeded", 5.0),
        "b": Standing("Succeeded", 5.25),
        "c": Standing("EarlyStopped", 1.0, "best of epoch 15, 1.00 dB, is below 4.41 dB"),
        "d": Standing("Failed", 7.0, "diverged: loss is nan"),
        "e": Standing("Running", silence="no step for 12 min"),
    }
    assert list(news(SEARCH, before, now)) == [
        "demo: c was stopped early: best of epoch 15, 1.00 dB, is below 4.41 dB",
        "demo: d failed: diverged: loss is nan",
        "demo: e is silent: no step for 12 min",
        "demo: new best val_si_snr 5.25 dB by b, 5.00 dB before; 4 of 30 trials ended",
    ]
    assert list(news(SEARCH, now, now)) == []
    assert beginning(SEARCH, {}) == "demo: begins, 0 of 30 trials ended"
    assert beginning(SEARCH, now) == "demo: goes on, 4 of 30 trials ended"
    assert ending(SEARCH, now) == "demo: has ended, 4 of 30 trials ended, best val_si_snr 5.25 dB by b"
    assert ending(SEARCH, {}, "stopped by SIGTERM") == (
        "demo: ended before its end: stopped by SIGTERM, 0 of 30 trials ended"
    )


def test_epochs_pauses_and_a_spent_budget_are_no_news() -> None:
    pausing = replace(SEARCH, pauses=True)
    running = {"a": Standing("Running", 1.0)}
    assert list(news(SEARCH, running, {"a": Standing("Running", 2.0)})) == []
    paused = {"a": Standing("EarlyStopped", 2.0, "paused at epoch 5")}
    assert not any("stopped" in text for text in news(pausing, running, paused))
    spent = {"a": Standing("EarlyStopped", 2.0, "budget spent: 10 of 10 GPU-hours")}
    assert not any("stopped" in text for text in news(SEARCH, running, spent))
    assert beginning(pausing, paused) == "demo: goes on, 0 of 30 trials ended"


def test_less_is_better_where_the_metric_is_a_loss() -> None:
    loss = replace(SEARCH, direction=Direction.MINIMIZE, configurations=None)
    before = {"a": Standing("Succeeded", 5.0)}
    assert list(news(loss, before, before | {"b": Standing("Succeeded", 6.0)})) == []
    (text,) = news(loss, before, before | {"b": Standing("Succeeded", 4.0)})
    assert text.startswith("demo: new best val_si_snr 4.00 dB by b, 5.00 dB before; 2 trials ended")
