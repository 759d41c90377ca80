"""again against the real API server: what it asks of Katib, what it refuses, and that a row stays one."""

from katib.backend.cluster.kinds import EXPERIMENT, Object
from katib.manifest.again import ANNOTATION
from tests.cluster.conftest import Begin, Verb
from tests.cluster.search import NAME, Katib, as_json
from tests.cluster.tools import Tools

FIRST, SECOND = f"{NAME}-aaaa", f"{NAME}-bbbb"


def experiment(tools: Tools) -> Object:
    found = tools.cluster.get(EXPERIMENT, NAME)
    assert found is not None
    return found


def failed(katib: Katib, *names: str) -> None:
    for name in names:
        katib.trial(name, job=False)
        katib.state(name, "Failed")
    katib.count()


def test_a_failed_trial_gets_room_in_the_search_and_stays_one_row(verb: Verb, katib_of: Begin, tools: Tools) -> None:
    katib = katib_of()
    failed(katib, FIRST, SECOND)
    before = experiment(tools)["spec"]
    code, out, err = verb("again", FIRST.removeprefix(f"{NAME}-"), "--cluster", "--yes")
    assert code == 0, err
    after = experiment(tools)
    assert after["metadata"]["annotations"][ANNOTATION] == FIRST
    changes = [f"{key} {before[key]} -> {after['spec'][key]}" for key in ("maxTrialCount", "maxFailedTrialCount")]
    assert f"each goes on as a new trial in the old run directory: {', '.join(changes)}" in out
    assert after["spec"] == {**before, **{key: before[key] + 1 for key in ("maxTrialCount", "maxFailedTrialCount")}}
    # The same spec deploys to the same search, and its number of trials is the user's.
    code, out, err = verb("deploy", "dprnn", "--yes", "--wait", "0")
    assert code == 0, err
    assert "nothing to change" in out
    code, out, err = verb("deploy", "dprnn", "--yes", "--wait", "0", "--trials", "26")
    assert code == 0, err
    assert "  trials: 25 -> 26" in out
    after = experiment(tools)
    assert (after["spec"]["maxTrialCount"], after["metadata"]["annotations"][ANNOTATION]) == (27, FIRST)
    # Katib creates the trial that the suggestion service proposes.
    katib.trial(f"{FIRST}-2", job=False, continues=FIRST)
    katib.state(f"{FIRST}-2", "Succeeded", 3.0)
    rows = {row["trial"]: row for row in as_json(verb("results", NAME, "--cluster", "--json")[1])}
    assert rows.keys() == {FIRST, SECOND}
    assert (rows[FIRST]["state"], rows[FIRST]["val_si_snr"], rows[FIRST]["restarts"]) == ("Succeeded", 3.0, 1)
    code, _, err = verb("again", FIRST, "--cluster", "--yes")
    assert (code, err.splitlines()[-1]) == (2, f"error: trial '{FIRST}' has not failed: it is Succeeded")


def test_all_failed_trials_are_asked_for_once(verb: Verb, katib_of: Begin, tools: Tools) -> None:
    """A search that has all of its trials goes on, too: Katib restarts one that has not failed."""
    katib = katib_of()
    failed(katib, FIRST, SECOND)
    katib.end("Succeeded")
    assert verb("again", "dprnn", "--failed", "--cluster", "--yes")[0] == 0
    assert experiment(tools)["metadata"]["annotations"][ANNOTATION] == f"{FIRST},{SECOND}"
    code, _, err = verb("again", "dprnn", "--failed", "--cluster", "--yes")
    assert code == 1
    assert "they were asked for already; make status shows them" in err


def test_what_cannot_run_again_is_one_line(verb: Verb, katib_of: Begin, tools: Tools) -> None:
    katib = katib_of()
    code, _, err = verb("again", "dprnn", "--failed", "--cluster", "--yes")
    assert (code, err.splitlines()[-1]) == (
        2,
        f"error: experiment '{NAME}': no trial has failed; there is nothing to run again",
    )
    failed(katib, FIRST)
    for word, problem in {
        "dprnn": f"has 1 failed trial ({FIRST}): name one of them, or all with FAILED=1 (--failed)",
        f"{FIRST}x": f"no experiment or trial '{FIRST}x' of ours in namespace '{tools.namespace}': did you mean '{FIRST}'?",
        "series3-dprn": f"no experiment or trial 'series3-dprn' of ours in namespace '{tools.namespace}': did you mean",
    }.items():
        code, out, err = verb("again", word, "--cluster", "--yes")
        assert code == 2
        assert problem in err.splitlines()[-1]
        assert not out
    katib.end("Failed")
    code, _, err = verb("again", FIRST, "--cluster", "--yes")
    assert code == 1
    assert f"has ended (Failed), so that its trials go on only together: make again EXPERIMENT={NAME} FAILED=1" in err
