"""A search's confirmation on the cluster is deployed as a search is, and recognized by its name."""

import json
from pathlib import Path

from katib.backend.cluster.kinds import EXPERIMENT
from katib.backend.cluster.table import cluster_table
from katib.conclude.confirmation import find_verdict
from katib.conclude.plan import plan_of
from katib.manifest.object import Manifest
from tests.cluster.conftest import Begin, Verb
from tests.cluster.search import ASSIGNMENTS, NAME, Katib
from tests.cluster.tools import Tools

VALUES = (3.9, 3.6, 3.1, 2.0)


def test_a_search_is_confirmed_on_the_cluster(verb: Verb, katib_of: Begin, tools: Tools, tmp_path: Path) -> None:
    """It is deployed once, with the missing runs.

    The verdict appears when Katib has ended them, and stays on this machine.
    """
    search = katib_of()
    for number, value in enumerate(VALUES):
        trial = search.trial(f"{NAME}-{number}", assignments=ASSIGNMENTS | {"lr": f"0.00{number + 1}"})
        search.state(trial, "Succeeded", value)
    search.end("Succeeded")
    out = ("--cluster", "--out", str(tmp_path))

    code, told, _ = verb("best", "dprnn", *out, "--json")
    assert (code, json.loads(told)[0]["trials"]) == (0, [f"{NAME}-0"])
    code, told, err = verb("confirm", "dprnn", *out, "--yes")
    assert code == 0, err
    assert f"applied: experiment '{NAME}-confirm'" in told
    assert "no verdict yet: 6 runs of 6 left" in told
    found = tools.cluster.get(EXPERIMENT, f"{NAME}-confirm")
    assert found is not None
    plan = plan_of(Manifest.of(found))
    assert plan is not None
    assert [group.known for group in plan.groups] == [{42: 3.9}, {42: 3.6}, {42: 3.1}]
    assert found["spec"]["parameters"][0]["feasibleSpace"]["list"] == plan.words

    confirmation = Katib(tools, f"{NAME}-confirm")
    for number, word in enumerate(plan.words):
        trial = confirmation.trial(f"{NAME}-confirm-{number}", assignments={"run": word})
        confirmation.state(trial, "Succeeded", 3.8 - 0.2 * (number // 2) + 0.05 * (number % 2))
    code, told, err = verb("confirm", "dprnn", *out)
    assert code == 0, err
    assert "Better than the baseline: val_si_snr 3.85 dB (mean of seeds 42, 123, 456)" in told
    verdict = find_verdict(tmp_path, cluster_table(tools.cluster, NAME))
    assert verdict is not None
    assert verdict.sentence in told
    code, told, _ = verb("confirm", "dprnn", *out, "--json")
    assert json.loads(told)["verdict"]["sentence"] == verdict.sentence


def test_what_cannot_follow_is_one_line(verb: Verb, katib_of: Begin, tmp_path: Path) -> None:
    """There is no such search, or it has no trial."""
    code, _, err = verb("confirm", "nosuch", "--cluster", "--yes", "--out", str(tmp_path))
    assert (code, err.count("\n")) == (1, 1)
    assert "there is no experiment 'nosuch' of ours" in err
    katib_of()
    code, _, err = verb("confirm", "dprnn", "--cluster", "--yes", "--out", str(tmp_path))
    assert code == 1
    assert (
        err.splitlines()[-1]
        == f"error: nothing to conclude from: {NAME}: no trial yet; see make results EXPERIMENT={NAME} CLUSTER=1"
    )
