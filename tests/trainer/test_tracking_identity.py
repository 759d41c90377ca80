"""Which run of W&B a run directory is: its own, and always the same."""

import re
import shutil
from pathlib import Path

import pytest

from trainer.tracking.identity import run_id, run_name


def test_each_run_directory_is_a_run_of_its_own(tmp_path: Path) -> None:
    """lr3/seed42 and lr4/seed42, and the same path on another machine.

    Each keeps its id when it is resumed and when it is moved.
    """
    ids = {}
    for place in ("lr3", "lr4", "other machine"):
        folder = tmp_path / place / "seed42" / "wandb"
        folder.mkdir(parents=True)
        ids[place] = run_id(folder.parent, folder, {})
        assert run_id(folder.parent, folder, {}) == ids[place]
    assert len(set(ids.values())) == 3
    assert all(re.fullmatch("seed42-[0-9a-f]{8}", one) for one in ids.values())
    moved = (tmp_path / "lr3").rename(tmp_path / "lr5")
    assert run_id(moved / "seed42", moved / "seed42" / "wandb", {}) == ids["lr3"]
    assert run_name(moved / "seed42", {}) == "lr5/seed42"
    assert run_name(moved / "seed42", {"WANDB_RUN_GROUP": "search"}) == "seed42"
    assert run_name(moved / "seed42", {"WANDB_NAME": "mine"}) == "mine"


def test_a_copy_of_a_run_directory_that_stays_is_another_run(tmp_path: Path) -> None:
    """Both continue after `cp -r`; the first stays what it was, the copy is one of its own from then on.

    Where the first is gone, the copy was a move to another disk.
    """
    folders = {name: tmp_path / name / "wandb" for name in ("first", "cöpy", "linked", "later")}
    folders["first"].mkdir(parents=True)
    first = run_id(tmp_path / "first", folders["first"], {})
    shutil.copytree(tmp_path / "first", tmp_path / "cöpy")
    copied = run_id(tmp_path / "cöpy", folders["cöpy"], {})
    assert copied != first
    assert run_id(tmp_path / "cöpy", folders["cöpy"], {}) == copied
    (tmp_path / "linked").symlink_to(tmp_path / "first")
    assert run_id(tmp_path / "linked", folders["linked"], {}) == first
    shutil.copytree(tmp_path / "first", tmp_path / "later")
    shutil.rmtree(tmp_path / "first")
    assert run_id(tmp_path / "later", folders["later"], {}) == first


@pytest.mark.parametrize("written", ["run-20260101_120000-seed42", "offline-run-20260101_120000-seed42"])
def test_a_run_that_was_reported_by_its_name_continues_as_the_same(written: str, tmp_path: Path) -> None:
    """Before an id was kept it was the directory's name; the folders that W&B wrote then say so, also after a move."""
    folder = tmp_path / "renamed" / "wandb"
    (folder / written).mkdir(parents=True)
    (folder / "latest-run").symlink_to(written)
    assert run_id(folder.parent, folder, {}) == "seed42"
    assert (folder / "id").read_text() == "seed42\n"


def test_what_others_decide_about_a_run_is_kept(tmp_path: Path) -> None:
    """A trial in a pod is called like the trial, which the trial table makes addresses of.

    W&B's agent knows its run by WANDB_RUN_ID, and trials of a search do not all become the one that they inherit.
    """
    pod = {"WANDB_RUN_GROUP": "lab/search", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}

    def made(name: str, environment: dict[str, str]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir()))) / name / "wandb"
        folder.mkdir(parents=True)
        return run_id(folder.parent, folder, environment)

    assert made("search-x7k2p9qd", pod) == "search-x7k2p9qd"
    assert made("search-x7k2p9qd", pod | {"WANDB_RUN_GROUP": "search"}) == "search-x7k2p9qd"
    assert made("seed42", pod).startswith("seed42-")
    assert made("search-1", {"WANDB_RUN_GROUP": "search"}).startswith("search-1-")
    assert made("any", {"WANDB_RUN_ID": "abc"}) == "abc"
    assert made("any", {"WANDB_RUN_ID": "abc", "WANDB_SWEEP_ID": "s", "WANDB_RUN_GROUP": "g"}) == "abc"
    assert made("any", {"WANDB_RUN_ID": "abc", "WANDB_RUN_GROUP": "search"}).startswith("any-")
    strange = made("ü/?#%: ".replace("/", "") + "x" * 90, {})
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", strange)
