"""What commands are called in messages: as make takes them, or as `sepsweep` does where that was started."""

import re
import sys
from pathlib import Path

import pytest

from katib.program import ARGUMENTS, GROUPS, OPTIONS, SWITCHES, as_typed, name, out_variable

MESSAGES = {
    "next: make report EXPERIMENT=a OUT=b/c · make ui EXPERIMENT=a OUT=.": (
        "next: sepsweep report a --out b/c · sepsweep ui a --out ."
    ),
    "there is none; make deploy MODEL=… starts one": "there is none; sepsweep deploy MODEL starts one",
    "`make local MODEL=...` starts one": "`sepsweep local MODEL` starts one",
    "Written by `make log EXPERIMENT=a`; text stays (make fetch EXPERIMENT=a), or make ui EXPERIMENT=a.": (
        "Written by `sepsweep log a`; text stays (sepsweep fetch a), or sepsweep ui a."
    ),
    "make arch MODEL=dprnn EXPERIMENT=a CLUSTER=1": "sepsweep arch dprnn --experiment a --cluster",
    "make confirm EXPERIMENT=a CLUSTER=1": "sepsweep confirm a --cluster",
    "make logs TRIAL=a-b1 shows it; make check tests the filter": (
        "sepsweep logs a-b1 shows it; sepsweep check tests the filter"
    ),
    "PRESET=debug is small, YES=1 (--yes) starts it all the same": "--preset debug is small, --yes starts it all the same",
    "give a folder with OUT= (--out)": "give a folder with --out",
    "start it with NAME=a-2, or delete it first (make delete)": "start it with --name a-2, or delete it first (sepsweep delete)",
    "check it (make images PUSH=1), and BUILD_ARGS= in docs": "check it (sepsweep images --push), and --build-arg in docs",
    "watch it with: make status, or python -m katib status -w": "watch it with: sepsweep status, or sepsweep status -w",
    "make install-katib OVERLAY=folder": "sepsweep install-katib --overlay folder",
    "--build-arg 'JOB': write NAME=VALUE": "--build-arg 'JOB': write NAME=VALUE",
    "CUDA_VISIBLE_DEVICES=0 gives it; make room, make a grid, make setup, 'OUT=x'": (
        "CUDA_VISIBLE_DEVICES=0 gives it; make room, make a grid, make setup, 'OUT=x'"
    ),
}


@pytest.mark.parametrize(("message", "typed"), MESSAGES.items())
def test_a_message_names_commands_as_the_program_that_was_started(
    message: str, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/a/.local/bin/sepsweep", "status"])
    assert (name(), as_typed(message)) == ("sepsweep", typed)
    monkeypatch.setattr(sys, "argv", ["/home/me/katib/__main__.py", "status"])
    assert (name(), as_typed(message)) == ("python -m katib", message)


def test_a_message_that_names_a_file_of_k8s_says_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["sepsweep"])
    monkeypatch.chdir(tmp_path)
    message = "no namespace; kubectl apply -k k8s/base"
    typed = as_typed(message)
    assert typed == f"{message} (`sepsweep k8s` writes k8s/ into this folder)"
    assert as_typed(typed) == typed
    assert as_typed(f"{tmp_path}/katib/k8s/site.yaml: unknown key") == f"{tmp_path}/katib/k8s/site.yaml: unknown key"
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s" / "site.yaml").touch()
    assert as_typed(message) == message


def test_the_variables_are_those_of_the_verbs_in_the_makefile() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    verbs = "|".join(verb for verbs in GROUPS.values() for verb in verbs)
    rows = re.findall(rf"(?m)^(?:takes\.(?:{verbs})|search|cluster) := (.*)$", makefile)
    assert {word for row in rows for word in re.findall(r"[A-Z_]{2,}", row)} == {*ARGUMENTS, *SWITCHES, *OPTIONS}
    assert set(re.findall(r"(?m)^switches := (.*)$", makefile)[0].split()) == set(SWITCHES)


def test_a_runs_folder_is_quoted_for_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [out_variable(Path(out)) for out in ("runs", "a/b", "my runs")] == ["", " OUT=a/b", " OUT='my runs'"]
    monkeypatch.setattr(sys, "argv", ["sepsweep"])
    assert as_typed(f"make report EXPERIMENT=a{out_variable(Path('my runs'))}") == "sepsweep report a --out 'my runs'"
