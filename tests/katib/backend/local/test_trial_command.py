"""What the kubelet makes of a command's references, against its published rules, and which commands are our trainer's."""

import pytest

from katib.manifest.command import as_run, expand, is_trainer

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
    """Cases of k8s.io/kubernetes third_party/forked/golang/expansion, expand_test.go, with values of our own: one pass,
    no nesting.
    """
    assert expand(text, KNOWN) == result


TRAINER = "python -m trainer --lr 1"


@pytest.mark.parametrize(
    ("argv", "run"),
    [
        (["sh", "-c", TRAINER], TRAINER), (["bash", "-c", f"exec {TRAINER}"], TRAINER),
        (["sh", "-c", "python3 -m trainer", "--lr 1"], "python3 -m trainer --lr 1"),
        (["sh", "-c", "python -m trainer --lr ${trialParameters.lr}"], "python -m trainer --lr ${trialParameters.lr}"),
        (["sh", "-c", f"A=1 {TRAINER}"], f"env A=1 {TRAINER}"),
        (["sh", "-c", f"/usr/bin/env {TRAINER}"], f"/usr/bin/env {TRAINER}"),
        (["sh", "-c", "python3.11 -P -m trainer \\\n  --lr 1\n"], "python3.11 -P -m trainer --lr 1"),
        (["/usr/bin/env", *TRAINER.split()], f"/usr/bin/env {TRAINER}"), (["env", "A=1", *TRAINER.split()], f"env A=1 {TRAINER}"),
    ],
)  # fmt: skip
def test_a_shell_that_runs_our_trainer_alone_is_left_out(argv: list[str], run: str) -> None:
    assert is_trainer(argv)
    assert as_run(argv) == tuple(run.split())


@pytest.mark.parametrize(
    "script", ["python -m trainer --lr $LR", "python -m trainer > log", "python -m trainer --name '$A'"]
)
def test_our_trainer_is_ours_where_only_a_shell_can_read_its_words(script: str) -> None:
    """Its exit code is the script's, so the trainer's rules hold."""
    assert is_trainer(["sh", "-c", script])
    assert as_run(["sh", "-c", script]) == ("sh", "-c", script)


@pytest.mark.parametrize(
    "script",
    [
        "cd /x && python -m trainer", "python -m trainer; echo done", "python -m trainer 2>&1 | tee log",
        "if true; then python -m trainer; fi", "(python -m trainer)", "! python -m trainer", "echo python -m trainer",
        "python -m trainer || true", "python -m trainer &", "python -m trainers", "",
    ],
)  # fmt: skip
def test_of_several_commands_the_exit_code_is_nobodys(script: str) -> None:
    assert not is_trainer(["sh", "-c", script])


@pytest.mark.parametrize(
    ("argv", "run"),
    [
        (["sh", "-c", "echo acc=$1", "x", "5"], ["sh", "-c", "echo acc=$1 x 5"]), (["echo", "a'b'", '"c"'], ["echo", "ab", "c"]),
        (["sh", "script.sh", "it's"], ["sh", "script.sh", "it's"]), (["sh", "-c"], ["sh", "-c"]), ([], []),
    ],
)  # fmt: skip
def test_words_are_joined_for_a_shell_as_katibs_webhook_joins_them(argv: list[str], run: list[str]) -> None:
    """pod/utils.go, wrapWorkerContainer: the words behind a script are part of it, and a shell takes quotes away.

    A quote without its pair is refused by check.
    """
    assert as_run(argv) == tuple(run)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("python -m trainer --lr 1", True), ("/opt/bin/python3.11 -P -m trainer", True), ("python train.py -m trainer", False),
        ("python -m trainers", False), ("trainer", False), ("sh -c python -m trainer", True), ("python -m other "
            "trainer", False),
    ],
)  # fmt: skip
def test_our_trainer_is_known_by_its_whole_command(line: str, ours: bool) -> None:
    assert is_trainer(line.split()) is ours
