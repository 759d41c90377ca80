"""Runs the cluster of these tests: the one-node Kubernetes of one_node/, which `make test-cluster` builds."""

import fcntl
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

ONE_NODE = Path(__file__).with_name("one_node")
HOME = Path(
    os.environ.get("ONE_NODE_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "one-node"
)
BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE_BINARIES = ("kubelet", "kube-proxy", "coredns", "pause")
APART = ("unshare", "--mount", "--net", "--propagation", "private", "sh", "-c")
ALLOWED = {
    "namespaces for networks and mounts": (*APART, "true"),
    "overlay file systems": (
        *APART,
        "mount -t tmpfs t /mnt && cd /mnt && mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m",
    ),
    "cgroups": (
        *("sh", "-c"),
        "cd /sys/fs/cgroup; [ -e cgroup.controllers ] || cd memory; mkdir one-node-probe && rmdir one-node-probe",
    ),
}
"""What is tried, and nothing of it left, before anything is built or brought up."""
ALLOWED_BY_TOOLS = {
    "pairs of network devices": (*APART, "ip link add name probe0 type veth peer name probe1"),
    "changing iptables": (*APART, "iptables -t nat -A OUTPUT -p tcp -j REDIRECT"),
}
HOST, API = "10.251.0.1", "10.251.0.2"
"""The two ends of the one-node's network: this machine, and the node."""


def missing(node: bool = False) -> str:
    """Returns what the one-node Kubernetes lacks here and how to get it; '' where it lacks nothing."""
    if reason := forbidden():
        return reason
    tools = ("kubectl", "ip", "nsenter", "openssl", *(("containerd", "runc", "iptables") if node else ()))
    if absent := [name for name in tools if shutil.which(name, path=_path()) is None]:
        return f"not installed: {', '.join(absent)}; make test-cluster installs what Debian has of it"
    binaries = (*BINARIES, *(NODE_BINARIES if node else ()))
    if absent := [name for name in binaries if not (HOME / "bin" / name).exists()]:
        return f"not built: {', '.join(absent)}; make test-cluster builds it once, with Go"
    return _not_allowed(ALLOWED_BY_TOOLS)


@lru_cache
def forbidden() -> str:
    """Returns why this machine cannot run a one-node Kubernetes, whatever is installed; '' where it can."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        return "the one-node Kubernetes needs root on Linux; nothing else of it runs here"
    if foreign := _foreign_kubelet():
        return f"this machine is a node of another Kubernetes already (kubelet, process {foreign})"
    return _not_allowed(ALLOWED)


def _not_allowed(tried: Mapping[str, Sequence[str]]) -> str:
    for what, words in tried.items():
        if problem := _refused(*words):
            return f"not allowed here: {what} ({problem}); it takes a whole machine, or a privileged container"
    return ""


def _refused(*words: str) -> str:
    """Returns why a program fails; '' where it succeeds."""
    try:
        run(*words)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return " ".join(str(error).split())[-200:]
    return ""


def _foreign_kubelet() -> int | None:
    """Returns the process of a kubelet that is not the one-node's own, whose pods clearing up would remove."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            entry.name.isdecimal()
            and words[0].endswith(b"kubelet")
            and os.fsencode(HOME / "run") not in b" ".join(words)
        ):
            return int(entry.name)
    return None


@contextmanager
def control_plane() -> Iterator[Path]:
    """Yields the administrator's kubeconfig of a fresh API server with its controllers and scheduler.

    What an earlier, killed run has left is removed first. ONE_NODE_KEEP=1 leaves the server running, or uses one that
    runs.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    kept = bool(os.environ.get("ONE_NODE_KEEP"))
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kubeconfig = HOME / "run" / "kubeconfig" / "admin.conf"
        if not (kept and _answers(kubeconfig)):
            script("teardown.sh")
            script("control-plane.sh")
        try:
            yield kubeconfig
        finally:
            if not kept:
                script("teardown.sh")
                while _CHILDREN:
                    _CHILDREN.pop().wait(60)


def script(name: str, *words: str, env: dict[str, str] | None = None) -> str:
    """Runs a script of one_node/ and returns its output, which a failure contains too."""
    done = subprocess.run(
        ["bash", str(ONE_NODE / name), *words],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PATH": _path(), **(env or {})},
        check=False,
    )
    if done.returncode and name != "teardown.sh":
        raise RuntimeError(f"{name} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def run(*words: str, seconds: float = 60) -> str:
    """Runs a program of the system and returns its output."""
    env = {**os.environ, "PATH": _path()}
    done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=seconds, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-3000:]}")
    return done.stdout


def kubectl(*words: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
    """Runs kubectl with the administrator's kubeconfig."""
    place = kubeconfig or HOME / "run" / "kubeconfig" / "admin.conf"
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(place), *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=330,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr}")
    return done.stdout


def _answers(kubeconfig: Path) -> bool:
    try:
        return kubeconfig.exists() and kubectl("get", "--raw", "/readyz", "--request-timeout=3s") == "ok"
    except RuntimeError:
        return False


def _path() -> str:
    return f"/usr/sbin:/sbin:{os.environ['PATH']}"


@contextmanager
def api_server_away() -> Iterator[None]:
    """Kills the API server, and restarts it afterwards as it was."""
    with _away("kube-apiserver"):
        yield
    end = time.monotonic() + 300
    while not _answers(HOME / "run" / "kubeconfig" / "admin.conf"):
        if time.monotonic() > end:
            raise RuntimeError("the API server did not come back")
        time.sleep(0.2)


def restart(program: str) -> None:
    """Kills a program of the node or of the control plane, such as kubelet, and starts it again as it was."""
    with _away(program):
        pass


def in_pods() -> Iterator[tuple[int, list[str]]]:
    """Yields the processes of all pods, with their words."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if "/kubepods/" in (entry / "cgroup").read_text():
                yield int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue  # it has just ended


def cut_power() -> None:
    """Ends all pods and programs of the node at once, and starts the latter again."""
    with _away("kubelet"), _away("containerd"):
        for process, _ in in_pods():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@contextmanager
def second_node() -> Iterator[str]:
    """Yields the socket of the containerd of node2, which is gone afterwards."""
    script("node.sh", env={"NODE_NUMBER": "2"})
    try:
        yield SECOND
    finally:
        lose_second_node()
        kubectl("delete", "node", "node2", "--ignore-not-found", "--timeout=60s")


def lose_second_node() -> None:
    """Ends all that runs on node2 at once and for good, and its network with it, as where a machine's power fails."""
    lost = [int(file.read_text()) for file in (HOME / "run" / "pids").glob("*2")]
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if "/node2/" in (entry / "cgroup").read_text() or os.fsencode(SECOND) in (entry / "cmdline").read_bytes():
                lost.append(int(entry.name))
    for process in lost:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for file in (HOME / "run" / "pids").glob("*2"):
        file.unlink()
    if "k8s2" in run("ip", "netns", "list"):
        run("nsenter", "--net=/run/netns/k8s", "ip", "link", "del", "kveth2")
        run("ip", "netns", "del", "k8s2")
    # A second start would find what is left of its pods, and wait for them.
    below = (f"{HOME}/run/kubelet2/", f"{HOME}/store2/", str(Path(SECOND).parent))
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((each for each in mounts if each.startswith(below)), reverse=True):
        run("umount", "-l", place)
    run("rm", "-rf", str(Path(SECOND).parent), *map(str, (HOME / "run" / "kubelet2").glob("*")))


@contextmanager
def _away(program: str) -> Iterator[None]:
    """Kills a program, and starts it again afterwards.

    containerd is waited for, since a kubelet that it does not answer yet would end.
    """
    record, log = HOME / "run" / "pids" / program, HOME / "run" / "log" / f"{program}.log"
    before = log.read_text().count(READY)
    process = int(record.read_text())
    words = Path(f"/proc/{process}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
    os.kill(process, signal.SIGKILL)
    try:
        yield
    finally:
        with log.open("ab") as end:
            inside = ["nsenter", "--net=/run/netns/k8s", *words]
            started = subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=end, stderr=end, start_new_session=True)
        record.write_text(f"{started.pid}\n")
        _CHILDREN.append(started)
    until = time.monotonic() + 60
    while program == "containerd" and log.read_text().count(READY) == before and time.monotonic() < until:
        time.sleep(0.1)


SECOND = "/run/k8s-containerd2/containerd.sock"
READY = "Start streaming server"
"""What containerd's log says once it answers."""
_CHILDREN: list["subprocess.Popen[bytes]"] = []
"""Programs that were started again; teardown.sh ends them by their pid files."""


def main() -> int:
    """Returns 0 where the one-node Kubernetes can be built here; else 1, and prints why not."""
    reason = forbidden() or ("" if shutil.which("go") else "Go is not installed, by which Kubernetes is built")
    if reason:
        print(f"nothing is built: {reason}", file=sys.stderr)
    return bool(reason)


if __name__ == "__main__":
    sys.exit(main())
