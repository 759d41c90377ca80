"""`python -m katib check`: its exit codes, its two outputs, and what it does not load."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from katib.site import default_site
from katib.spec import SPECS
from tests.katib.check.manifests import DROP, spoiled
from tests.verbs import katib

WARNED = {"spec.maxFailedTrialCount": DROP}
REFUSED = {**WARNED, "TEMPLATE.retain": DROP}


def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "katib", *words], input=stdin, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("changes", "options", "code", "end"),
    [
        ({}, [], 0, "nothing found"),
        ({}, ["--strict"], 0, "nothing found"),
        (WARNED, [], 0, "0 errors, 1 warning; docs/check.md explains each [rule]"),
        (WARNED, ["--strict"], 2, "0 errors, 1 warning; docs/check.md explains each [rule]"),
        (REFUSED, [], 2, "1 error, 1 warning; docs/check.md explains each [rule]"),
    ],
)
def test_exit_code_is_2_on_an_error_and_strictly_on_a_warning(
    changes: dict[str, object], options: list[str], code: int, end: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(spoiled(changes))
    done = run("check", str(path), *options)
    assert (done.returncode, done.stderr) == (code, b"")
    assert done.stdout.decode().splitlines()[-1] == f"{path}: {end}"


def test_json_is_a_list_of_findings_from_standard_input() -> None:
    done = run("check", "-", "--json", stdin=spoiled(REFUSED).encode())
    findings = json.loads(done.stdout)
    assert done.returncode == 2
    assert [(item["rule"], item["severity"]) for item in findings] == [
        ("no-failure-limit", "warning"),
        ("retain", "error"),
    ]
    assert set(findings[0]) == {"rule", "severity", "path", "line", "what", "effect", "mend"}


def test_json_of_a_sound_manifest_is_an_empty_list() -> None:
    assert json.loads(run("check", "-", "--json", stdin=spoiled({}).encode()).stdout) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.yaml", "cannot be read"), ("x.bin", "is not UTF-8 text"), ("", "no FILE given")],
)
def test_file_that_cannot_be_read_is_one_line_and_exit_code_2(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\xfa")
    done = run("check", str(tmp_path / name) if name else "")
    assert (done.returncode, done.stdout) == (2, b"")
    assert message in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("name", ["mine.yaml", "dprnn"])
def test_of_a_spec_the_manifest_that_it_renders_to_is_checked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sound = (SPECS / "demo.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(sound)
    done = katib("check", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{name}, rendered: nothing found\n", "")
    assert "name: bayesianoptimization" in sound
    (tmp_path / "mine.yaml").write_text(sound.replace("name: bayesianoptimization", "name: bayesianoptimisation"))
    searched, checked = katib("local", "mine.yaml", "--data", "."), katib("check", "mine.yaml")
    assert searched.stderr.endswith("; run: python -m katib check mine.yaml\n")
    assert checked.returncode == 2
    assert "'bayesianoptimisation': did you mean 'bayesianoptimization'?  [unknown-algorithm]" in checked.stdout


def test_a_spec_is_checked_for_the_site_that_is_named(tmp_path: Path) -> None:
    site = yaml.safe_load(default_site().read_text())
    site["resources"]["gpus"] = 3
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    done = katib("check", "dprnn", "--site", str(tmp_path / "site.yaml"))
    said = "error: spec of series3-dprnn: the site's gpus: 3 does not divide the 16 of --batch-size, choose among"
    assert (done.returncode, done.stdout, done.stderr.startswith(said)) == (2, "", True)
    manifest = tmp_path / "x.yaml"
    manifest.write_text(spoiled({}))
    done = katib("check", str(manifest), "--site", str(tmp_path / "site.yaml"))
    said = f"error: {manifest}: is a manifest, which needs no site; leave out SITE= (--site)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_a_spec_on_standard_input_is_one_line() -> None:
    done = run("check", "-", stdin=(SPECS / "demo.yaml").read_bytes())
    message = b"error: standard input: has the keys of a spec, not of a manifest; give the spec's file by its name\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", message)


def test_check_loads_nothing_that_is_slow_to_load() -> None:
    """Which is what lets it answer at once."""
    program = (
        "import sys; from katib.check.manifest import check_text; check_text(sys.stdin.read(), 'x'); "
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=spoiled({}), capture_output=True, text=True, check=True
    )
    assert not {"kubernetes", "optuna", "pandas", "torch", "numpy"} & set(done.stdout.split())


def test_deploy_refuses_an_unsound_manifest_before_it_looks_for_a_cluster(tmp_path: Path) -> None:
    """The terms of an affinity pass the site's own check; no cluster could be reached here."""
    site = yaml.safe_load(default_site().read_text())
    term = {"matchExpressions": [{"key": "gpu", "operator": "in", "values": ["a100"]}]}
    site["affinity"] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    }
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(site))
    done = run("deploy", "sepformer", "--site", str(path), "--yes")
    assert done.returncode == 2
    assert b"1 defect; line" in done.stderr
    assert b"operator" in done.stderr
    assert done.stderr.count(b"\n") == 1
