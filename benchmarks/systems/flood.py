"""Floods the services within the limits of their containers: `python -m benchmarks.systems.flood`.

Each service runs as its own process with the memory and processor time that k8s/katib/katib-config.yaml gives its
container, if this machine allows control groups (root, cgroup v1). Beside each flood another experiment asks a small
question twenty times a second. The output is the longest of its answers, the service's peak memory, and what became of
the flood. A flood by one experiment comes from the same address as that question, one by a stranger from another.
"""

import multiprocessing
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import grpc
import yaml

from benchmarks.systems.services import IMAGE, cpu, memory, service, stopping_in
from katib.services.stubs import pb
from tests.katib.services.rig import Condition, DbManager, TrialServer, experiment, nested, trial

SECONDS, PAUSE, CLIENTS = 4.0, 0.05, 24
LONGEST = 0.5
"""Seconds that a small question may take under a flood."""
PERIOD = 100_000
"""Microseconds, over which Kubernetes counts a container's processor time."""
CONFIG = Path("k8s/katib/katib-config.yaml")
GROUPS = Path("/sys/fs/cgroup")
POINT = {"grad_clip_norm": "5", "layers": "8", "norm": "gLN"}
SUGGEST, VALIDATE = (
    "/api.v1.beta1.Suggestion/GetSuggestions",
    "/api.v1.beta1.Suggestion/ValidateAlgorithmSettings",
)
RULES = "/api.v1.beta1.EarlyStopping/GetEarlyStoppingRules"
HEALTH = "/grpc.health.v1.Health/Check"
STATUS = "/api.v1.beta1.EarlyStopping/SetTrialStatus"
Send = Callable[[grpc.Channel, int], None]


class Limits(NamedTuple):
    """What a container may use."""

    memory: int
    """Bytes."""
    cores: float


def limits(kind: str) -> Limits:
    """Returns the limits of a container in the configuration, `suggestions` or `earlyStoppings`."""
    runtime = yaml.safe_load(CONFIG.read_text())["runtime"]
    found = next(entry for entry in runtime[kind] if entry["image"].startswith("sepsweep/"))["resources"]["limits"]
    mebibytes, cores = re.fullmatch(r"(\d+)Mi", found["memory"]), str(found["cpu"])
    assert mebibytes
    return Limits(int(mebibytes[1]) << 20, float(cores[:-1]) / 1e3 if cores.endswith("m") else float(cores))


@contextmanager
def contained(pid: int, most: Limits) -> Iterator[bool]:
    """Keeps a process within limits; returns whether that is possible here."""
    made = []
    try:
        for kind, files in {
            "memory": {"memory.limit_in_bytes": most.memory},
            "cpu": {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": int(most.cores * PERIOD)},
        }.items():
            lines = Path("/proc/self/cgroup").read_text().splitlines()
            parents = [line.split(":")[2] for line in lines if kind in line.split(":")[1].split(",")]
            group = GROUPS / kind / parents[0].strip("/") / f"sepsweep-flood-{pid}"
            group.mkdir()
            made.append(group)
            for name, value in files.items():
                (group / name).write_text(str(value))
            (group / "cgroup.procs").write_text(str(pid))
        yield True
    except (OSError, IndexError):
        yield False
    finally:
        for group in made:
            for _ in range(50):
                try:
                    group.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)


def suggestions(name: str, trials: int, algorithm: str = "tpe", long: str = "") -> bytes:
    """Returns a question for two proposals after so many trials, each with a value like `long`."""
    listed = [
        trial(
            f"{name}-{index:08}",
            {**POINT, "lr": f"{long}{0.0001 + index * 1e-6:.7f}"},
            Condition.SUCCEEDED,
            index % 7,
        )
        for index in range(trials)
    ]
    asked = pb.GetSuggestionsRequest(
        experiment=experiment(name, algorithm, max_trials=9_000),
        trials=listed,
        current_request_number=2,
        total_request_number=trials + 2,
    )
    found: bytes = asked.SerializeToString()
    return found


def rules(name: str, trials: int = 3) -> bytes:
    """Returns the question of Katib's controller, with trials that do not exist."""
    listed = [trial(f"{name}-{index}", {}, Condition.SUCCEEDED) for index in range(trials)]
    asked = pb.GetEarlyStoppingRulesRequest(
        experiment=experiment(name, stopping={}), trials=listed, db_manager_address="10.0.0.1:6789"
    )
    found: bytes = asked.SerializeToString()
    return found


def of_trial(name: str) -> bytes:
    """Returns the question of a trial's collector."""
    found: bytes = pb.GetEarlyStoppingRulesRequest(trials=[pb.Trial(name=name)]).SerializeToString()
    return found


def posts(method: str, data: bytes | Callable[[int], bytes]) -> Send:
    """Sends bytes, or those that a function makes from a number."""

    def send(channel: grpc.Channel, number: int) -> None:
        cast(Any, channel).unary_unary(method)(data if isinstance(data, bytes) else data(number), timeout=60)

    return send


def half_open(channel: grpc.Channel, number: int) -> None:
    """Opens a call and sends nothing, to either service."""

    def nothing() -> Iterator[bytes]:
        time.sleep(SECONDS)
        yield b""

    cast(Any, channel).stream_unary(HEALTH)(nothing(), timeout=SECONDS)


def heavy_metadata(channel: grpc.Channel, number: int) -> None:
    """Sends 1 MB of headers."""
    cast(Any, channel).unary_unary(VALIDATE)(b"", metadata=[("x", "y" * (1 << 20))], timeout=60)


def bomb(channel: grpc.Channel, number: int) -> None:
    """Sends 8 KB that unpack to 8 MB."""
    cast(Any, channel).unary_unary(SUGGEST)(b"\0" * (8 << 20), timeout=60, compression=grpc.Compression.Gzip)


FLOODS: dict[str, tuple[bool, Callable[[], Send]]] = {
    "24 at once over 250 trials": (False, lambda: posts(SUGGEST, suggestions("flood", 250))),
    "5 000 trials": (False, lambda: posts(SUGGEST, suggestions("flood", 5_000, "random"))),
    "200 trials of 10 kB values": (
        False,
        lambda: posts(SUGGEST, suggestions("flood", 200, long="0" * 10_000)),
    ),
    "5 000 trials of 10 kB values": (
        False,
        lambda: posts(SUGGEST, suggestions("flood", 5_000, long="0" * 10_000)),
    ),
    "10^6 empty trials": (False, lambda: posts(SUGGEST, b"\x12\x00" * (1_000_000 - 16))),
    "10^6 empty parameters": (False, lambda: posts(VALIDATE, nested(b"\x0a\x00" * 1_000_000, 1, 2, 1))),
    "distinct experiments": (True, lambda: posts(SUGGEST, lambda number: suggestions(f"x{number}", 20))),
    "half-open calls": (True, lambda: half_open),
    "1 MB of headers": (True, lambda: heavy_metadata),
    "8 MB in 8 KB of gzip": (True, lambda: bomb),
    "rules: 10^6 empty trials": (False, lambda: posts(RULES, b"\x12\x00" * (1_000_000 - 16))),
    "rules: 5 000 trials": (False, lambda: posts(RULES, rules("flood", 5_000))),
    "rules: distinct experiments": (True, lambda: posts(RULES, lambda number: rules(f"x{number}"))),
    "rules: invented trials": (True, lambda: posts(RULES, lambda number: of_trial(f"x{number}"))),
    "rules: marks of invented trials": (
        True,
        lambda: posts(STATUS, lambda number: nested(f"x{number}".encode(), 1)),
    ),
    "rules: half-open calls": (True, lambda: half_open),
}


def flood(name: str, address: str) -> Counter[str]:
    """Sends a flood from CLIENTS threads, each on connections of its own; reports what became of its calls.

    It runs in a process of its own.
    """
    send, codes = FLOODS[name][1](), Counter[str]()
    end = time.monotonic() + SECONDS

    def client(number: int) -> None:
        turn = 0
        while time.monotonic() < end:
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
            with grpc.insecure_channel(address, options=options) as channel:
                for _ in range(20):
                    turn += 1
                    try:
                        send(channel, number * 1_000_000 + turn)
                        codes["OK"] += 1
                    except grpc.RpcError as error:
                        codes[error.code().name] += 1
                    if time.monotonic() > end:
                        break

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    return codes


def connections(address: tuple[str, int], count: int = 2_000) -> list[socket.socket]:
    """Opens so many connections and sends nothing."""
    made = []
    for _ in range(count):
        try:
            made.append(socket.create_connection(address, timeout=1))
        except OSError:
            break
    return made


def asked(ask: Callable[[], object], end: Callable[[], bool]) -> list[float]:
    """Returns the seconds of each small question until `end`; infinite for an unanswered one."""
    found = []
    while not end():
        begin = time.perf_counter()
        try:
            ask()
            found.append(time.perf_counter() - begin)
        except grpc.RpcError as error:
            print("   not answered:", error.code().name, (error.details() or "")[:100])
            found.append(float("inf"))
        time.sleep(PAUSE)
    return found


def other_address() -> str:
    """Returns an address of this machine besides 127.0.0.1, so that two callers can be distinguished."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def under(kind: str, process: Any, port: int, ask: Callable[[], object], names: list[str]) -> None:
    most = limits(kind)
    with contained(process.pid, most) as bounded:
        print(f"{kind}: {most.memory >> 20} MiB, {most.cores:g} cores" + ("" if bounded else " (not enforced here)"))
        begin = time.monotonic()
        quiet = asked(ask, lambda: time.monotonic() > begin + 2)
        print(f"  no flood: longest answer {max(quiet):.3f} s, peak {memory(process):.0f} MB")
        context = multiprocessing.get_context("spawn")
        for name in names:
            host = other_address() if FLOODS[name][0] else "127.0.0.1"
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                pool.submit(time.monotonic).result()
                done, before = pool.submit(flood, name, f"{host}:{port}"), cpu(process)
                times = asked(ask, done.done)
                report(name, times, process, most, dict(done.result()), cpu(process) - before)
        held = connections((other_address(), port))
        begin = time.monotonic()
        times = asked(ask, lambda: time.monotonic() > begin + 2)
        report(f"{len(held)} connections", times, process, most, {}, 0.0)
        for connection in held:
            connection.close()


def report(name: str, times: list[float], process: Any, most: Limits, codes: dict[str, int], used: float) -> None:
    alive = process.poll() is None
    peak = memory(process) * 1e6 if alive else float("nan")
    good = alive and max(times) <= LONGEST and peak < most.memory
    print(
        f"  {name}: longest answer {max(times):.3f} s of {len(times)}, peak {peak / 2**20:.0f} MiB,"
        f" {used:.1f} s of processor, flood {codes or ''} {'' if good else '<- over'}",
        flush=True,
    )


def main() -> None:
    os.environ |= IMAGE
    names = [name for name in FLOODS if not name.startswith("rules")]
    small = pb.ValidateAlgorithmSettingsRequest(experiment=experiment("small", "random"))
    with service("suggestion") as (process, stub, _):
        under(
            "suggestions",
            process,
            process.port,
            lambda: stub.ValidateAlgorithmSettings(small, timeout=10),
            names,
        )
    cluster, db = TrialServer(), DbManager()
    cluster.add_experiment("small", {})
    for index in range(30):
        cluster.add_trial(f"small-{index}", "small", "Running")
        db.put(f"small-{index}", [float(index)] * 50)
    question = pb.GetEarlyStoppingRulesRequest(trials=[pb.Trial(name="small-1")])
    with service("early_stopping", "--db-manager", db.address, code=stopping_in(cluster)) as (
        process,
        stub,
        _,
    ):
        rest = [name for name in FLOODS if name.startswith("rules")]
        under(
            "earlyStoppings",
            process,
            process.port,
            lambda: stub.GetEarlyStoppingRules(question, timeout=10),
            rest,
        )
    cluster.close()
    db.away()


if __name__ == "__main__":
    main()
