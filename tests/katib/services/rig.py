"""The services' surroundings: a DB manager that keeps rows, an API server with trials, and the controller's requests.

The services themselves are real, and so are gRPC, HTTP, the wrapper's shell and the trainers' processes.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import grpc

from katib.services.kubernetes_api import KubernetesApi
from katib.services.objects import TRIAL_LABEL
from katib.services.stubs import pb, rpc

METRIC = "val_si_snr"
START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
Condition = pb.TrialStatus.TrialConditionType


def stamp(step: int) -> str:
    """Returns the time that a trainer prints at a step, from 1."""
    return (START + timedelta(minutes=step)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class DbManager(rpc.DBManagerServicer):  # type: ignore[misc, name-defined]
    """Keeps rows as Katib's does: it adds what it is sent and returns it by time, without zeros at a fraction's end."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self.rows: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        self.asked = 0
        self.lose_answers = 0
        """So many reports are kept, and answered with an error."""
        self.arrived = threading.Condition()
        self._server: grpc.Server | None = None
        self.port = 0
        self.back()

    @property
    def address(self) -> str:
        return f"{self._host}:{self.port}"

    def back(self) -> None:
        server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        rpc.add_DBManagerServicer_to_server(self, server)
        self.port = server.add_insecure_port(self.address)
        server.start()
        self._server = server

    def away(self) -> None:
        if self._server:
            self._server.stop(None).wait()
        self._server = None

    def put(self, trial: str, values: Sequence[float | str], metric: str = METRIC) -> None:
        """What a trial has reported, one value a step."""
        self.rows[trial] = [(stamp(step), metric, str(value)) for step, value in enumerate(values, 1)]

    def values(self, trial: str, metric: str = METRIC) -> list[str]:
        with self.arrived:
            return [value for _, name, value in sorted(self.rows[trial]) if name == metric]

    def wait_for(self, trial: str, rows: int, seconds: float = 30) -> None:
        """Until a trial has reported so many rows."""
        with self.arrived:
            came = self.arrived.wait_for(lambda: len(self.rows[trial]) >= rows, seconds)
            assert came, f"{len(self.rows[trial])} of {rows} rows; the last: {self.rows[trial][-3:]}"

    def ReportObservationLog(self, request: Any, context: grpc.ServicerContext) -> Any:
        assert request.observation_log.metric_logs
        with self.arrived:
            for log in request.observation_log.metric_logs:
                self.rows[request.trial_name].append((log.time_stamp, log.metric.name, log.metric.value))
            self.arrived.notify_all()
            if self.lose_answers:
                self.lose_answers -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "broken off")
        return pb.ReportObservationLogReply()

    def GetObservationLog(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self.arrived:
            self.asked += 1
            self.arrived.notify_all()
            found = [
                row
                for row in self.rows[request.trial_name]
                if request.metric_name in ("", row[1])
                and row[0] >= request.start_time
                and row[0] <= (request.end_time or "9")
            ]
        logs = [
            pb.MetricLog(time_stamp=_go(time), metric=pb.Metric(name=name, value=value))
            for time, name, value in sorted(found)
        ]
        return pb.GetObservationLogReply(observation_log=pb.ObservationLog(metric_logs=logs))


def _go(time: str) -> str:
    whole, dot, fraction = time.removesuffix("Z").partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}{dot if fraction else ''}{fraction}Z"


class TrialServer:
    """Trials and experiments of one namespace, by the API server's own paths; a patch is RFC 6902's add and test."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.write_before_patch = 0
        """So many patches find that the controller has written in between."""
        self.refuse_patches = 0
        self.forbid_lists = False
        self.forbid_jobs = False
        self.pods: list[dict[str, Any]] = []
        self.workloads: dict[str, list[dict[str, Any]]] = {}
        """Kueue's Workloads by the version of its types that the cluster has."""
        self.pod_events: list[dict[str, Any]] = []
        """What a watch of pods tells before the server ends it."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        self.api = KubernetesApi(f"http://127.0.0.1:{self._http.server_port}", "sweeps")

    def add_trial(self, name: str, experiment: str, *conditions: str) -> dict[str, Any]:
        listed = [{"type": kind, "status": "True"} for kind in conditions]
        trial: dict[str, Any] = {
            "metadata": {
                "name": name,
                "resourceVersion": "1",
                "labels": {"katib.kubeflow.org/experiment": experiment},
            },
            "status": {"conditions": listed} if listed else {},
        }
        self.objects[f"trials/{name}"] = trial
        return trial

    def add_experiment(self, name: str, settings: Mapping[str, str], rule: str = "medianstop") -> None:
        listed = [{"name": key, "value": value} for key, value in settings.items()]
        self.objects[f"experiments/{name}"] = {
            "metadata": {"name": name},
            "spec": {
                "objective": {"type": "maximize", "objectiveMetricName": METRIC},
                "earlyStopping": {"algorithmName": rule, "algorithmSettings": listed},
            },
        }

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self._path().partition("?")
                server.requests.append(f"GET {path}")
                if path == "/api/v1/namespaces/sweeps/pods" and "watch=true" in query:
                    self._answer(200, *server.pod_events)
                elif path == "/api/v1/namespaces/sweeps/pods":
                    one = parse_qs(query)["labelSelector"][0].partition("katib.kubeflow.org/trial=")[2]
                    pods = [pod for pod in server.pods if one in ("", pod["metadata"]["labels"][TRIAL_LABEL])]
                    self._answer(200, {"items": pods, "metadata": {"resourceVersion": "1"}})
                elif (version := self._workloads(path)) in server.workloads:
                    self._answer(200, {"items": server.workloads[version]})
                elif path.startswith("jobs/") and server.forbid_jobs:
                    self._answer(403, {"message": "jobs is forbidden"})
                elif path == "trials" and server.forbid_lists:
                    self._answer(403, {"message": "trials is forbidden"})
                elif path == "trials":
                    asked = {key: values[0] for key, values in parse_qs(query).items()}
                    label, _, experiment = asked["labelSelector"].partition("=")
                    trials = [
                        item
                        for key, item in server.objects.items()
                        if key.startswith("trials/") and item["metadata"]["labels"][label] == experiment
                    ]
                    begin, size = int(asked.get("continue", 0)), int(asked["limit"])
                    more = str(begin + size) if begin + size < len(trials) else ""
                    page = {"items": trials[begin : begin + size], "metadata": {"continue": more}}
                    self._answer(200, page)
                elif path in server.objects:
                    self._answer(200, server.objects[path])
                else:
                    self._answer(404, {"message": f"{path} not found"})

            def do_PATCH(self) -> None:
                path = self._path()
                server.requests.append(f"PATCH {path}")
                assert self.headers["Content-Type"] == "application/json-patch+json"
                operations = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if server.refuse_patches:
                    server.refuse_patches -= 1
                    self._answer(503, {"message": "overloaded"})
                    return
                if version := self._workloads(path.rpartition("/")[0]):
                    named = {item["metadata"]["name"]: item for item in server.workloads[version]}
                    self._annotate(named[path.rpartition("/")[2]], operations)
                    return
                trial = server.objects[path.removesuffix("/status")]
                if server.write_before_patch:
                    server.write_before_patch -= 1
                    trial["metadata"]["resourceVersion"] += "0"
                version = trial["metadata"]["resourceVersion"]
                for operation in operations:
                    if operation["op"] == "test":
                        assert operation["path"] == "/metadata/resourceVersion"
                        if operation["value"] != version:
                            self._answer(422, {"message": "test failed"})
                            return
                    elif operation["path"] == "/status/conditions/-":
                        trial["status"]["conditions"].append(operation["value"])
                    elif operation["path"].endswith("/message"):
                        index = int(operation["path"].split("/")[3])
                        trial["status"]["conditions"][index]["message"] = operation["value"]
                    else:
                        assert operation["path"] == "/status"
                        trial["status"] = operation["value"]
                self._answer(200, trial)

            def _workloads(self, path: str) -> str:
                """Returns the version of Kueue's types in the path of the Workloads; empty for another path."""
                before, _, after = path.partition("/namespaces/sweeps/")
                return before.removeprefix("/apis/kueue.x-k8s.io/") if after == "workloads" else ""

            def _annotate(self, item: dict[str, Any], operations: list[dict[str, Any]]) -> None:
                test, add = operations
                assert test["value"] == item["metadata"]["resourceVersion"]
                key = add["path"].removeprefix("/metadata/annotations").removeprefix("/").replace("~1", "/")
                # The API server adds to a map that is there only.
                assert bool(key) == ("annotations" in item["metadata"])
                item["metadata"].setdefault("annotations", {}).update({key: add["value"]} if key else add["value"])
                self._answer(200, item)

            def _path(self) -> str:
                path = self.path.removeprefix("/apis/kubeflow.org/v1beta1/namespaces/sweeps/")
                return path.removeprefix("/apis/batch/v1/namespaces/sweeps/")

            def _answer(self, code: int, *bodies: object) -> None:
                data = "\n".join(map(json.dumps, bodies)).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def double(name: str, low: str, high: str, distribution: int = pb.UNIFORM, step: str = "") -> Any:
    space = pb.FeasibleSpace(min=low, max=high, distribution=distribution, step=step)
    return pb.ParameterSpec(name=name, parameter_type=pb.DOUBLE, feasible_space=space)


SPACE = (
    double("lr", "0.0001", "0.01", pb.LOG_UNIFORM),
    double("grad_clip_norm", "1", "10"),
    pb.ParameterSpec(name="layers", parameter_type=pb.INT, feasible_space=pb.FeasibleSpace(min="2", max="64")),
    pb.ParameterSpec(
        name="norm", parameter_type=pb.CATEGORICAL, feasible_space=pb.FeasibleSpace(list=["gLN", "cLN", "BN"])
    ),
)


def experiment(
    name: str = "series3-sepformer",
    algorithm: str = "bayesianoptimization",
    settings: Mapping[str, str] | None = None,
    parameters: Sequence[Any] = SPACE,
    stopping: Mapping[str, str] | None = None,
    max_trials: int = 30,
    rule: str = "medianstop",
) -> Any:
    """Returns an Experiment as ConvertExperiment of Katib's controller sends it."""
    spec = pb.ExperimentSpec(
        parameter_specs=pb.ExperimentSpec.ParameterSpecs(parameters=parameters),
        objective=pb.ObjectiveSpec(type=pb.MAXIMIZE, objective_metric_name=METRIC),
        algorithm=pb.AlgorithmSpec(
            algorithm_name=algorithm,
            algorithm_settings=[pb.AlgorithmSetting(name=k, value=v) for k, v in (settings or {}).items()],
        ),
        parallel_trial_count=2,
        max_trial_count=max_trials,
    )
    if stopping is not None:
        spec.early_stopping.algorithm_name = rule
        for key, value in stopping.items():
            spec.early_stopping.algorithm_settings.add(name=key, value=value)
    return pb.Experiment(name=name, spec=spec)


def trial(
    name: str,
    assignments: Mapping[str, str] | Any,
    condition: int,
    value: float | str | None = None,
) -> Any:
    """Returns a Trial as ConvertTrials sends it."""
    listed = (
        [pb.ParameterAssignment(name=k, value=v) for k, v in assignments.items()]
        if isinstance(assignments, Mapping)
        else assignments.assignments
    )
    found = pb.Trial(name=name)
    found.spec.parameter_assignments.assignments.extend(listed)
    found.status.condition = condition
    if value is not None:
        found.status.observation.metrics.add(name=METRIC, value=str(value))
    return found


def point(reply: Any) -> dict[str, str]:
    return {item.name: item.value for item in reply.assignments}


@contextmanager
def channel(port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened


def nested(inner: bytes, *numbers: int) -> bytes:
    """Returns a message with `inner` in the field of the last number, that in one of the number before, and so on."""
    for number in reversed(numbers):
        size, length = len(inner), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        inner = bytes([number << 3 | 2]) + length + bytes([size]) + inner
    return inner
