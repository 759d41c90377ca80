"""k8s/: what kustomize builds from each folder, and what the Kubernetes 1.34 API server says about each object."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.backend.cluster.kinds import INJECTION_LABEL, POD
from katib.site import load_site
from tests.cluster import rig
from tests.cluster.tools import Tools

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
MYSQL = (
    ("apps/v1", "Deployment", "katib-mysql"),
    ("v1", "Service", "katib-mysql"),
    ("v1", "PersistentVolumeClaim", "katib-mysql"),
    ("v1", "Secret", "katib-mysql-secrets"),
)


def build(folder: Path) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; it renders kustomize folders")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Returns a copy of k8s/ in which k8s/katib is on a base of the objects that are patched, named as in Katib v0.19.0."""
    (tmp_path / "stock").mkdir()
    shutil.copytree(K8S, tmp_path, dirs_exist_ok=True)
    stand_in = list(yaml.safe_load_all((Path(__file__).parent / "katib_stand_in.yaml").read_text()))
    for item in stand_in:
        if item["kind"] == "Namespace":
            item["metadata"]["labels"] = {INJECTION_LABEL: "enabled"}
        for container in item.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            container["image"] = container["image"].partition(":")[0]
    others = [item for item in stand_in if item["kind"] != "ConfigMap"]
    for version, kind, name in MYSQL:
        others.append({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "kubeflow"}})
    (tmp_path / "stock" / "all.yaml").write_text(yaml.safe_dump_all(others))
    generated = {"name": "katib-config", "literals": ["katib-config.yaml=stock"]}
    kustomization = {"namespace": "kubeflow", "resources": ["all.yaml"], "configMapGenerator": [generated]}
    (tmp_path / "stock" / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    file = tmp_path / "katib" / "kustomization.yaml"
    found = yaml.safe_load(file.read_text())
    (remote,) = [item for item in found["resources"] if "://" in item]
    assert remote.endswith("installs/katib-standalone?ref=578e60f1ce83dbb5e7151026a3bdc4de233947fc")
    found["resources"] = ["../stock", *(item for item in found["resources"] if item != remote)]
    file.write_text(yaml.safe_dump(found))
    return tmp_path


@pytest.fixture
def overlay(folders: Path) -> list[dict[str, Any]]:
    """Returns the objects of k8s/katib, without Katib's own MySQL."""
    mysql = {(kind, name) for _, kind, name in MYSQL}
    return [item for item in build(folders / "katib") if (item["kind"], item["metadata"]["name"]) not in mysql]


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


def test_overlay_takes_the_label_off_katibs_namespace(overlay: list[dict[str, Any]]) -> None:
    assert INJECTION_LABEL not in named(overlay, "Namespace", "kubeflow")["metadata"].get("labels", {})


def test_overlay_brings_our_services_in(overlay: list[dict[str, Any]]) -> None:
    config = yaml.safe_load(named(overlay, "ConfigMap", "katib-config")["data"]["katib-config.yaml"])
    assert config["init"]["controller"]["injectSecurityContext"]
    images = {item["algorithmName"]: item["image"] for item in config["runtime"]["suggestions"]}
    assert not images["bayesianoptimization"].startswith("ghcr.io/kubeflow")


@pytest.mark.parametrize("name", ["katib-controller", "katib-db-manager"])
def test_overlay_pins_katib_and_gives_it_resources(overlay: list[dict[str, Any]], name: str) -> None:
    (container,) = named(overlay, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(":v0.19.0")
    assert set(container["resources"]) == {"requests", "limits"}


def test_postgresql_takes_the_place_of_mysql(folders: Path, tools: Tools) -> None:
    """No object of MySQL's is left, nothing else changes, and the pod meets the standard `restricted`."""
    objects, ours = build(folders / "katib-postgres"), build(folders / "katib")
    assert "mysql" not in str(objects)
    (container,) = named(objects, "Deployment", "katib-db-manager")["spec"]["template"]["spec"]["containers"]
    env = {item["name"]: item.get("value") or item["valueFrom"]["secretKeyRef"] for item in container["env"]}
    assert env == {"DB_NAME": "postgres", "DB_PASSWORD": {"name": "katib-postgres-secrets", "key": "POSTGRES_PASSWORD"}}
    kept = [item for item in objects if not item["metadata"]["name"].startswith("katib-postgres")]
    changed = [item["metadata"]["name"] for item in kept if item not in ours]
    assert changed == ["katib-db-manager"]
    assert len(kept) == len(ours) - len(MYSQL)
    tools.kubectl("label", "namespace", tools.namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    for item in objects:
        if item not in kept:
            item["metadata"].pop("namespace")
            tools.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=json.dumps(item))
    tools.first(POD, "katib.kubeflow.org/component=postgres")


@pytest.mark.any_cluster
def test_another_namespace_is_one_value(tmp_path: Path) -> None:
    shutil.copytree(K8S / "base", tmp_path / "base")
    file = tmp_path / "base" / "kustomization.yaml"
    file.write_text(file.read_text().replace("namespace: sepsweep\n", "namespace: lab-a\n"))
    objects, ours = build(tmp_path / "base"), build(K8S / "base")
    assert len(objects) == len(ours)
    assert {item["metadata"].get("namespace", item["metadata"]["name"]) for item in objects} == {"lab-a"}
    (subject,) = named(objects, "RoleBinding", "sepsweep-services")["subjects"]
    assert subject["namespace"] == "lab-a"


@pytest.mark.any_cluster
def test_base_has_the_names_of_the_site() -> None:
    site, objects = load_site(), build(K8S / "base")
    assert named(objects, "Namespace", site.namespace)["metadata"]["labels"][INJECTION_LABEL] == "enabled"
    for claim in (site.claims.data, site.claims.runs):
        named(objects, "PersistentVolumeClaim", claim)
    example = yaml.safe_load((K8S / "base" / "wandb-secret.example.yaml").read_text())
    assert site.wandb is not None
    assert example["metadata"]["name"] == site.wandb.secret
    assert "Secret" not in {item["kind"] for item in objects}


@pytest.mark.any_cluster
def test_the_base_for_one_node_differs_in_the_access_modes_alone() -> None:
    many, one = build(K8S / "base"), build(K8S / "one-node")
    for item in many:
        if item["kind"] == "PersistentVolumeClaim":
            item["spec"]["accessModes"] = ["ReadWriteOnce"]
    assert one == many


def test_the_role_in_katibs_namespace_stays_there(overlay: list[dict[str, Any]]) -> None:
    """A researcher reads there, forwards ports and uses Katib's UI, but can change nothing of that namespace itself."""
    role = named(overlay, "Role", "sepsweep-researcher")
    assert role["metadata"]["namespace"] == "kubeflow"
    verbs = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    ways = {("pods/portforward", "create"), ("services/proxy", "create"), ("services/proxy", "delete")}
    assert {pair for pair in verbs if pair[1] not in ("get", "list")} == ways
    (proxy,) = [rule for rule in role["rules"] if "services/proxy" in rule["resources"]]
    assert proxy["resourceNames"] == ["katib-ui:80"]
    everywhere = named(overlay, "ClusterRole", "sepsweep-onlooker")
    assert {verb for rule in everywhere["rules"] for verb in rule["verbs"]} == {"get", "list"}
    assert "secrets" not in str(role) + str(everywhere)


@pytest.mark.any_cluster
def test_trials_are_reached_by_nothing_and_reach_no_private_address() -> None:
    policy = named(build(K8S / "base"), "NetworkPolicy", "trials")["spec"]
    assert "ingress" not in policy
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    dns, block = [peer["ipBlock"] for rule in policy["egress"] for peer in rule.get("to", []) if "ipBlock" in peer]
    assert dns == {"cidr": "169.254.20.10/32"}
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(block["except"])


@pytest.mark.any_cluster
def test_the_services_alone_are_the_configuration_and_their_account() -> None:
    """Into a Katib that is there: k8s/katib's own file in Katib's namespace, the account in that of the experiments."""
    objects = build(K8S)
    kinds = ["ConfigMap", "Role", "RoleBinding", "ServiceAccount"]
    assert sorted(item["kind"] for item in objects) == kinds
    config = named(objects, "ConfigMap", "katib-config")
    assert config["metadata"] == {"name": "katib-config", "namespace": "kubeflow"}
    assert config["data"] == {"katib-config.yaml": (K8S / "katib" / "katib-config.yaml").read_text()}
    others = [item for item in objects if item is not config]
    assert {item["metadata"]["namespace"] for item in others} == {load_site().namespace}
    (subject,) = named(objects, "RoleBinding", "sepsweep-services")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "sepsweep-services", "namespace": load_site().namespace}


@pytest.mark.any_cluster
def test_api_server_takes_the_account_of_the_services_in_any_namespace(tools: Tools) -> None:
    tools.kubectl("apply", "--validate=strict", "-f", str(K8S / "base" / "services-rbac.yaml"))
    account = f"--as=system:serviceaccount:{tools.namespace}:sepsweep-services"
    assert tools.kubectl("auth", "can-i", "list", "trials.kubeflow.org", account).strip() == "yes"


@pytest.mark.any_cluster
def test_api_server_takes_every_object_of_the_base(tools: Tools) -> None:
    """Strict validation, which refuses a misspelt key, is a server-side dry run in the test's own namespace."""
    for item in build(K8S / "base"):
        item["metadata"]["name"] += "-dry-run"  # what is there already would refuse to be changed
        item["metadata"].pop("namespace", None)
        tools.kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
            stdin=json.dumps(item),
        )


@pytest.mark.any_cluster
def test_a_misspelt_key_would_be_refused(tools: Tools) -> None:
    (quota,) = [item for item in build(K8S / "base") if item["kind"] == "ResourceQuota"]
    quota["metadata"].pop("namespace")
    quota["spec"]["hardd"] = {}
    with pytest.raises(RuntimeError, match="hardd"):
        tools.kubectl(
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
            stdin=json.dumps(quota),
        )


def test_api_server_takes_every_object_of_the_overlay(tools: Tools, overlay: list[dict[str, Any]]) -> None:
    for item in overlay:
        words = (
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
        )
        rig.kubectl("-n", "kubeflow", *words, stdin=json.dumps(item), kubeconfig=tools.kubeconfig)


@pytest.mark.any_cluster
def test_queue_folder_builds() -> None:
    """Kueue's types are not Kubernetes' own, and their schemas are not here to validate against."""
    kinds = [item["kind"] for item in build(K8S / "kueue")]
    assert sorted(kinds) == ["ClusterQueue", "LocalQueue", "ResourceFlavor"]
