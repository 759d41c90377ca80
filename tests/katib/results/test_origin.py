"""What a manifest's command says of its search, however the trainer is started, and beside which containers."""

from typing import Any

import pytest

from katib.table.origin import flags_of, is_ours

WORDS = ["python", "-m", "trainer", "--model", "dprnn", "--epochs=7", "--lr", "${trialParameters.lr}"]


def spec(*containers: dict[str, Any], primary: str = "train") -> dict[str, Any]:
    pod = {"template": {"spec": {"containers": list(containers)}}}
    return {"trialTemplate": {"primaryContainerName": primary, "trialSpec": {"spec": pod}}}


@pytest.mark.parametrize(
    "container",
    [
        {"command": WORDS}, {"command": WORDS[:3], "args": WORDS[3:]}, {"command": ["/usr/bin/env", *WORDS]},
        {"command": ["sh", "-c", " ".join(WORDS)]}, {"command": ["bash", "-c"], "args": ["exec " + " \\\n ".join(WORDS)]},
    ],
)  # fmt: skip
def test_flags_are_read_behind_a_shell_and_beside_other_containers(container: dict[str, Any]) -> None:
    beside = {"name": "proxy", "command": ["sh", "-c", "sleep 9"]}
    found = {"name": "train", **container}
    for made in (spec(found), spec(beside, found), spec(found, primary="other")):
        assert is_ours(made)
        assert flags_of(made) == {"--model": ["dprnn"], "--epochs": ["7"], "--lr": ["${trialParameters.lr}"]}


@pytest.mark.parametrize(
    "made", [{}, {"trialTemplate": None}, spec(), spec({"name": "a"}, {"name": "b"}), spec("x", "y")]
)  # type: ignore[arg-type]
def test_a_manifest_of_another_form_says_nothing(made: dict[str, Any]) -> None:
    assert not is_ours(made)
    assert flags_of(made) == {}
