"""Requests that are made to cost: each is refused in one line, and the next question is answered.

Sizes and nesting are those of protobuf's encoding (protobuf.dev/programming-guides/encoding), written by hand, since a
client library would not send them.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from katib.services import calls, early_stopping, suggestion
from katib.services.server import start
from katib.services.stubs import pb, rpc
from tests.katib.services.rig import Condition, channel, double, experiment, nested, trial

SUGGEST, VALIDATE = (f"/api.v1.beta1.Suggestion/{name}" for name in ("GetSuggestions", "ValidateAlgorithmSettings"))
RULES = "/api.v1.beta1.EarlyStopping/GetEarlyStoppingRules"
POINT = {"lr": "0.001", "grad_clip_norm": "5", "layers": "8", "norm": "gLN"}
INVALID, EXHAUSTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(scope="module")
def opened() -> Iterator[grpc.Channel]:
    """Yields a channel to both services on one port, which have nothing to ask themselves."""

    def register(server: Any) -> None:
        rpc.add_SuggestionServicer_to_server(suggestion.Suggestion(), server)
        rpc.add_EarlyStoppingServicer_to_server(early_stopping.EarlyStopping(None), server)

    server, port = start(0, suggestion.HEALTH, register, suggestion.HEAVY)
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as made:
        yield made
    server.stop(None)


@pytest.fixture(autouse=True)
def answers_afterwards(opened: grpc.Channel) -> Iterator[None]:
    """Whatever was sent, a small question is answered after it."""
    yield
    small = pb.ValidateAlgorithmSettingsRequest(experiment=experiment("small", "random"))
    rpc.SuggestionStub(opened).ValidateAlgorithmSettings(small, timeout=600)


def refused(call: Any, request: Any, **how: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=600, **how)
    line = caught.value.details() or ""
    assert "\n" not in line
    assert len(line) <= 1_000
    return caught.value.code(), line


MANY = 300_000
TOO_MANY = {
    "empty trials": (SUGGEST, b"\x12\x00" * MANY),
    "empty trials for the stop rules": (RULES, b"\x12\x00" * MANY),
    "empty assignments of one trial": (SUGGEST, nested(b"\x0a\x00" * MANY, 2, 2, 3)),
    "empty metrics of one trial": (SUGGEST, nested(b"\x0a\x00" * MANY, 2, 3, 4)),
    "empty labels of one trial": (SUGGEST, nested(b"\x22\x00" * MANY, 2, 2)),
    "empty parameters": (VALIDATE, nested(b"\x0a\x00" * MANY, 1, 2, 1)),
    "empty values of a parameter": (VALIDATE, nested(b"\x1a\x00" * MANY, 1, 2, 1, 1, 3)),
    "empty settings": (VALIDATE, nested(b"\x12\x00" * MANY, 1, 2, 3)),
    "sizes of a neural network": (VALIDATE, nested(b"\x10\x00" * MANY, 1, 2, 7, 1)),
    "trials with an empty status each": (SUGGEST, b"\x12\x02\x1a\x00" * (MANY // 2)),
    "unknown fields": (SUGGEST, b"\x78\x00" * MANY),
}


@pytest.mark.parametrize("what", TOO_MANY)
def test_hundreds_of_thousands_of_nothing_are_not_parsed(opened: grpc.Channel, what: str) -> None:
    """Protobuf would make 72 MB of the 2 MB that a message may have, and the early-stopping service has 128 MiB."""
    method, data = TOO_MANY[what]
    code, line = refused(opened.unary_unary(method), data)
    assert (code, "262144 fields" in line) == (EXHAUSTED, True)


@pytest.mark.parametrize("method", [SUGGEST, RULES])
def test_a_message_that_is_too_large_is_not_read(opened: grpc.Channel, method: str) -> None:
    """13 MB, 10^6 trials with a name each."""
    assert refused(opened.unary_unary(method), nested(b"12345678901", 2, 1) * 1_000_000)[0] == EXHAUSTED


def test_a_compressed_message_is_not_unpacked(opened: grpc.Channel) -> None:
    """16 MB of zeros in 16 KB."""
    code, _ = refused(opened.unary_unary(SUGGEST), b"\0" * (16 << 20), compression=grpc.Compression.Gzip)
    assert code in (INVALID, EXHAUSTED)


NO_MESSAGES = {
    "noise": os.urandom(100),
    "a number without end": b"\x28" + b"\xff" * 20,
    "a field longer than the message": b"\x12\x7f\x00",
    "a trial longer than the message, among many": b"\x12\x00" * 40_000 + b"\x12\x7f",
    "nested longer than its field, among many": b"\x78\x00" * 40_000 + b"\x12\x03\x12\x05\x00",
    "ends within a tag, among many": b"\x78\x00" * 40_000 + b"\xf8",
    "a group, among many": b"\x78\x00" * 40_000 + b"\x0b",
    "text that is no UTF-8": b"\x0a\x04\x0a\x02\xff\xfe",
    "a thousand levels": nested(b"", *[2] * 1_000),
}


@pytest.mark.parametrize("what", NO_MESSAGES)
@pytest.mark.parametrize("method", [SUGGEST, RULES])
def test_bytes_that_are_no_message_are_refused(opened: grpc.Channel, method: str, what: str) -> None:
    """Malformed ones, and those that only say nothing that can be served."""
    assert refused(opened.unary_unary(method), NO_MESSAGES[what])[0] == INVALID


def suggestions(search: Any, trials: list[Any], count: int = 1) -> Any:
    total = len(trials) + count
    return pb.GetSuggestionsRequest(
        experiment=search, trials=trials, current_request_number=count, total_request_number=total
    )


LONG = "9" * 10_000
TOO_LONG = {
    "a trial's value": suggestions(
        experiment(algorithm="random"), [trial("t", POINT | {"norm": LONG}, Condition.RUNNING)]
    ),
    "a trial's name": suggestions(experiment(algorithm="random"), [trial(LONG, POINT, Condition.RUNNING)]),
    "a trial's parameter": suggestions(
        experiment(algorithm="random"), [trial("t", POINT | {LONG: "1"}, Condition.RUNNING)]
    ),
    "a parameter's name": suggestions(experiment(parameters=[double(LONG, "0", "1")]), []),
    "a bound": suggestions(experiment(parameters=[double("lr", "0", LONG)]), []),
    "a value of a list": suggestions(
        experiment(
            parameters=[
                pb.ParameterSpec(
                    name="a", parameter_type=pb.CATEGORICAL, feasible_space=pb.FeasibleSpace(list=["b", LONG])
                )
            ]
        ),
        [],
    ),
    "a setting's name": suggestions(experiment(settings={LONG: "1"}), []),
    "a setting": suggestions(experiment(settings={"first_suggestions": LONG * 11}), []),
    "trials": suggestions(
        experiment(algorithm="random"),
        [trial(f"t{number}", POINT, Condition.RUNNING) for number in range(5_001)],
    ),
}


@pytest.mark.parametrize("what", TOO_LONG)
def test_what_is_longer_than_anything_of_katib_is_refused(opened: grpc.Channel, what: str) -> None:
    """10 000 characters where 1 000 are taken, 110 000 of a setting, 5 001 trials."""
    assert refused(rpc.SuggestionStub(opened).GetSuggestions, TOO_LONG[what])[0] == EXHAUSTED


UNREASONABLE = {
    "first suggestions 40 000 deep": ({"first_suggestions": "[" * 40_000}, 30),
    "first suggestions that nest mappings": ({"first_suggestions": '{"a":' * 15_000}, 30),
    "a number of 20 000 digits": ({"first_suggestions": f'[{{"lr": {LONG * 2}}}]'}, 30),
    "1 001 first suggestions": (
        {
            "first_suggestions": "["
            + ",".join(
                f'{{"lr": {0.0001 + i * 1e-6:.7f}, "grad_clip_norm": 2, "layers": 8, "norm": "BN"}}'
                for i in range(1_001)
            )
            + "]"
        },
        30,
    ),
    "21 earlier searches": ({"warm_start": ",".join(map(str, range(21)))}, 30),
    "more trials than can be answered for": ({}, 5_001),
    "as many as there are numbers": ({}, 2**31 - 1),
}


@pytest.mark.parametrize("what", UNREASONABLE)
def test_an_unreasonable_search_is_refused_before_it_begins(opened: grpc.Channel, what: str) -> None:
    """The status makes Katib fail the experiment; once it runs, Katib would ask for ever (suggestion_controller.go)."""
    settings, trials = UNREASONABLE[what]
    request = pb.ValidateAlgorithmSettingsRequest(experiment=experiment(settings=settings, max_trials=trials))
    assert refused(rpc.SuggestionStub(opened).ValidateAlgorithmSettings, request)[0] == INVALID


def test_calls_that_are_opened_and_send_nothing_hold_nobody_up(
    opened: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve of them, each of which a thread would wait for without end; every one is left in time."""
    monkeypatch.setattr(calls, "READ_SECONDS", 0.05)
    end = threading.Event()

    def nothing() -> Iterator[bytes]:
        end.wait(120)
        yield b""

    waiting = [cast(Any, opened).stream_unary(SUGGEST).future(nothing()) for _ in range(12)]
    assert {call.code() for call in waiting} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    end.set()


def test_calls_that_are_broken_off_leave_nothing_taken(opened: grpc.Channel) -> None:
    """Three hundred, each given up while it waits to be read or is read.

    Their caller is answered after them (the fixture).
    """
    end = threading.Event()

    def nothing() -> Iterator[bytes]:
        end.wait(120)
        yield b""

    for _ in range(10):
        waiting = [cast(Any, opened).stream_unary(SUGGEST).future(nothing(), timeout=600) for _ in range(30)]
        cast(Any, opened).unary_unary("/none/None").future(b"").exception()  # by now the server has seen them
        for call in waiting:
            call.cancel()
    end.set()


def test_a_call_without_a_request_is_refused(opened: grpc.Channel) -> None:
    """Closed before anything was sent."""
    assert refused(cast(Any, opened).stream_unary(SUGGEST), iter(())) == (INVALID, "there is no request")


def test_headers_beyond_measure_are_refused(opened: grpc.Channel) -> None:
    """1 MB; gRPC itself takes 16 KB."""
    code, _ = refused(opened.unary_unary(VALIDATE), b"", metadata=[("x", "y" * (1 << 20))])
    assert code == EXHAUSTED


@pytest.mark.parametrize("method", ["/api.v1.beta1.Suggestion/Exec", "/", "/../GetSuggestions", "/a/b/c"])
def test_a_method_that_there_is_not_is_refused(opened: grpc.Channel, method: str) -> None:
    assert refused(opened.unary_unary(method), b"")[0] == grpc.StatusCode.UNIMPLEMENTED


def test_nobody_watches_the_health(opened: grpc.Channel) -> None:
    """A stream without end for each who asks would be one more thing to fill memory with."""
    watched = health_pb2_grpc.HealthStub(opened).Watch(health_pb2.HealthCheckRequest(), timeout=600)
    with pytest.raises(grpc.RpcError) as caught:
        next(watched)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_flood_of_one_experiment_lets_anothers_question_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of forty questions that wait for an answer until the other has one, one runs, 32 wait and 7 are refused."""
    end = threading.Event()
    service = suggestion.Suggestion()
    answer = service.GetSuggestions

    def slow(request: Any, context: object) -> Any:
        if request.experiment.name == "flood":
            end.wait(120)
        return answer(request, context)

    monkeypatch.setattr(service, "GetSuggestions", slow)
    register = lambda to: rpc.add_SuggestionServicer_to_server(service, to)  # noqa: E731
    server, port = start(0, suggestion.HEALTH, register, suggestion.HEAVY)
    with channel(port) as opened, ThreadPoolExecutor(40) as pool:
        stub = rpc.SuggestionStub(opened)

        def ask() -> grpc.StatusCode:
            try:
                stub.GetSuggestions(suggestions(experiment("flood", "random"), []), timeout=600)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        flood = [pool.submit(ask) for _ in range(40)]
        other = suggestions(experiment("small", "random"), [])
        assert len(stub.GetSuggestions(other, timeout=600).parameter_assignments) == 1
        small = pb.ValidateAlgorithmSettingsRequest(experiment=other.experiment)
        assert stub.ValidateAlgorithmSettings(small, timeout=600) is not None
        while sum(call.done() for call in flood) < 7:
            threading.Event().wait(0.01)
        end.set()
        codes = [call.result() for call in flood]
    server.stop(None)
    assert sorted(map(str, codes)) == sorted(map(str, [grpc.StatusCode.OK] * 33 + [EXHAUSTED] * 7))
