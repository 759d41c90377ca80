"""Enforces network policies on the one-node Kubernetes by kube-router, which does nothing else there."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import rig

PROGRAM = rig.HOME / "bin" / "kube-router"
INSIDE = ("nsenter", "--net=/run/netns/k8s")
CHAINS = "KUBE-(ROUTER|POD-FW|NWPLCY)"
REMOVE = f"iptables-save | grep -vE '{CHAINS}' | iptables-restore; ipset destroy"
PATH = f"/usr/sbin:/sbin:{os.environ['PATH']}"


def missing() -> str:
    """Returns what is missing here for it; '' where nothing is."""
    if not PROGRAM.exists():
        return "not built: kube-router, which enforces network policies; tests/cluster/one_node/build.sh builds it"
    return "" if shutil.which("ipset", path=PATH) else "not installed: ipset, which kube-router needs"


@contextmanager
def enforced() -> Iterator[None]:
    """Enforces them meanwhile; afterwards the node lets everything through again."""
    kubeconfig = rig.HOME / "run" / "kubeconfig" / "admin.conf"
    words = [
        *(*INSIDE, str(PROGRAM), f"--kubeconfig={kubeconfig}", "--hostname-override=node1", "--run-router=false"),
        *("--run-service-proxy=false", "--service-cluster-ip-range=10.96.0.0/16", "--health-port=0"),
    ]
    with (rig.HOME / "run" / "log" / "kube-router.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, "PATH": PATH})
    try:
        end = time.monotonic() + 60
        while "KUBE-ROUTER-INPUT" not in rig.run(*INSIDE, "iptables-save"):
            assert process.poll() is None, log.name
            assert time.monotonic() < end, log.name
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(60)
        rig.run(*INSIDE, "sh", "-c", REMOVE)
