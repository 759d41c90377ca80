"""A run folder cannot make a verb write or read outside itself: links are not followed, pipes not opened, sizes have an
end.
"""

import json
import os
import select
from collections.abc import Callable
from pathlib import Path

import pytest

from katib import untrusted as foreign
from katib.backend.local.backend import LocalBackend
from katib.backend.local.process import TrialProcess
from katib.backend.local.record import LOCK
from katib.backend.local.table import read_table
from katib.conclude.confirmation import _kept
from katib.errors import FolderError
from katib.files import write_whole
from katib.report.audio import _variants, listen
from katib.table import export
from katib.table.run_folder import read_json as read_object
from katib.table.run_folder import wandb_link
from katib.trainer_contract import CONFIG, OUTPUT, SUMMARY, WANDB_ADDRESS
from katib.untrusted import LARGEST, LINE_LIMIT, folder_inside, is_name, lines, read_bytes, read_json
from tests.katib.attacks.hostile import NAME, TRIALS, query, run_folder
from tests.katib.backend.local.rig import as_text, manifest
from tests.verbs import katib

Read = Callable[[Path], object]
READERS: dict[str, tuple[Read, object]] = {
    SUMMARY: (lambda trial: read_object(trial / SUMMARY), {}),
    CONFIG: (lambda trial: read_object(trial / CONFIG), {}),
    WANDB_ADDRESS: (wandb_link, ""),
    "verdict.json": (lambda trial: _kept(trial.parent, trial.name), None),
}
"""A file of a folder that a verb reads, how, and what comes of one that cannot be read."""


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Returns a file of the user's that no folder may show or change."""
    file = tmp_path / "secret"
    file.write_text(json.dumps({"secret": "https://example.org/key", "history": []}))
    return file


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "sparse", "deep", "zero"])
def test_a_file_that_is_not_what_it_seems_is_not_read(tmp_path: Path, secret: Path, name: str, kind: str) -> None:
    place = tmp_path / "trial" / name
    place.parent.mkdir(parents=True)
    make = {
        "link": lambda: place.symlink_to(secret),
        "pipe": lambda: os.mkfifo(place),
        "folder": place.mkdir,
        "sparse": lambda: (place.touch(), os.truncate(place, 10 << 30)),
        "deep": lambda: place.write_text("[" * 100_000),
        "zero": lambda: place.symlink_to("/dev/zero"),
    }
    make[kind]()
    read, nothing = READERS[name]
    assert read(tmp_path / "trial") == nothing


@pytest.mark.parametrize("kind", ["link", "pipe", "sparse"])
def test_a_manifest_that_is_not_what_it_seems_is_refused(tmp_path: Path, secret: Path, kind: str) -> None:
    folder = run_folder(tmp_path)
    place = folder / "experiment.yaml"
    place.unlink()
    {
        "link": lambda: place.symlink_to(secret),
        "pipe": lambda: os.mkfifo(place),
        "sparse": lambda: _sparse(place),
    }[kind]()
    with pytest.raises(Exception, match="cannot be read") as refused:
        LocalBackend(tmp_path).manifest(NAME)
    assert "secret" not in str(refused.value).replace(str(tmp_path), "")
    assert "Errno" not in str(refused.value)


def _sparse(place: Path) -> None:
    place.touch()
    os.truncate(place, LARGEST + 1)


@pytest.mark.parametrize("kind", ["link", "pipe", "sparse"])
def test_a_table_that_is_not_what_it_seems_is_refused(tmp_path: Path, secret: Path, kind: str) -> None:
    place = tmp_path / export.JSON
    {
        "link": lambda: place.symlink_to(secret),
        "pipe": lambda: os.mkfifo(place),
        "sparse": lambda: (place.touch(), os.truncate(place, 10 << 30)),
    }[kind]()
    with pytest.raises(FolderError, match="is not a table that `make delete` wrote") as refused:
        export.read(tmp_path)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("name", [OUTPUT, "process.lock"])
def test_a_trial_writes_through_no_link(tmp_path: Path, secret: Path, name: str) -> None:
    before = secret.read_text()
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / name).symlink_to(secret)
    with pytest.raises(OSError, match="is a symbolic link"):
        TrialProcess(["echo", "written"], dict(os.environ), folder)
    assert secret.read_text() == before


@pytest.mark.parametrize("name", [LOCK, "study.db", "study.db.new", "experiment.yaml.new"])
def test_a_search_writes_through_no_link(tmp_path: Path, secret: Path, name: str) -> None:
    """Of an empty folder in which a stranger has left one link."""
    before, folder = secret.read_text(), tmp_path / "runs" / NAME
    folder.mkdir(parents=True)
    (folder / name).symlink_to(secret)
    (tmp_path / "test.yaml").write_text(as_text(manifest(values=("1",))))
    done = katib("local", str(tmp_path / "test.yaml"), "--out", str(tmp_path / "runs"))
    assert secret.read_text() == before
    assert done.returncode in (0, 2)
    if done.returncode:
        (line,) = done.stderr.splitlines()
        assert "is a symbolic link" in line


def test_a_trial_whose_folder_leads_elsewhere_is_not_begun(tmp_path: Path) -> None:
    """One that was cut off in the stranger's folder is started again by the next start, in its folder."""
    folder, elsewhere = run_folder(tmp_path / "runs"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    query(
        folder,
        "UPDATE trial_user_attributes SET value_json = '\"Running\"' WHERE key = 'state' AND trial_id = 1",
    )
    query(folder, "UPDATE trials SET state = 'RUNNING' WHERE trial_id = 1")
    (folder / TRIALS[0]).rmdir()
    (folder / TRIALS[0]).symlink_to(elsewhere)
    done = katib("local", str(folder / "experiment.yaml"), "--out", str(tmp_path / "runs"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{folder / TRIALS[0]}: cannot be written (is a link to {elsewhere})" in line
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("link", ["trial", "trial/cache"])
def test_a_volume_of_a_trial_stays_in_its_folder(tmp_path: Path, link: str) -> None:
    (tmp_path / "runs" / link).parent.mkdir(parents=True)
    (tmp_path / "runs" / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is a link to"):
        folder_inside(
            tmp_path / "runs" / "trial" / "cache",
            tmp_path / "runs" / "trial" if "/" in link else tmp_path / "runs",
        )
    assert not (tmp_path / "elsewhere").exists()


def test_a_runs_folder_on_another_disk_is_the_users_own(tmp_path: Path) -> None:
    """Where OUT itself is a link, the user has made it; only what lies in it is the stranger's."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    assert folder_inside(tmp_path / "runs" / "trial", tmp_path / "runs").is_dir()


def test_what_is_written_whole_goes_through_no_link(tmp_path: Path, secret: Path) -> None:
    before = secret.read_text()
    for name in ("report.html", "report.html.new"):
        (tmp_path / name).symlink_to(secret)
    write_whole(tmp_path / "report.html", ["mine"])
    assert (secret.read_text(), (tmp_path / "report.html").read_text()) == (before, "mine")
    assert not (tmp_path / "report.html").is_symlink()


def test_a_runs_own_files_are_read_from_the_table_through_no_link(tmp_path: Path, secret: Path) -> None:
    folder = run_folder(tmp_path)
    for name in (SUMMARY, CONFIG, OUTPUT):
        (folder / TRIALS[0] / name).symlink_to(secret)
    (folder / TRIALS[0] / "wandb").mkdir()
    (folder / TRIALS[0] / WANDB_ADDRESS).symlink_to(secret)
    row = next(row for row in read_table(tmp_path, NAME).rows if row.trial == TRIALS[0])
    assert (row.gain, row.wandb, set(row.metrics)) == (None, "", {"val_si_snr"})


@pytest.mark.parametrize("variant", ["../../../secret", "--out=/home", "-x", "", "a/b", "A" * 99, None, 7, ["S"]])
def test_a_config_cannot_pass_options_to_the_trainer(tmp_path: Path, variant: object) -> None:
    """The report has the trainer separate mixtures of the variants in config.json: its words become arguments."""
    (tmp_path / CONFIG).write_text(json.dumps({"validation_variants": ["SER", variant]}))
    assert _variants(tmp_path / CONFIG) == ["SER"]


@pytest.mark.parametrize(
    "score", [{"row": 0, "variant": "../../secret"}, {"row": -1, "variant": "SER"}, {"row": "0"}, [], None]
)
def test_scores_cannot_name_another_sound(tmp_path: Path, score: object) -> None:
    (tmp_path / "evaluation-report").mkdir()
    (tmp_path / "best.pt").touch()
    (tmp_path / "evaluation-report" / "evaluation.json").write_text(json.dumps({"scores": [score]}))
    row = read_table(run_folder(tmp_path).parent, NAME).best
    heard = listen(row, tmp_path)
    assert heard.says.startswith("No audio: ")
    assert heard.examples == ()


def test_a_report_is_separated_into_no_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "best.pt").touch()
    (tmp_path / "evaluation-report").symlink_to(tmp_path / "elsewhere")
    row = read_table(run_folder(tmp_path).parent, NAME).best
    assert "is reached by a symbolic link" in listen(row, tmp_path).says
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_endless_line_takes_no_memory(tmp_path: Path) -> None:
    """A line of 32 MB, which is not looked at; the next line counts again."""
    place = tmp_path / OUTPUT
    place.write_bytes(b"first\n")
    os.truncate(place, 1 << 25)
    with place.open("ab") as file:
        file.write(b"\nval_si_snr=1\n")
    found = list(lines(place))
    assert (found[0], found[-1], len(found)) == ("first", "val_si_snr=1", 3)
    assert found[1] == ""


@pytest.mark.parametrize(("pad", "read"), [(0, True), (1, False), (40, False)])
def test_a_number_that_would_be_cut_is_none(tmp_path: Path, pad: int, read: bool) -> None:
    """A line of 64 kB counts.

    Of a longer one, whose number would end elsewhere, nothing does: in the file and as it is printed, as in the
    collector (services/test_any_output.py).
    """
    metric = " val_si_snr=5.125"
    line = "x" * (LINE_LIMIT - len(metric) + pad) + metric
    script = 'printf "%s\\nnext=1\\n" "$0$1"'
    trial = TrialProcess(["sh", "-c", script, line[:40_000], line[40_000:]], dict(os.environ), tmp_path)
    printed: list[str] = []
    while trial.poll() is None or not trial.silent:
        select.select([trial], [], [], 5)
        printed += trial.lines()
    trial.close()
    wanted = [line if read else "", "next=1"]
    assert [text for text in printed if text] == [text for text in wanted if text]
    assert list(lines(tmp_path / OUTPUT))[:2] == wanted


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
def test_lines_are_those_of_a_plain_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Wherever a block of the file ends.

    With a word, all lines that hold it are among them, and blocks without it are not.
    """
    text = "a=1\n\nb=2\r\n" + "x" * 100 + "\na=3\n" + "y" * 300 + "\nlast"
    (tmp_path / OUTPUT).write_bytes(text.encode())
    monkeypatch.setattr(foreign, "_BLOCK", block)
    whole = [line.rstrip("\r") for line in text.split("\n")]
    assert list(lines(tmp_path / OUTPUT)) == whole
    found = list(lines(tmp_path / OUTPUT, ["a="]))
    assert [line for line in found if "a=" in line] == ["a=1", "a=3"]
    assert list(lines(tmp_path / OUTPUT, ["none"])) == []


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 500, "[" * 65 + "]" * 65, "nul", "", "\ud800"])
def test_json_without_an_end_is_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text, errors="surrogatepass")
    with pytest.raises(ValueError, match=r".+"):
        read_json(tmp_path / "x.json")


def test_a_number_of_a_million_digits_is_a_number(tmp_path: Path) -> None:
    """Python refuses to make an int of it, and an int of 400 digits is too large for a float."""
    (tmp_path / "x.json").write_text("[" + "9" * 1_000_000 + ", 1e999, 12]")
    assert read_json(tmp_path / "x.json") == [float("inf"), float("inf"), 12]


@pytest.mark.parametrize("name", ["a", "test-1", "a.b", "0"])
def test_names_of_kubernetes_are_names(name: str) -> None:
    assert is_name(name)


def test_the_reader_of_bytes_says_what_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        read_bytes(tmp_path / "none")
