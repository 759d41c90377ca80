"""EXPERIMENT_LOG.md: entries are replaced and not repeated, and say what the table says."""

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from katib.__main__ import main
from katib.conclude.verdict import judge
from katib.errors import FolderError
from katib.manifest.render import render
from katib.manifest.search import Parameter, ParameterType
from katib.report.log import FILE, TITLE, entry, placed, spec_hash, wider, write
from katib.site import load_site
from katib.spec import load_spec
from katib.table.trial_table import TrialTable
from tests.katib.conclude.made import BEST, identity, made, manifest, trial

DAY = 86400.0
BASELINE = {42: 3.0, 123: 3.1, 456: 2.9}


def searched(folder: Path, **best: str) -> TrialTable:
    """Returns three trials of the DPRNN search; the best one has the settings `best`."""
    return made(
        folder,
        trial("good", 1.0, 4.0, assignments=BEST | best, proposed=0.0, ended=DAY),
        trial("fair", 1.0, 2.0, proposed=DAY, ended=2 * DAY, assignments=BEST | {"lr": "0.003"}),
        trial("bad", state="Failed", reason="diverged: the loss is nan", assignments=BEST | {"lr": "0.005"}),
    )


def test_an_entry_says_what_was_planned_used_found_and_what_is_next(tmp_path: Path) -> None:
    text = entry(searched(tmp_path), "0123456789ab", None)
    for line in (
        "## series3-dprnn",
        "- Date: 1970-01-01 to 1970-01-03",
        "- Commit: 0123456789ab",
        "- Budget planned, at most: 25 trials of 100 epochs, 2500 epochs, 62.5 GPU-hours by the spec's estimate",
        "- Budget used: 3 trials (2 Succeeded, 1 Failed), 4 epochs, 0.1 GPU-hours",
        "| lr | 0.0001 | 0.01 | logUniform | 0.001 |",
        "- 1 trial failed: bad: diverged: the loss is nan; its hyperparameters are to blame",
        "- 22 trials of the budget are left",
        "- architecture: hidden_size 64, 128, 192 (make arch MODEL=dprnn)",
        "- no range needs widening: no best value lies at a bound",
        "make confirm EXPERIMENT=series3-dprnn",
        "Baseline to beat: 3.03 dB",
        "First choice by all trials together: the settings of good, ",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("lr", "0.0099", "lies at the upper bound 0.01 of its range; try up to 0.1"),
        ("lr", "0.000101", "lies at the lower bound 0.0001 of its range; try down to 1e-05"),
        ("grad_clip_norm", "9.9", "lies at the upper bound 10 of its range; try up to 14"),
        ("grad_clip_norm", "1.0", "lies at the lower bound 1 of its range; try nearer to 0"),
        ("lr_factor", "0.31", "lies at the lower bound 0.3 of its range; try down to 0.05"),
    ],
)
def test_a_best_at_a_bound_is_named_with_a_wider_range(tmp_path: Path, name: str, value: str, words: str) -> None:
    """A decade beyond two decades on a logarithmic scale, half the width on a plain one."""
    text = entry(searched(tmp_path, **{name: value}), "", None)
    (line,) = [line for line in text.splitlines() if "bound" in line and line.startswith("- ")]
    assert line.startswith(f"- {name}: the best, ")
    assert words in line


@pytest.mark.parametrize(
    ("bounds", "value", "words"),
    [
        (("int", "2", "6", "2"), "2", "2, lies at the lower bound 2 of its range; try down to 1"),
        (("int", "2", "7", "2"), "6", "6, lies at the upper bound 7 of its range; try up to 10"),
        (("int", "2", "6", "2"), "4", ""),
        (("int", "1", "6", None), "1", ""),
        (("int", "64", "256", None), "256", "256, lies at the upper bound 256 of its range; try up to 352"),
        (("double", "0.3", "0.9", "0.3"), "0.9", "0.9, lies at the upper bound 0.9 of its range; try up to 1.2"),
        (("double", "0.3", "0.9", "0.3"), "", ""),
    ],
)
def test_a_range_with_steps_is_widened_by_whole_numbers(
    bounds: tuple[ParameterType, str, str, str | None], value: str, words: str
) -> None:
    """Of three steps, the first is at the bound, though a third of the range is nearest to it."""
    found = wider(Parameter("x", *bounds, values=(), distribution="uniform"), {"x": value})
    assert found == (f"x: the best, {words}" if words else "")


def test_few_values_of_a_normal_distribution_lie_at_its_bounds() -> None:
    normal = Parameter("x", "double", "0", "1", None, (), "normal")
    assert [bool(wider(normal, {"x": text})) for text in ("0.1", "0.8", "0.97")] == [False, False, True]


def test_the_best_configuration_can_be_pasted_as_yaml(tmp_path: Path) -> None:
    """1e-05 is text in YAML 1.1 where it has no point; here it must be a number again."""
    text = entry(searched(tmp_path), "", None)
    block = text.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(block) == {name: float(value) for name, value in BEST.items()}


def test_a_confirmed_result_stands_with_its_seeds_and_interval(tmp_path: Path) -> None:
    verdict = judge(BEST, {42: 4.0, 123: 3.9, 456: 4.1}, others=[{123: 3.5, 456: 3.6}], baseline=BASELINE, seen=[42])
    text = entry(searched(tmp_path), "", verdict)
    assert verdict.sentence in text
    assert "| 123 | 3.90 dB | 3.10 dB |" in text
    assert f"{verdict.difference:+.2f}, 95 % interval {verdict.low:+.2f} to {verdict.high:+.2f}" in text
    assert "make confirm" not in text


def test_without_a_baseline_no_number_is_made_up(tmp_path: Path) -> None:
    verdict = judge(BEST, {42: 4.0, 123: 3.9}, others=[], baseline={}, seen=[42])
    assert math.isnan(verdict.difference)
    result = entry(searched(tmp_path), "", verdict).partition("### Result")[2].partition("###")[0]
    assert verdict.sentence in result
    assert "nan" not in result
    text = entry(replace(searched(tmp_path), spec=None), "", None)
    assert "No baseline: the settings match no spec" in text


def test_the_same_search_has_one_hash_on_both_backends_and_another_search_another() -> None:
    """Katib fills defaults into what it keeps; the budget may grow without making another search of it."""
    spec = manifest()["spec"]
    kept = spec | {"maxTrialCount": 40, "resumePolicy": "Never", "nasConfig": None}
    assert spec_hash(kept) == spec_hash(spec) == spec_hash(manifest(name="other")["spec"])
    elsewhere = load_site().model_copy(update={"room_minutes": 0, "data_folder": "other"})
    cpu = elsewhere.model_copy(update={"resources": elsewhere.resources.model_copy(update={"gpus": 0})})
    assert spec_hash(yaml.safe_load(render(load_spec("dprnn"), cpu))["spec"]) == spec_hash(spec)
    assert spec_hash(manifest(epochs=50)["spec"]) != spec_hash(spec)
    assert len(spec_hash(identity("sepformer").spec)) == 12


def test_written_again_an_entry_is_replaced_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    log = tmp_path / FILE
    other = replace(searched(tmp_path), identity=replace(identity(), name="other"))
    assert write(log, other, "a", None) is False
    log.write_text(log.read_text() + "\nby hand\n")
    assert write(log, searched(tmp_path), "b", None) is False
    before = log.read_text()
    assert write(log, searched(tmp_path), "b", None) is True
    assert log.read_text() == before
    assert write(log, searched(tmp_path), "c", None) is True
    after = log.read_text()
    assert after == before.replace("- Commit: b", "- Commit: c")
    assert after.startswith(TITLE)
    assert after.count("## series3-dprnn") == after.count("## other") == after.count("by hand") == 1


def test_an_entry_that_has_lost_its_end_is_not_guessed_at(tmp_path: Path) -> None:
    text, _ = placed(TITLE, "x", "## x")
    with pytest.raises(FolderError, match="has lost its last line"):
        placed(text.replace("<!-- end of x -->", ""), "x", "## x")


def test_a_log_behind_a_link_is_written_and_the_link_stays(tmp_path: Path) -> None:
    """Renaming the new text to the link's name would leave what it leads to as it was."""
    kept, link = tmp_path / "shared.md", tmp_path / FILE
    kept.write_text("by hand\n")
    link.symlink_to(kept.name)
    write(link, searched(tmp_path), "", None)
    assert link.is_symlink()
    assert "by hand" in kept.read_text()
    assert "## series3-dprnn" in kept.read_text()


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_log_is_neither_a_pipe_nor_a_device(tmp_path: Path, kind: str) -> None:
    """It would be waited for, or replaced: /dev/null by a file."""
    log = tmp_path / FILE
    os.mkfifo(log) if kind == "pipe" else log.symlink_to("/dev/zero")
    with pytest.raises(FolderError, match="is no file; name another --file"):
        write(log, searched(tmp_path), "", None)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_log_that_cannot_be_written_is_named(tmp_path: Path, content: bytes | None) -> None:
    log = tmp_path / FILE
    log.mkdir() if content is None else log.write_bytes(content)
    with pytest.raises(FolderError, match="name another --file"):
        write(log, searched(tmp_path), "", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]


def test_the_verb_writes_the_log_of_a_search_on_this_machine(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from benchmarks.systems.made_experiment import make_experiment

    make_experiment(tmp_path, 6, 20)
    words = ["log", "made", "--out", str(tmp_path), "--file", str(tmp_path / FILE)]
    assert main(words) == 0
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"{tmp_path / FILE}: entry of 'made' replaced"
    assert err == ""
    assert "- Budget used: 6 trials (6 Succeeded), 120 epochs" in (tmp_path / FILE).read_text()
