"""Senseless requests: each gets an answer or INVALID_ARGUMENT with one line, and the next one is answered too."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from katib.services import early_stopping, suggestion
from katib.services.server import start
from katib.services.stubs import pb, rpc
from tests.katib.services.rig import METRIC, SPACE, Condition, channel, experiment, point, trial

TEXT = st.text(max_size=12) | st.sampled_from(
    [
        "",
        "0",
        "1",
        "2",
        "-1",
        "1e-4",
        "1e400",
        "1e-400",
        "nan",
        "inf",
        "-inf",
        "1_0",
        "٣",
        "0x10",
        "\x00",
        "sNaN",
    ]
)
NAME = st.sampled_from(["lr", "a", "", "b;c"]) | st.text(max_size=5)
MANY: dict[str, Any] = {"max_examples": 150, "deadline": None, "suppress_health_check": list(HealthCheck)}

feasible = st.builds(
    pb.FeasibleSpace,
    min=TEXT,
    max=TEXT,
    step=TEXT,
    list=st.lists(TEXT, max_size=4),
    distribution=st.integers(0, 6),
)
parameter = st.builds(
    pb.ParameterSpec, name=NAME, parameter_type=st.integers(0, 6), feasible_space=feasible
) | st.sampled_from(SPACE)
SETTINGS = """random_state n_initial_points acq_func n_startup_trials n_ei_candidates n_EI_candidates gamma
    first_suggestions warm_start prior looks start_step min_trials_required eta rungs"""
setting_names = st.sampled_from(SETTINGS.split())
values = (
    TEXT
    | st.integers().map(str)
    | st.sampled_from(
        [
            "[{}]",
            '[{"lr": 0.001}]',
            '[{"assignments": {"lr": "0.001"}, "trial": "a"}]',
            "[",
            "[[]]",
            "[1]",
            "once",
            "1,2",
            "9" * 5000,
        ]
    )
)
algorithm_names = st.sampled_from(
    ["bayesianoptimization", "tpe", "multivariate-tpe", "random", "grid", "sobol", "cmaes", "", "Random"]
)
objective = st.builds(
    pb.ObjectiveSpec,
    type=st.integers(0, 3),
    objective_metric_name=st.sampled_from([METRIC, METRIC, METRIC, ""]),
)
spec = st.builds(
    pb.ExperimentSpec,
    parameter_specs=st.builds(
        pb.ExperimentSpec.ParameterSpecs, parameters=st.lists(parameter, max_size=4) | st.just(SPACE)
    ),
    objective=objective | st.just(pb.ObjectiveSpec(type=pb.MAXIMIZE, objective_metric_name=METRIC)),
    algorithm=st.builds(
        pb.AlgorithmSpec,
        algorithm_name=algorithm_names,
        algorithm_settings=st.lists(st.builds(pb.AlgorithmSetting, name=setting_names, value=values), max_size=2),
    ),
    parallel_trial_count=st.integers(-(2**31), 2**31 - 1),
    max_trial_count=st.integers(-1, 40),
)
search = st.builds(pb.Experiment, name=st.sampled_from(["", "a", "b"]), spec=spec)
metric = st.builds(pb.Metric, name=st.sampled_from([METRIC, "other"]), value=TEXT | st.floats().map(str))
any_trial = st.builds(
    pb.Trial,
    name=NAME,
    spec=st.builds(
        pb.TrialSpec,
        parameter_assignments=st.builds(
            pb.TrialSpec.ParameterAssignments,
            assignments=st.lists(st.builds(pb.ParameterAssignment, name=NAME, value=TEXT), max_size=4)
            | st.builds(
                lambda texts: [
                    pb.ParameterAssignment(name=axis.name, value=text) for axis, text in zip(SPACE, texts, strict=True)
                ],
                st.tuples(TEXT, TEXT, TEXT, TEXT),
            ),
        ),
    ),
    status=st.builds(
        pb.TrialStatus,
        condition=st.integers(0, 9),
        observation=st.builds(pb.Observation, metrics=st.lists(metric, max_size=3)),
    ),
)


@pytest.fixture(scope="module")
def suggesting() -> Iterator[Any]:
    service = suggestion.Suggestion()
    server, port = start(0, suggestion.HEALTH, lambda to: rpc.add_SuggestionServicer_to_server(service, to))
    with channel(port) as opened:
        yield rpc.SuggestionStub(opened)
    server.stop(None)


@pytest.fixture(scope="module")
def stopping() -> Iterator[Any]:
    service = early_stopping.EarlyStopping(None)
    register = lambda to: rpc.add_EarlyStoppingServicer_to_server(service, to)  # noqa: E731
    server, port = start(0, early_stopping.HEALTH, register)
    with channel(port) as opened:
        yield rpc.EarlyStoppingStub(opened)
    server.stop(None)


def answered(call: Any, request: Any) -> Any:
    """Returns the reply; None where the request was refused in the one way that is right."""
    try:
        return call(request, timeout=30)
    except grpc.RpcError as refused:
        error = refused
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error.details()
    assert error.details()
    assert "\n" not in (error.details() or "")
    return None


@settings(**MANY)
@given(search, st.lists(any_trial, max_size=5), st.integers(-1, 3), st.integers(-1, 5))
def test_any_question_for_suggestions(suggesting: Any, asked: Any, trials: list[Any], count: int, total: int) -> None:
    """What is answered has the count that was asked for, and names every parameter once."""
    request = pb.GetSuggestionsRequest(
        experiment=asked, trials=trials, current_request_number=count, total_request_number=total
    )
    reply = answered(suggesting.GetSuggestions, request)
    if reply is not None:
        assert len(reply.parameter_assignments) == count
        names = {axis.name for axis in asked.spec.parameter_specs.parameters}
        assert all(point(item).keys() == names for item in reply.parameter_assignments)


@settings(**MANY)
@given(search)
def test_any_search_to_be_validated(suggesting: Any, asked: Any) -> None:
    """One that is taken is one for which the first question is answered: what Katib asks after it, it asks for ever."""
    request = pb.ValidateAlgorithmSettingsRequest(experiment=asked)
    if answered(suggesting.ValidateAlgorithmSettings, request) is not None:
        first = pb.GetSuggestionsRequest(experiment=asked, current_request_number=1, total_request_number=1)
        assert answered(suggesting.GetSuggestions, first) is not None


@settings(**MANY)
@given(search, st.lists(any_trial, max_size=3), TEXT | st.just("127.0.0.1:1"))
def test_any_question_for_stop_rules(stopping: Any, asked: Any, trials: list[Any], address: str) -> None:
    """From the controller and from a collector, with or without settings."""
    for name in ("", "medianstop", "successivehalving"):
        if name:
            asked.spec.early_stopping.algorithm_name = name
            for item in asked.spec.algorithm.algorithm_settings:
                asked.spec.early_stopping.algorithm_settings.add(name=item.name, value=item.value)
            answered(
                stopping.ValidateEarlyStoppingSettings,
                pb.ValidateEarlyStoppingSettingsRequest(early_stopping=asked.spec.early_stopping),
            )
        request = pb.GetEarlyStoppingRulesRequest(
            experiment=asked, trials=trials, db_manager_address="" if "127" in address else address
        )
        answered(stopping.GetEarlyStoppingRules, request)


def test_five_thousand_trials_in_one_question(suggesting: Any, stopping: Any) -> None:
    """More than Katib's controller is known to hold; 2 MB."""
    asked = experiment(algorithm="random", stopping={})
    chosen = {"lr": "0.001", "grad_clip_norm": "5", "layers": "8", "norm": "gLN"}
    trials = [
        trial(f"a-{index:08}", {**chosen, "lr": str(0.001 + index * 1e-6)}, Condition.SUCCEEDED, index)
        for index in range(5000)
    ]
    request = pb.GetSuggestionsRequest(
        experiment=asked, trials=trials, current_request_number=3, total_request_number=5003
    )
    assert len(answered(suggesting.GetSuggestions, request).parameter_assignments) == 3
    rules = pb.GetEarlyStoppingRulesRequest(experiment=asked, trials=trials)
    assert len(answered(stopping.GetEarlyStoppingRules, rules).early_stopping_rules) == 1
