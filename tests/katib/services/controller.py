"""Plays Katib's controllers and trials for any Experiment, against services that answer over gRPC."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import grpc

from katib.services.stubs import pb
from tests.katib.services.rig import Condition, DbManager, TrialServer, point

EPOCHS = 5
PARALLEL = 3
"""parallelTrialCount where a manifest has none (experiment_defaults.go)."""
MOST = 12
"""The trials that are run where maxTrialCount is missing."""
TYPES = {"double": pb.DOUBLE, "int": pb.INT, "discrete": pb.DISCRETE, "categorical": pb.CATEGORICAL}
DISTRIBUTIONS = {"uniform": pb.UNIFORM, "logUniform": pb.LOG_UNIFORM, "normal": pb.NORMAL, "logNormal": pb.LOG_NORMAL}
Manifest = Mapping[str, Any]


def message(manifest: Manifest) -> Any:
    """Returns an Experiment as Katib sends it (suggestionclient.go, ConvertExperiment), after its webhook's defaults."""
    spec, objective = manifest["spec"], manifest["spec"]["objective"]
    made = pb.ExperimentSpec(
        objective=pb.ObjectiveSpec(
            type=pb.MAXIMIZE if objective["type"] == "maximize" else pb.MINIMIZE,
            goal=objective.get("goal", 0.0),
            objective_metric_name=objective["objectiveMetricName"],
            additional_metric_names=objective.get("additionalMetricNames", []),
        ),
        algorithm=pb.AlgorithmSpec(
            algorithm_name=spec["algorithm"]["algorithmName"],
            algorithm_settings=[pb.AlgorithmSetting(**one) for one in spec["algorithm"].get("algorithmSettings", [])],
        ),
        parameter_specs=pb.ExperimentSpec.ParameterSpecs(parameters=map(_parameter, spec.get("parameters", []))),
        parallel_trial_count=spec.get("parallelTrialCount", PARALLEL),
        max_trial_count=spec.get("maxTrialCount", 0),
    )
    if rule := spec.get("earlyStopping"):
        made.early_stopping.algorithm_name = rule["algorithmName"]
        for one in rule.get("algorithmSettings", []):
            made.early_stopping.algorithm_settings.add(**one)
    return pb.Experiment(name=manifest["metadata"]["name"], spec=made)


def _parameter(parameter: Manifest) -> Any:
    space = dict(parameter["feasibleSpace"])
    space["distribution"] = DISTRIBUTIONS[space.get("distribution", "uniform")]
    return pb.ParameterSpec(
        name=parameter["name"],
        parameter_type=TYPES[parameter["parameterType"]],
        feasible_space=pb.FeasibleSpace(**space),
    )


def misfit(manifest: Manifest, assignments: Mapping[str, str]) -> str:
    """Returns what of a proposal is not in its space; empty where all of it is."""
    parameters = {one["name"]: one for one in manifest["spec"]["parameters"]}
    if assignments.keys() != parameters.keys():
        return f"other names: {sorted(assignments)}"
    return next((name for name, text in assignments.items() if not _fits(parameters[name], text)), "")


def _fits(parameter: Manifest, text: str) -> bool:
    space, kind = parameter["feasibleSpace"], parameter["parameterType"]
    if kind in ("discrete", "categorical"):
        return text in space["list"]
    value, low, high = Decimal(text), Decimal(space["min"]), Decimal(space["max"])
    step = Decimal(space.get("step", "1" if kind == "int" else "0"))
    whole = kind != "int" or "." not in text
    return low <= value <= high and whole and (not step or (value - low) % step == 0)


class Controller:
    """One experiment: its trials report an epoch at a time, ask as their collector does, and end; the third fails."""

    def __init__(self, manifest: Manifest, suggestion: Any, stopping: Any, cluster: TrialServer, db: DbManager) -> None:
        self.manifest, self.suggestion, self.stopping = manifest, suggestion, stopping
        self.cluster, self.db = cluster, db
        self.search = message(manifest)
        self.name = self.search.name
        self.metric = self.search.spec.objective.objective_metric_name
        self.sign = 1.0 if self.search.spec.objective.type == pb.MAXIMIZE else -1.0
        cluster.objects[f"experiments/{self.name}"] = dict(manifest)
        self.points: dict[str, dict[str, str]] = {}
        self.first: dict[str, str] = {}
        """The first trial of each trial's configuration, in whose folder it trains."""
        self.trained: dict[str, list[float]] = {}
        """The values in each such folder."""
        self.running: dict[str, int] = {}
        """The epochs that each running trial has reported."""
        self.ended: dict[str, int] = {}
        """The condition of each trial that has ended."""

    def validate(self) -> None:
        """Asks what Katib asks when an experiment begins."""
        self.suggestion.ValidateAlgorithmSettings(
            pb.ValidateAlgorithmSettingsRequest(experiment=self.search), timeout=600, wait_for_ready=True
        )
        if self.search.spec.HasField("early_stopping"):
            self.stopping.ValidateEarlyStoppingSettings(
                pb.ValidateEarlyStoppingSettingsRequest(early_stopping=self.search.spec.early_stopping),
                timeout=600,
                wait_for_ready=True,
            )

    def run(self, most: int = 0) -> None:
        """Runs to `most` trials, or to the experiment's own number."""
        spec = self.search.spec
        most = most or spec.max_trial_count or MOST
        while self.running or len(self.points) < most:
            free = min(spec.parallel_trial_count - len(self.running), most - len(self.points))
            if free > 0:
                self.ask(free)
            for name in list(self.running):
                self.train(name)

    def ask(self, count: int) -> None:
        """Asks for so many trials and begins them."""
        request = pb.GetSuggestionsRequest(
            experiment=self.search,
            trials=[self._trial(name) for name in self.points],
            current_request_number=count,
            total_request_number=len(self.points) + count,
        )
        if self.search.spec.HasField("early_stopping"):
            rules = pb.GetEarlyStoppingRulesRequest(experiment=self.search, trials=request.trials)
            assert self.stopping.GetEarlyStoppingRules(rules, timeout=600).early_stopping_rules
        try:
            reply = self.suggestion.GetSuggestions(request, timeout=600)
        except grpc.RpcError as error:
            # Under promote nothing may be left to begin until a running trial reports.
            assert "until a running trial reports" in str(error.details())  # noqa: PT017
            assert self.running
            return
        assert len(reply.parameter_assignments) == count
        for item in reply.parameter_assignments:
            self._begin(item)

    def _begin(self, item: Any) -> None:
        name = item.trial_name or f"{self.name}-{len(self.points):08}"
        assert name not in self.points
        self.points[name] = point(item)
        self.first[name] = item.labels.get("sepsweep/continues", "") or name
        self.trained.setdefault(self.first[name], [])
        tree = self.cluster.add_trial(name, self.name, "Running")
        tree["metadata"]["labels"] |= dict(item.labels)
        tree["spec"] = {"parameterAssignments": [{"name": k, "value": v} for k, v in point(item).items()]}
        self.cluster.objects[f"jobs/{name}"] = {"status": {}}
        self.running[name] = 0

    def train(self, name: str) -> None:
        """Lets a trial train an epoch, or report what was trained before it."""
        trained = self.trained[self.first[name]]
        if name in list(self.points)[2:3]:
            return self._end(name, "Failed")
        if self.running[name] == len(trained) < EPOCHS:
            trained.append(self.sign * self._quality(name) * (len(trained) + 1))
        self.running[name] = len(trained)
        self.db.put(name, trained, self.metric)
        if self.search.spec.HasField("early_stopping") and self._stops(name, trained):
            self.stopping.SetTrialStatus(pb.SetTrialStatusRequest(trial_name=name), timeout=600)
            return self._end(name, "")
        return self._end(name, "Succeeded") if len(trained) == EPOCHS else None

    def _stops(self, name: str, trained: list[float]) -> bool:
        """Asks as a collector does after an epoch, and compares as it does."""
        objective = pb.ObjectiveSpec(type=self.search.spec.objective.type, objective_metric_name=self.metric)
        question = pb.GetEarlyStoppingRulesRequest(
            experiment=pb.Experiment(spec=pb.ExperimentSpec(objective=objective)), trials=[pb.Trial(name=name)]
        )
        rules = self.stopping.GetEarlyStoppingRules(question, timeout=600).early_stopping_rules
        best = max(trained) if self.sign > 0 else min(trained)
        return any(
            rule.start_step == len(trained)
            and (best < float(rule.value) if rule.comparison == pb.LESS else best > float(rule.value))
            for rule in rules
        )

    def _quality(self, name: str) -> float:
        """Returns the mean over the parameters of how far each value stands in its range or list."""
        shares: list[float] = []
        for parameter in self.manifest["spec"]["parameters"]:
            space, text = parameter["feasibleSpace"], self.points[name][parameter["name"]]
            if "list" in space:
                shares.append(space["list"].index(text) / len(space["list"]))
            else:
                low, high = float(space["min"]), float(space["max"])
                shares.append((float(text) - low) / (high - low))
        return sum(shares) / len(shares)

    def _end(self, name: str, condition: str) -> None:
        """Ends a trial and its Job; without a `condition`, the service has marked it."""
        del self.running[name]
        conditions = self.cluster.objects[f"trials/{name}"]["status"]["conditions"]
        if condition:
            conditions.append({"type": condition, "status": "True"})
        self.ended[name] = Condition.Value(conditions[-1]["type"].upper())
        self.cluster.objects[f"jobs/{name}"]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    def _trial(self, name: str) -> Any:
        """Returns a trial as ConvertTrials sends it."""
        made = pb.Trial(name=name)
        for key, value in self.points[name].items():
            made.spec.parameter_assignments.assignments.add(name=key, value=value)
        made.status.condition = self.ended.get(name, Condition.Value("RUNNING"))
        trained = self.trained[self.first[name]]
        if name in self.ended and trained:
            best = max(trained) if self.sign > 0 else min(trained)
            made.status.observation.metrics.add(name=self.metric, value=str(best))
        return made
