"""Who may hold a run directory: one process, of the run that it was made for; and what holding leaves behind."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.test_run_directory import ROOM, descriptors, names
from trainer.errors import ConfigError
from trainer.training.room import Room
from trainer.training.run_directory import difference, hold, spent_seconds
from trainer.training.stop import StopRequest

IDENTITY = {"model": "dprnn", "lr": 0.001, "corpus": "v2-1234"}


def test_a_new_directory_is_made_with_its_parents_and_marked(tmp_path: Path) -> None:
    """While it is held it names this process; what a killed one left half-written is gone.

    Afterwards it can be taken again.
    """
    path = tmp_path / "runs" / "search" / "trial"
    with hold(path, IDENTITY, ROOM) as held:
        assert held.path == path
        assert (path / "trainer.pid").read_text() == f"{os.getpid()}\n"
        assert json.loads((path / "config.json").read_text()) == IDENTITY
        (path / "last.pt.tmp").write_bytes(b"half")
    assert names(path) == {"config.json", "last.pt.tmp"}
    written = (path / "config.json").stat().st_mtime_ns
    with hold(path, IDENTITY, ROOM):
        assert names(path) == {"config.json", "trainer.pid"}
    assert (path / "config.json").stat().st_mtime_ns == written


def test_a_directory_is_held_once(tmp_path: Path) -> None:
    """The one who comes second reads who is there, and takes nothing away.

    An older and longer number is not left over.
    """
    (tmp_path / "trainer.pid").write_text("1234567890123\n")
    with hold(tmp_path, IDENTITY, ROOM):
        with (
            pytest.raises(ConfigError, match=rf"process {os.getpid()} is training there; stop it first$"),
            hold(tmp_path, IDENTITY, ROOM),
        ):
            pass
        assert (tmp_path / "trainer.pid").read_text() == f"{os.getpid()}\n"
        (tmp_path / "trainer.pid").write_bytes(b"\xff")
        with (
            pytest.raises(ConfigError, match="process \ufffd is training there"),
            hold(tmp_path, IDENTITY, ROOM),
        ):
            pass
    assert not (tmp_path / "trainer.pid").exists()


def test_another_run_is_named_before_its_process(tmp_path: Path) -> None:
    """To stop that process would be the wrong advice."""
    with (
        hold(tmp_path, IDENTITY, ROOM),
        pytest.raises(ConfigError, match="holds another run, with lr"),
        hold(tmp_path, {**IDENTITY, "lr": 0.01}, ROOM),
    ):
        pass


def test_a_directory_that_was_emptied_meanwhile_is_let_go(tmp_path: Path) -> None:
    with hold(tmp_path, IDENTITY, ROOM):
        (tmp_path / "trainer.pid").unlink()


def test_a_lock_on_a_file_that_is_gone_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder before removes the file between open and lock: another process would lock the new one.

    Both a file that is missing then and another one in its place are seen.
    """
    flock, removals = fcntl.flock, iter(["remove", "replace"])

    def late(file: Any, operation: int) -> None:
        what = next(removals, None)
        if what:
            (tmp_path / "trainer.pid").unlink()
        if what == "replace":
            (tmp_path / "trainer.pid").touch()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    before = descriptors()
    with hold(tmp_path, IDENTITY, ROOM):
        with (tmp_path / "trainer.pid").open() as other, pytest.raises(BlockingIOError):
            flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert descriptors() == before + 1
    assert descriptors() == before


CONFIGS: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("{", "config.json: cannot be read (Expecting property name"),
    "no text": (b"\xff\xfe{", "config.json: cannot be read ('utf-8' codec can't decode byte 0xff"),
    "no object": ("[1]", "config.json: is no JSON object; choose another --run-dir"),
    "of an earlier version": ('{"corpus": "v1-77"}', "was begun by an earlier version"),
    "another learning rate": (
        json.dumps({**IDENTITY, "lr": 0.01}),
        "holds another run, with lr 0.01 (requested: 0.001); choose another directory",
    ),
    "a field more and one less": (
        json.dumps({"model": "dprnn", "corpus": "v2-1234", "layers": 2}),
        "holds another run, with layers 2 (requested: None), lr None (requested: 0.001); choose another directory",
    ),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_a_directory_of_another_run_is_refused_and_left_alone(what: str, tmp_path: Path) -> None:
    content, problem = CONFIGS[what]
    (tmp_path / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as raised, hold(tmp_path, IDENTITY, ROOM):
        pass
    assert problem in str(raised.value)
    assert str(tmp_path) in str(raised.value)
    assert names(tmp_path) == {"config.json"}


def test_a_config_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with (
        pytest.raises(ConfigError, match=r"config\.json: cannot be read \(.*Is a directory"),
        hold(tmp_path, IDENTITY, ROOM),
    ):
        pass


def test_a_run_that_comes_while_this_one_waits_for_room_is_seen(tmp_path: Path) -> None:
    """Its config.json was not there when this one looked first."""

    class Slow(Room):
        def until(self, file: Path, attempt: Any) -> Any:
            (tmp_path / "config.json").write_text(json.dumps({**IDENTITY, "lr": 0.01}))
            return attempt()

    with (
        pytest.raises(ConfigError, match="holds another run"),
        hold(tmp_path, IDENTITY, Slow(1, StopRequest())),
    ):
        pass
    assert names(tmp_path) == {"config.json"}


@pytest.mark.parametrize("where", ["file", "file/trial", "pid", "leftover"])
def test_a_place_that_cannot_be_a_run_directory_is_refused(where: str, tmp_path: Path) -> None:
    """A file, a folder below a file, and a directory with folders where files belong."""
    path = tmp_path / where
    if where.startswith("file"):
        (tmp_path / "file").touch()
    else:
        (path / {"pid": "trainer.pid", "leftover": "last.pt.tmp"}[where]).mkdir(parents=True)
    with (
        pytest.raises(ConfigError, match=rf"^--run-dir {path}: cannot be written \("),
        hold(path, IDENTITY, ROOM),
    ):
        pass


def test_an_error_of_the_training_lets_the_directory_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path, IDENTITY, ROOM):
        raise ZeroDivisionError
    assert names(tmp_path) == {"config.json"}
    with hold(tmp_path, IDENTITY, ROOM):
        pass


SPENT = {
    '{"spent_seconds": 12.5}': 12.5,
    '{"spent_seconds": "3"}': 3.0,
    '{"spent_seconds": -4}': 0.0,
    '{"spent_seconds": null}': 0.0,
    '{"seconds": 9}': 0.0,
    "[7]": 0.0,
    "{": 0.0,
}


@pytest.mark.parametrize("content", SPENT)
def test_seconds_spent_before_are_those_of_the_summary(content: str, tmp_path: Path) -> None:
    """And none where it does not say so."""
    assert spent_seconds(tmp_path) == 0.0
    (tmp_path / "summary.json").write_text(content)
    assert spent_seconds(tmp_path) == SPENT[content]


def test_identities_are_compared_field_by_field() -> None:
    assert difference(IDENTITY, dict(reversed(IDENTITY.items()))) == ""
    assert difference({}, {"lr": 1}) == "lr None (requested: 1)"


@pytest.mark.parametrize("name", ["trainer.pid", "wandb", "wandb/reporter.log", "wandb/id", "wandb/place", "wandb/url"])
def test_a_directory_of_a_stranger_has_no_file_elsewhere_written(name: str, tmp_path: Path) -> None:
    """Each of these is written where it stands: through a link, a file of the user's would be emptied."""
    run_dir, theirs = tmp_path / "run", tmp_path / "thesis.tex"
    theirs.write_text("years of work")
    (run_dir / name).parent.mkdir(parents=True)
    (run_dir / name).symlink_to(theirs)
    with pytest.raises(ConfigError, match=f"{name} is a symbolic link; remove it"), hold(run_dir, {}, ROOM):
        pass
    assert theirs.read_text() == "years of work"


@pytest.mark.parametrize("name", ["trainer.pid", "config.json", "summary.json", "last.pt", "previous.pt", "best.pt"])
def test_a_pipe_in_a_directory_of_a_stranger_hangs_nobody(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match=f"{name} is no regular file; remove it"), hold(tmp_path, {}, ROOM):
        pass


def test_a_leftover_that_is_a_link_is_removed_not_followed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "run").mkdir()
    for name in ("config.json.tmp", "last.pt.tmp"):
        (tmp_path / "run" / name).symlink_to(tmp_path / "thesis.tex")
    with hold(tmp_path / "run", {"a": 1}, ROOM) as found:
        found.write("last.pt", b"x")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 3000])
def test_a_config_without_an_end_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match="cannot be read"), hold(tmp_path, {}, ROOM):
        pass
    (tmp_path / "summary.json").write_text(text)
    assert spent_seconds(tmp_path) == 0.0


@pytest.mark.parametrize("number", [37, 95, 38])
def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """ENOLCK, EOPNOTSUPP, ENOSYS of flock(2): on NFS without lockd, and on FUSE."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ConfigError, match="its file system has no locks"), hold(tmp_path, {}, ROOM):
        pass
