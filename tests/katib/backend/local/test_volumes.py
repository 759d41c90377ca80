"""Which folder of this machine stands for a volume of a trial's pod, and which volumes are refused."""

from pathlib import Path
from typing import Any

import pytest

from katib.backend.local.volumes import corpus_volume, mounted_folders, stand_ins
from katib.errors import ManifestError
from katib.manifest.experiment import TrialPod, load_experiment
from tests.katib.backend.local.rig import as_text, pod, script

FOLDER = Path("/runs-here/test/test-a")


def trial(source: dict[str, Any] | None, path: str, name: str = "v", **mount: str) -> TrialPod:
    search = script("echo $X", values=("1",))
    pod(search)["volumes"] = [{"name": name, **(source or {})}]
    pod(search)["containers"][0]["volumeMounts"] = [{"name": name, "mountPath": path, **mount}]
    return load_experiment(as_text(search), "test").trial("test-a", {"x": "7"})


def found(made: TrialPod, data: Path | None = None) -> dict[str, Path]:
    experiment = load_experiment(as_text(script("echo $X", values=("1",))), "test")
    return mounted_folders(made, experiment, data, Path("/runs-here"), FOLDER, {"N": "three"})


@pytest.mark.parametrize(
    "source",
    [{"emptyDir": {}}, {"emptyDir": None}, {"emptyDir": {"medium": "Memory"}}, {"ephemeral": {}}, None],
)
def test_an_empty_folder_is_one_of_the_trial(source: dict[str, Any] | None) -> None:
    """A volume without a source is an emptyDir (k8s.io/kubernetes, pkg/apis/core/v1/defaults.go, SetDefaults_Volume)."""
    for name in ("v", "data", "runs"):
        made = trial(source, "/no-such/place/", name)
        assert found(made) == {"/no-such/place": FOLDER / name}
        assert list(stand_ins(made, None)) == []
        assert corpus_volume(made) == ""
    assert found(trial(source, "/tmp")) == {}


@pytest.mark.parametrize(
    ("mount", "below"), [({"subPath": "a/7"}, "a/7"), ({"subPathExpr": "$(N)-$(M)"}, "three-$(M)")]
)
def test_a_mount_may_see_a_folder_of_its_volume(mount: dict[str, str], below: str) -> None:
    assert found(trial({"emptyDir": {}}, "/no-such", **mount)) == {"/no-such": FOLDER / "v" / below}
    runs = trial({"persistentVolumeClaim": {"claimName": "c"}}, "/no-such", "runs", **mount)
    assert found(runs) == {"/no-such": Path("/runs-here") / below}


@pytest.mark.parametrize("mount", [{"subPath": "a/../../b"}, {"subPathExpr": "/$(N)"}, {"subPath": ".."}])
def test_a_mount_sees_nothing_outside_of_its_volume(mount: dict[str, str]) -> None:
    """k8s.io/kubernetes, pkg/apis/core/validation: a subPath is relative and has no `..`."""
    with pytest.raises(ManifestError, match="leads out of the volume"):
        found(trial({"emptyDir": {}}, "/no-such", **mount))


def test_a_host_path_is_the_path_itself(tmp_path: Path) -> None:
    made = trial({"hostPath": {"path": str(tmp_path), "type": "Directory"}}, "/no-such")
    assert found(made) == {"/no-such": tmp_path}
    assert list(stand_ins(made, None)) == [f"the volume v is {tmp_path} of this machine (hostPath)"]
    missing = trial({"hostPath": {"path": str(tmp_path / "none"), "type": "DirectoryOrCreate"}}, "/no-such")
    with pytest.raises(ManifestError, match=f"test: volume v: hostPath {tmp_path}/none: no such folder"):
        found(missing)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"configMap": {"name": "c"}}, "ConfigMap 'c'"), ({"secret": {"secretName": "s"}}, "Secret 's'"),
        ({"persistentVolumeClaim": {"claimName": "models"}}, "claim 'models'"), ({"nfs": {"server": "n", "path": "/"}}, "nfs"),
        ({"projected": {"sources": []}}, "projected"), ({"csi": {"driver": "d"}}, "csi"),
    ],
)  # fmt: skip
def test_what_a_cluster_holds_is_refused_unless_the_path_is_here(
    tmp_path: Path, source: dict[str, Any], said: str
) -> None:
    with pytest.raises(ManifestError, match=f"test: volume v: {said} is in a cluster; create /no-such on"):
        found(trial(source, "/no-such"))
    here = trial(source, str(tmp_path))
    assert found(here) == {}
    assert list(stand_ins(here, None)) == [f"{tmp_path} of this machine replaces the volume v ({said})"]


def test_each_volume_is_looked_at(tmp_path: Path) -> None:
    search = script("echo $X", values=("1",))
    kinds: dict[str, dict[str, Any]] = {
        "a": {"emptyDir": {}},
        "b": {"hostPath": {"path": str(tmp_path)}},
        "c": {"emptyDir": {}},
    }
    pod(search)["volumes"] = [{"name": name, **source} for name, source in kinds.items()]
    pod(search)["containers"][0]["volumeMounts"] = [{"name": name, "mountPath": f"/no-such/{name}"} for name in kinds]
    made = load_experiment(as_text(search), "test").trial("test-a", {"x": "7"})
    assert found(made) == {"/no-such/a": FOLDER / "a", "/no-such/b": tmp_path, "/no-such/c": FOLDER / "c"}
    assert list(stand_ins(made, None)) == [f"the volume b is {tmp_path} of this machine (hostPath)"]


@pytest.mark.parametrize("kind", ["configMap", "secret"])
def test_what_is_optional_is_an_empty_folder_as_on_a_cluster_without_it(kind: str) -> None:
    made = trial({kind: {"name": "c", "secretName": "c", "optional": True}}, "/no-such")
    assert found(made) == {"/no-such": FOLDER / "v"}
    (said,) = stand_ins(made, None)
    assert said.startswith("the volume v is an empty folder: ")


def test_the_corpus_and_the_runs_are_where_the_user_has_them(tmp_path: Path) -> None:
    claim = {"persistentVolumeClaim": {"claimName": "c"}}
    made = trial(claim, "/data", "data")
    assert (found(made, tmp_path), corpus_volume(made)) == ({"/data": tmp_path}, "persistentVolumeClaim")
    assert found(trial(claim, "/ckpt", "runs")) == {"/ckpt": Path("/runs-here")}
    assert list(stand_ins(made, tmp_path)) == []
    assert corpus_volume(trial({"hostPath": {"path": "/x"}}, "/data", "data")) == "hostPath"
