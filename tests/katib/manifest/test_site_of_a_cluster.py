"""What a site says of a cluster stands in the trials' pods, and the GPUs are read from there again by any name."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from katib.check.manifest import check_text
from katib.defects import defects
from katib.gpus import gpu_need
from katib.manifest.object import Manifest
from katib.manifest.render import render
from katib.site import Site, default_site, load_site
from katib.spec import load_spec
from katib.trainer_contract import TRACKERS

ROOT = Path(__file__).parents[3]
TERMS = [{"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["h200", "no"]}]}]
AFFINITY = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": TERMS}}}
EVERY = {"matchLabels": {"app.kubernetes.io/managed-by": "sepsweep"}}


def site(**changes: Any) -> Site:
    """Returns the shipped site with other keys; those of `resources` are added to its own."""
    found: dict[str, Any] = yaml.safe_load(default_site().read_text())
    found["resources"] |= changes.pop("resources", {})
    return Site.model_validate(found | changes)


def job(**changes: Any) -> dict[str, Any]:
    manifest = yaml.safe_load(render(load_spec("dprnn"), site(**changes)))
    found: dict[str, Any] = manifest["spec"]["trialTemplate"]["trialSpec"]["spec"]
    return found


def trainer(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = job(**changes)["template"]["spec"]["containers"][0]
    return found


def said(**changes: Any) -> str:
    with pytest.raises(ValidationError) as error:
        site(**changes)
    return defects(error.value, Site)


def test_each_key_of_a_site_reaches_the_pod() -> None:
    spread = {"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    found = job(
        affinity=AFFINITY,
        topology_spread=[spread],
        runtime_class="nvidia",
        scheduler="volcano",
        service_account="trainer",
        labels={"team": "yes"},
        annotations={"example.org/owner": "no"},
        environment={"NCCL_DEBUG": "WARN", "ANSWER": "42"},
        secret_environment={"HF_TOKEN": {"secret": "hub", "key": "token"}},
        trackers=["wandb", "tensorboard"],
        fs_group_change_policy="OnRootMismatch",
        tolerations=[{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 9}],
        resources={"scratch": "9Gi"},
        job={"retries": 1, "grace_seconds": 60, "linger_seconds": 7, "kept_days": 1},
    )
    template, pod = found["template"], found["template"]["spec"]
    container = pod["containers"][0]
    assert pod["affinity"] == AFFINITY
    assert pod["topologySpreadConstraints"] == [spread | {"maxSkew": 1, "labelSelector": EVERY}]
    names = ("runtimeClassName", "schedulerName", "serviceAccountName", "terminationGracePeriodSeconds")
    assert [pod[name] for name in names] == ["nvidia", "volcano", "trainer", 60]
    assert template["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "sepsweep", "team": "yes"}
    assert template["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false", "example.org/owner": "no"}
    variables = {each["name"]: each for each in container["env"]}
    assert (variables["NCCL_DEBUG"]["value"], variables["ANSWER"]["value"]) == ("WARN", "42")
    assert variables["SEPSWEEP_TRACKERS"]["value"] == "wandb,tensorboard"
    assert variables["HF_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "hub", "key": "token"}}
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    timed = {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 9}
    assert pod["tolerations"] == [{"operator": "Exists"}, timed]
    assert {"name": "tmp", "emptyDir": {"sizeLimit": "9Gi"}} in pod["volumes"]
    assert (found["backoffLimit"], found["ttlSecondsAfterFinished"]) == (1, 86400)
    assert container["command"][container["command"].index("--linger") + 1] == "7"


RESOURCES = [
    ({}, "nvidia.com/gpu", 1, 1.0, {}),
    ({"gpus": 0, "gpu_resource": "amd.com/gpu"}, "", 0, 0.0, {}),
    ({"gpu_resource": "amd.com/gpu", "gpus": 2}, "amd.com/gpu", 2, 2.0, {"sepsweep/gpu-resource": "amd.com/gpu"}),
    (
        {"gpu_resource": "nvidia.com/mig-1g.10gb", "trials_per_gpu": 7},
        "nvidia.com/mig-1g.10gb",
        1,
        1 / 7,
        {"sepsweep/gpu-resource": "nvidia.com/mig-1g.10gb", "sepsweep/trials-per-gpu": "7"},
    ),
    (
        {"gpu_resource": "lab.example/slice"},
        "lab.example/slice",
        1,
        1.0,
        {"sepsweep/gpu-resource": "lab.example/slice"},
    ),
    ({"gpu_claim_template": "gpu", "gpus": 2}, "", 2, 2.0, {"sepsweep/gpus": "2"}),
]


@pytest.mark.parametrize(("resources", "name", "count", "share", "notes"), RESOURCES)
def test_gpus_are_read_by_whatever_name_the_site_gives_them(
    resources: dict[str, Any], name: str, count: int, share: float, notes: dict[str, str]
) -> None:
    text = render(load_spec("dprnn"), site(resources=resources))
    assert not [finding for finding in check_text(text, "x") if finding.severity == "error"]
    manifest = Manifest.of(yaml.safe_load(text))
    need = manifest.gpu_need
    assert (need.resource, need.count, need.share) == (name, count, share)
    template = manifest.job["spec"]["template"]  # type: ignore[index]
    assert {key: value for key, value in template["metadata"]["annotations"].items() if "sepsweep" in key} == notes
    limits = template["spec"]["containers"][0]["resources"]["limits"]
    assert {key: value for key, value in limits.items() if "/" in key} == ({name: str(count)} if name else {})
    claimed = "gpu_claim_template" in resources
    assert ("resourceClaims" in template["spec"]) == claimed
    assert (("--device", "cuda") in zip(manifest.command, manifest.command[1:], strict=False)) == bool(count)


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({"nvidia.com/mig-3g.40gb": "1"}, 1),
        ({"nvidia.com/gpu.shared": 2}, 2),
        ({"nvidia.com/gpu": "1", "nvidia.com/gpumem": "3000", "rdma/hca": "1"}, 1),
        ({"nvidia.com/gpumem": "3000"}, 0),
        ({"amd.com/gpu": "³"}, 0),
        ({"cpu": "4", "memory": "8Gi"}, 0),
    ],
)
def test_a_pod_of_somebody_elses_has_the_gpus_of_well_known_plugins(limits: dict[str, Any], count: int) -> None:
    pod = {"spec": {"containers": [{"resources": {"limits": limits}}]}}
    assert gpu_need(pod).count == count


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"resources": {"gpu_resource": "gpu"}}, "'nvidia.com/gpu' would do (got 'gpu')"),
        ({"resources": {"gpu_resource": "mig-1g.10gb"}}, "'nvidia.com/mig-1g.10gb' would do"),
        ({"resources": {"gpu_resource": "requests.nvidia.com/gpu"}}, "'nvidia.com/gpu' would do"),
        (
            {"resources": {"gpu_resource": "amd.com/gpu", "gpu_claim_template": "gpu"}},
            "resources: gpu_claim_template stands in place of gpu_resource; leave one of the two out",
        ),
        (
            {"resources": {"gpus": 2, "trials_per_gpu": 4}},
            "gpus 2 and trials_per_gpu 4: a trial that shares a GPU has gpus: 1",
        ),
        ({"tolerations": [{"effect": "NoSchedule", "operator": "Equal"}]}, "tolerations.0: key 'key' is missing"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "operator Exists takes no value"),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 5}]}, "tolerationSeconds needs effect: NoExecute"),
        ({"affinity": {"nodeAfinity": {}}}, "unknown key 'affinity.nodeAfinity': did you mean 'nodeAffinity'?"),
        ({"topology_spread": [{"maxSkew": 1}]}, "key 'topology_spread.0.topologyKey' is missing"),
        (
            {"trackers": ["tensorbord"]},
            "trackers.0: must be one of wandb, tensorboard; did you mean 'tensorboard'? (got 'tensorbord')",
        ),
        ({"trackers": ["wandb", "wandb"]}, "trackers: wandb is there twice; remove one of the two"),
        ({"trackers": ["wandb"], "wandb": None}, "trackers: wandb has no project; add wandb: {project, secret}"),
        ({"environment": {"SEPSWEEP_TRACKERS": "x"}}, "the manifest sets SEPSWEEP_TRACKERS itself; leave it out"),
        ({"environment": {"HOME": "/x"}}, "environment: the manifest sets HOME itself; leave it out"),
        ({"secret_environment": {"WANDB_API_KEY": {"secret": "a", "key": "b"}}}, "sets WANDB_API_KEY itself"),
        (
            {"environment": {"A": "1"}, "secret_environment": {"A": {"secret": "a", "key": "b"}}},
            "environment and secret_environment both have A; leave one of them out",
        ),
        ({"labels": {"katib.kubeflow.org/trial": "x"}}, "labels: the manifest writes katib.kubeflow.org/trial itself"),
        ({"runtimeClassName": "nvidia"}, "unknown key 'runtimeClassName': did you mean 'runtime_class'?"),
        ({"node_selector": {"gpu": True}}, "node_selector.gpu: must be a text"),
        ({"storage": {"runs": {"size": "50 GB"}}}, "'50G' would do (got '50 GB')"),
        ({"storage": {"runs": {"size": "50G", "access": "RWX"}}}, "must be one of ReadWriteMany, ReadOnlyMany"),
    ],
)
def test_a_wrong_key_is_one_line_with_the_way_out(changes: dict[str, Any], line: str) -> None:
    assert line in said(**changes)
    assert "\n" not in said(**changes)


SITES = sorted(path for path in (ROOT / "tests/cluster/sites").glob("*.yaml") if "." not in path.stem)


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_the_site_of_each_kind_of_cluster_renders_to_a_sound_manifest(path: Path) -> None:
    text = render(load_spec("dprnn"), load_site(path))
    assert not [finding for finding in check_text(text, "x") if finding.severity == "error"]
    schema = json.loads((ROOT / "k8s/site.schema.json").read_text())
    assert not list(jsonschema.Draft7Validator(schema).iter_errors(yaml.safe_load(path.read_text())))


@pytest.mark.parametrize(
    "changes",
    [
        {"resources": {"shared_memory": "8192Mi", "scratch": "1500m"}},
        {"resources": {"shared_memory": "1000000k", "scratch": "1073741824"}},
        {"environment": {"EMPTY": ""}},
        {"trackers": []},
    ],
)
def test_what_a_site_may_say_renders_to_a_sound_manifest(changes: dict[str, Any]) -> None:
    text = render(load_spec("dprnn"), site(**changes))
    assert [finding for finding in check_text(text, "x") if finding.severity == "error"] == []


def test_variable_without_a_text_stays_one() -> None:
    variables = {item["name"]: item.get("value", "") for item in trainer(environment={"EMPTY": ""}, trackers=[])["env"]}
    assert (variables["EMPTY"], variables[TRACKERS]) == ("", "")


BEFORE = """\
namespace: sepsweep
image: registry.lab.example/sepsweep/trainer:0.1.0
claims: {data: polsess-data, runs: sepsweep-runs}
resources: {gpus: 1, cpu: "8", memory: 32Gi, shared_memory: 8Gi}
node_selector: {}
tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
kueue_queue: null
parallel_trials: 2
user: {uid: 1000, gid: 1000}
"""


def test_a_site_of_before_these_keys_means_what_it_meant(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(BEFORE)
    old = load_site(tmp_path / "site.yaml")
    found = yaml.safe_load(render(load_spec("dprnn"), old))["spec"]["trialTemplate"]["trialSpec"]["spec"]
    assert (found["backoffLimit"], found["ttlSecondsAfterFinished"]) == (3, 604800)
    pod = found["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 120
    assert {"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}} in pod["volumes"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
