"""Measures the services beside Katib against their limits: `python -m benchmarks.systems.services`.

Each runs as its own process, as in its pod, with a DB manager in this one. Times are those of whole calls over gRPC.
Each figure is printed beside its limit; on a busy machine, times are upper bounds.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import grpc

from katib.services.observations import timestamp
from katib.services.stubs import pb, rpc
from tests.katib.services.pod import Pod, epoch
from tests.katib.services.rig import METRIC, Condition, DbManager, TrialServer, experiment, point, trial

ALGORITHMS = ("bayesianoptimization", "multivariate-tpe", "tpe", "random", "sobol")
CLIENTS, CALLS = 16, 1_000
LINES_PER_SECOND, FEED_SECONDS = 10_000, 15
EPOCHS, EPOCH_SECONDS = 12, 5
"""A real epoch takes minutes; those of the smallest training take seconds."""
REPEATED = 120_000
IMAGE = {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""As images/services/Dockerfile has them."""
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    os.environ |= IMAGE
    db = DbManager()
    with service("suggestion", "--db-manager", db.address) as (process, stub, ready):
        figure("suggestion: start", ready, "s", 3)
        suggestions(stub, db)
        crowd(stub)
        figure("suggestion: memory", memory(process), "MB", 300)
    cluster = TrialServer()
    with service("early_stopping", "--db-manager", db.address, code=stopping_in(cluster)) as found:
        process, stub, ready = found
        figure("early stopping: start", ready, "s", 3)
        questions(stub, db, cluster)
        figure("early stopping: memory", memory(process), "MB", 60)
    cluster.close()
    collector(db)
    db.away()


def suggestions(stub: Any, db: DbManager) -> None:
    for algorithm in ALGORITHMS:
        for count, limit in ((200, 1.0), (1000, 5.0)):
            search = experiment(f"s{count}", algorithm, {"random_state": "1"}, max_trials=2000)
            reply = stub.GetSuggestions(question(experiment("s", "random", max_trials=2000), [], count))
            trials = []
            for index, item in enumerate(reply.parameter_assignments):
                ends = (Condition.SUCCEEDED, Condition.EARLYSTOPPED, Condition.EARLYSTOPPED, Condition.FAILED)
                lr = float(point(item)["lr"])
                name = f"s-{index:08}"
                trials.append(trial(name, point(item), ends[index % 4], 5 - 100 * abs(lr - 0.003)))
                db.put(name, [lr * step for step in range(1, 1 + (20 if index % 4 else 100))])
            times = [timed(lambda: stub.GetSuggestions(question(search, trials, 1))) for _ in range(5)]  # noqa: B023
            figure(f"suggestion: {algorithm}, {count} trials, slowest of 5", max(times), "s", limit)


def crowd(stub: Any) -> None:
    searches = [experiment(name, "random", {"random_state": "1"}) for name in ("a", "b")]
    expected = [stub.GetSuggestions(question(search, [], 3)).parameter_assignments for search in searches]

    def call(index: int) -> bool:
        reply = stub.GetSuggestions(question(searches[index % 2], [], 3))
        return list(reply.parameter_assignments) == list(expected[index % 2])

    begin = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        right = sum(pool.map(call, range(CALLS)))
    assert right == CALLS
    print(f"{CLIENTS} clients, {CALLS} calls: all right, {CALLS / (time.perf_counter() - begin):.0f} calls/s")


def stopping_in(cluster: TrialServer) -> str:
    """Starts the early-stopping service beside the trials of `cluster`."""
    return (
        "import sys; from katib.services import early_stopping as e;"
        "from katib.services.kubernetes_api import KubernetesApi;"
        f"e.in_cluster = lambda: KubernetesApi({cluster.api.server!r}, 'sweeps'); sys.exit(e.main())"
    )


def questions(stub: Any, db: DbManager, cluster: TrialServer) -> None:
    cluster.add_experiment("q", {})
    for index in range(200):
        cluster.add_trial(f"q-{index:08}", "q", "Running", *(["Succeeded"] if index >= 4 else []))
        db.put(f"q-{index:08}", [index / 100 + step / 10 for step in range(100)])
    stub.GetEarlyStoppingRules(pb.GetEarlyStoppingRulesRequest(experiment=experiment("q", stopping={})))
    asked = pb.GetEarlyStoppingRulesRequest(trials=[pb.Trial(name="q-00000000")])
    first = timed(lambda: stub.GetEarlyStoppingRules(asked))
    times = sorted(timed(lambda: stub.GetEarlyStoppingRules(asked)) for _ in range(300))
    print(f"early stopping: the first question after a start reads all curves: {1e3 * first:.0f} ms")
    figure("early stopping: question, 200 trials, median", 1e3 * statistics.median(times), "ms", 20)
    figure("early stopping: question, 200 trials, 99 %", 1e3 * times[297], "ms", 20)


def collector(db: DbManager) -> None:
    loaded(db)
    resumed(db)
    paced(db)


def loaded(db: DbManager) -> None:
    """Measures the most that a trainer could print."""
    for name, every in (("one line in 100 a metric", 100), ("each line a metric", 1)):
        with tempfile.TemporaryDirectory() as folder:
            pod = started(Path(folder), db, name)
            assert pod.collector
            metrics, begin = 0, time.perf_counter()
            for tenth in range(10 * FEED_SECONDS):
                lines = range(tenth * LINES_PER_SECOND // 10, (tenth + 1) * LINES_PER_SECOND // 10)
                pod.print(*(epoch(i, i) if i % every == 0 else f"step {i} loss 0.123" for i in lines))
                metrics += sum(i % every == 0 for i in lines)
                time.sleep(max(0.0, begin + (tenth + 1) / 10 - time.perf_counter()))
            end = time.perf_counter()
            db.wait_for(name, metrics)
            lag = time.perf_counter() - end
            load = cpu(pod.collector) / (time.perf_counter() - begin)
            print(f"collector, {LINES_PER_SECOND} lines/s, {name}: {100 * load:.0f} % of a core")
            assert len(db.rows[name]) == metrics
            figure(f"collector, {name}: behind at the end", lag, "s", 1)
            figure(f"collector, {name}: memory", memory(pod.collector) * 1e6 / 2**20, "MiB", 60)
            pod.end()
            assert pod.collector.wait(30) == 0
            pod.close()


def paced(db: DbManager) -> None:
    """Measures what a trainer of small models prints."""
    with tempfile.TemporaryDirectory() as folder:
        pod = started(Path(folder), db, "paced")
        assert pod.collector
        pod.print(epoch(1, 1))
        db.wait_for("paced", 1)
        before, begin = cpu(pod.collector), time.perf_counter()
        for number in range(2, 2 + EPOCHS):
            time.sleep(EPOCH_SECONDS)
            pod.print(f"epoch {number}: validation and training losses, the rate and the time", epoch(number, 1))
        db.wait_for("paced", 1 + EPOCHS)
        share = (cpu(pod.collector) - before) / (time.perf_counter() - begin)
        what = f"collector, an epoch every {EPOCH_SECONDS} s"
        figure(f"{what}: CPU", 100 * share, "% of a core", 1)
        figure(f"{what}: memory", memory(pod.collector) * 1e6 / 2**20, "MiB", 60)
        pod.end()
        assert pod.collector.wait(30) == 0
        pod.close()


def resumed(db: DbManager) -> None:
    """Measures a new pod of a trial that has reported much: it prints everything again, and continues."""
    begin = datetime.now(UTC) - timedelta(seconds=REPEATED)
    times = [timestamp(begin + timedelta(seconds=step)) for step in range(REPEATED + 1)]
    db.rows["resumed"] = [(times[step], METRIC, str(float(step))) for step in range(REPEATED)]
    with tempfile.TemporaryDirectory() as folder:
        pod = started(Path(folder), db, "resumed")
        assert pod.collector
        pod.print(*(f"{stamp} {METRIC}={step}" for step, stamp in enumerate(times)))
        db.wait_for("resumed", REPEATED + 1, seconds=600)
        assert len(db.rows["resumed"]) == REPEATED + 1
        what = f"collector that repeats {REPEATED} rows: memory"
        figure(what, memory(pod.collector) * 1e6 / 2**20, "MiB", 60)
        pod.end()
        assert pod.collector.wait(30) == 0
        pod.close()


def started(folder: Path, db: DbManager, name: str) -> Pod:
    """Returns a pod whose containers' output is read, as containerd does."""
    pod = Pod(folder / "pod", db, trial=name).start()
    assert pod.collector
    for stream in (pod.collector.stdout, pod.collector.stderr):
        assert stream
        threading.Thread(target=drain, args=(stream,), daemon=True).start()
    return pod


def drain(stream: IO[bytes]) -> None:
    while stream.read(1 << 16):
        pass


class Service(subprocess.Popen[bytes]):
    """The process of a service."""

    port = 0


@contextmanager
def service(name: str, *arguments: str, code: str = "") -> Iterator[tuple[Service, Any, float]]:
    """Yields a service as its own process, a stub for it, and the seconds until it answered.

    `code` starts it in another way.
    """
    begin = time.perf_counter()
    started = ["-c", code] if code else ["-m", f"katib.services.{name}"]
    command = [sys.executable, *started, "--port", "0", *arguments]
    process = Service(command, stderr=subprocess.PIPE)
    assert process.stderr
    port = None
    while port is None:
        port = re.search(rb"answers on port (\d+)", process.stderr.readline())
    threading.Thread(target=process.stderr.read, daemon=True).start()
    process.port = int(port[1])
    with grpc.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        grpc.channel_ready_future(channel).result(10)
        ready = time.perf_counter() - begin
        made = {"suggestion": rpc.SuggestionStub, "early_stopping": rpc.EarlyStoppingStub}
        yield process, made[name](channel), ready
    process.terminate()
    assert process.wait(20) == 0


def question(search: Any, trials: list[Any], count: int) -> Any:
    return pb.GetSuggestionsRequest(
        experiment=search,
        trials=trials,
        current_request_number=count,
        total_request_number=len(trials) + count,
    )


def timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def memory(process: subprocess.Popen[bytes]) -> float:
    """Returns its peak memory, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024 / 1e6


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Returns its processor seconds so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def figure(what: str, value: float, unit: str, limit: float) -> None:
    print(f"{what}: {value:.3g} {unit}, {value / limit:.2f} of the {limit:g} {unit} allowed", flush=True)


if __name__ == "__main__":
    main()
