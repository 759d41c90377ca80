"""What the kubelet makes of a command's references, against its published rules, and which commands are our trainer's."""

import pytest

from katib.local.command import expand, expanded, is_trainer

KNOWN = {"A": "1", "B": "", "C": "$(A)"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "1"), ("x$(A)y$(B)z", "x1yz"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"), ("$$$$(A)", "$$(A)"), ("$(X)", "$(X)"),
        ("$A ${A}", "$A ${A}"), ("$(A", "$(A"), ("$", "$"), ("$()", "$()"), ("$(C)", "$(A)"), ("$($(A))", "$($(A))"),
        ("cost: 5$", "cost: 5$"),
    ],
)  # fmt: skip
def test_references_are_replaced_as_by_the_kubelet(text: str, result: str) -> None:
    """Cases of k8s.io/kubernetes third_party/forked/golang/expansion, expand_test.go, with values of our own: one pass, no
    nesting."""
    assert expand(text, KNOWN) == result


def test_a_variable_may_refer_to_those_before_it_alone() -> None:
    found = expanded(
        [("A", "$(B)"), ("B", "2"), ("C", "$(B)$(K)"), ("K", None), ("L", None)], {"K": "k", "Z": "z"}
    )
    assert found == {"A": "$(B)", "B": "2", "C": "2$(K)", "K": "k"}


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("python -m trainer --lr 1", True), ("/opt/bin/python3.11 -P -m trainer", True), ("python train.py -m trainer", False),
        ("python -m trainers", False), ("trainer", False), ("sh -c python -m trainer", False), ("python -m other trainer", False),
    ],
)  # fmt: skip
def test_our_trainer_is_known_by_its_whole_command(line: str, ours: bool) -> None:
    assert is_trainer(line.split()) is ours
