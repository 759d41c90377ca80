"""Objects of the API server may hold anything: no terminal obeys their text, and no number breaks anything."""

import math
from copy import deepcopy
from typing import Any

import pytest

from katib.backend.cluster.answers import one_line, refusal
from katib.backend.cluster.model import read_search, read_trial
from katib.backend.cluster.pod import read_pod
from katib.backend.cluster.run_directories import directories
from katib.errors import ClusterError
from katib.terminal import say
from katib.tries import read_record
from tests.katib.backend.cluster.test_plan_and_causes import manifest
from tests.katib.backend.cluster.test_pods_without_rights import line

ESCAPES = "a\x1b]0;title\x07\x1b[2J\rb\u202ec\u2028d\x9b31me\x00f"
Object = dict[str, Any]


def search(**annotations: str) -> Object:
    made: Object = deepcopy(manifest())
    made["metadata"] |= {"uid": "1", "annotations": annotations}
    conditions = [{"type": "Failed", "status": "True", "message": ESCAPES, "reason": "x"}]
    made["status"] = {"conditions": conditions}
    return made


def trial(message: str = ESCAPES) -> Object:
    return {
        "metadata": {"name": "t", "uid": "2"},
        "spec": {"parameterAssignments": [{"name": "lr", "value": ESCAPES}]},
        "status": {"conditions": [{"type": "Running", "status": "True", "message": message}]},
    }


def pod() -> Object:
    waiting = {"state": {"waiting": {"reason": ESCAPES, "message": ESCAPES}}, "name": "trainer"}
    return {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "trainer"}], "nodeName": "n"},
        "status": {
            "reason": "Evicted",
            "message": ESCAPES,
            "containerStatuses": [waiting],
            "conditions": [
                {"type": "PodScheduled", "status": "False", "message": ESCAPES},
                {"type": "DisruptionTarget", "status": "True", "message": ESCAPES},
            ],
        },
    }


def obeyed(*texts: str) -> list[str]:
    return [text for text in texts if not text.isprintable()]


def test_no_text_of_an_object_moves_a_terminal() -> None:
    found, one, tried = (
        read_search(
            search(**{f"sepsweep/{word}": f"{ESCAPES} at 2026-11-28T10:00:00Z" for word in ("stopped", "paused")})
        ),
        read_trial(trial()),
        read_pod(pod()),
    )
    assert obeyed(found.message, found.stopped, found.paused, one.message, *one.assignments.values()) == []
    assert obeyed(*tried.waiting, tried.unscheduled, tried.disrupted, tried.evicted) == []
    assert found.message.startswith("a ")


@pytest.mark.parametrize("body", [ESCAPES, f'{{"message": "{ESCAPES[:2]}"}}', "[" * 100_000, b"\xff\x1b[2J"])
def test_no_answer_of_a_server_moves_a_terminal_or_breaks(body: Any) -> None:
    """A kubeconfig may name any server."""
    from kubernetes.client.exceptions import ApiException

    cause = ApiException(status=418, reason=ESCAPES)
    cause.body = body
    assert obeyed(str(refusal(cause, "trial 't'", "https://server"))) == []
    assert obeyed(one_line(ESCAPES)) == []


HOURS = {
    "a list": "[1]",
    "text": "abc",
    "deep": "[" * 100_000,
    "no numbers": '{"a": "1", "b": null, "c": [1], "d": {}, "e": true}',
    "below nothing, endless and none": '{"a": -5, "b": Infinity, "c": NaN, "d": 1e999}',
}


@pytest.mark.parametrize("what", HOURS)
def test_hours_in_an_annotation_are_hours_or_nothing(what: str) -> None:
    """Anybody who may patch the Experiment can write them, and they are added to what a search has used."""
    assert read_search(search(**{"sepsweep/hours-before": HOURS[what]})).hours_before == {}
    assert read_search(search(**{"sepsweep/hours-before": '{"t": 1.5}'})).hours_before == {"t": 1.5}


TRIES = "Trial is running; tries: abcde 2026-11-28T10:00:00Z/2026-11-28T11:00:00Z"
RECORDS = {
    "a number of epochs without end": f"{TRIES}; {'9' * 4_000} epochs, last 1.0",
    "a last value that is none": f"{TRIES}; 5 epochs, last nan",
    "an endless one": f"{TRIES}; 5 epochs, last inf",
    "a time that is none": "Trial is running; tries: abcde 2026-99-28T10:00:00Z/",
    "a time out of the calendar": "Trial is running; tries: abcde 9999-12-31T23:59:59-12:00Z/",
    "many": "Trial is running; tries: " + ", ".join(["a 2026-11-28T10:00:00Z/"] * 10_000),
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_record_of_tries_that_we_did_not_write_breaks_nothing(what: str) -> None:
    found = read_record(trial(RECORDS[what]))
    assert found.epochs <= 10**9
    assert found.last is None or math.isfinite(found.last)


NAMES = ["../../../etc", "a/b", "", ".", "A", "a\n", "x" * 300, None, 5]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_directory_that_no_trial_can_have_is_refused(name: object) -> None:
    """Its name becomes a row of tables and a part of file names."""
    found = line({"trial": name, "bytes": 1, "summary": {}, "problem": ""})
    with pytest.raises(ClusterError, match="damaged"):
        directories(f"{found}\n1 directories\n", "x")


def test_what_a_verb_says_of_a_cluster_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say(ESCAPES)
    out = capsys.readouterr().out
    assert out.endswith("\n")
    assert obeyed(out.removesuffix("\n")) == []
