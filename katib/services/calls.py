"""Handles a gRPC call within bounds of memory and time: reads it, waits for its turn, parses and answers it.

Handlers are plain methods that run in threads, a few at a time. Small requests have threads of their own, so that they
do not wait for proposals, which take seconds. A caller that opens a call and sends nothing holds no thread, and is
dropped after READ_SECONDS.

A request that cannot be served is answered with INVALID_ARGUMENT and one line. In a Validate call that line becomes the
reason for which Katib fails the experiment (suggestion_controller.go); in other calls it becomes an event of the
Suggestion. UNKNOWN, for a bug in this service, has the same effect; Katib takes INTERNAL for consent. UNAVAILABLE
stands for what another service refused, RESOURCE_EXHAUSTED for too large a request; after both, Katib asks again.
"""

import asyncio
import logging
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from katib.errors import SepsweepError
from katib.services.observations import AWAY, reason
from katib.services.stubs import Message
from katib.services.turns import TooMuchError, Turns
from katib.services.wire import FEW_BYTES, MOST_FIELDS, WireError, first_text, too_many_fields

MESSAGE_BYTES = 2 << 20
"""The largest request. One with 5 000 trials has 0.7 MB; Katib keeps all proposals of an experiment in one object, and
Kubernetes stores none of more than 1.5 MB, so a real request is smaller."""
READ_SECONDS = 2.0
"""Seconds for a request to arrive whole."""
LONGEST_MESSAGE = 1_000
"""The characters of an error: gRPC sends it as a header, and a header of more than 8 KB is refused."""

_counting = threading.Lock()
"""Held while a large message is counted, a tenth of a second: several at once would keep the interpreter from small
requests."""
Status = tuple[grpc.StatusCode, str]
Method: TypeAlias = Any
"""A method of generated code, with its parser, its handler and its serializer."""
Context: TypeAlias = Any
"""The context of a call: gRPC's type of it asks for the types of messages, which have none."""
log = logging.getLogger("sepsweep")


class UndecidedError(SepsweepError):
    """The caller requests what may be done only after a decision that was not made."""


@dataclass
class Lane:
    """The threads for one kind of call, and the turns at them."""

    turns: Turns
    threads: ThreadPoolExecutor

    @classmethod
    def of(cls, threads: int, of_caller: int) -> "Lane":
        """Returns a lane that answers `threads` calls at once, of which one caller may have `of_caller`."""
        return cls(Turns(threads, of_caller), ThreadPoolExecutor(threads))


class Calls(grpc.GenericRpcHandler):
    """Answers the methods that were registered.

    `heavy` are the names of the methods that compute, whatever the size of a request; `readers` is how many requests
    are read at once, of at most MESSAGE_BYTES each.
    """

    def __init__(self, heavy: Iterable[str], readers: int) -> None:
        self._methods: list[grpc.GenericRpcHandler] = []
        self._heavy = frozenset(heavy)
        self._reading = Turns(readers, readers * 2 // 3, of_experiment=readers * 2 // 3)
        self._small, self._large = Lane.of(8, 6), Lane.of(3, 2)

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Adds the methods of a generated service."""
        self._methods += handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Method]) -> None:
        """Does nothing: these are the same methods by name, which newer generated code passes as well."""

    def service(self, details: grpc.HandlerCallDetails) -> Method | None:
        """Returns the handler of a call, which reads the request's bytes itself: gRPC waits for them without limit."""
        methods = (handlers.service(details) for handlers in self._methods)
        method = next(filter(None, methods), None)
        if method is None or method.unary_unary is None:
            return None

        async def handle(_: object, context: Context) -> bytes:
            try:
                return await self._answer(details.method, method, context)
            except TooMuchError as error:
                status = grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
            except TimeoutError:
                line = f"the request has not arrived within {READ_SECONDS:g} s"
                status = grpc.StatusCode.DEADLINE_EXCEEDED, line
            await self._refuse(context, status)
            return b""

        return grpc.stream_unary_rpc_method_handler(handle)

    async def _answer(self, name: str, method: Method, context: Context) -> bytes:
        caller = _host(context.peer())
        key = await self._reading.take(caller)
        try:
            data = await asyncio.wait_for(context.read(), READ_SECONDS)
        finally:
            self._reading.give(key)
        if data is grpc.aio.EOF:
            await self._refuse(context, (grpc.StatusCode.INVALID_ARGUMENT, "there is no request"))
        short = name.rpartition("/")[2]
        lane = self._large if len(data) > FEW_BYTES or short in self._heavy else self._small
        # In every message of Katib the experiment, where there is one, comes first, and its name is its first field.
        key = await lane.turns.take(caller, first_text(data, 1, 1), len(data))
        done = asyncio.get_running_loop().run_in_executor(lane.threads, _work, short, method, data)
        # A thread continues when its caller leaves, so the turn is taken for as long as it runs.
        done.add_done_callback(lambda _: lane.turns.give(key))
        del data
        answer = await asyncio.shield(done)
        if isinstance(answer, bytes):
            return answer
        await self._refuse(context, answer)
        return b""

    @staticmethod
    async def _refuse(context: Context, status: Status) -> None:
        """Ends the call with an error; never returns, because `abort` raises."""
        code, line = status
        await context.abort(code, " ".join(line.split())[:LONGEST_MESSAGE])


def _work(name: str, method: Method, data: bytes) -> bytes | Status:
    """Returns the answer, or the error instead; the process continues whatever a handler raises."""
    try:
        answer: bytes = method.response_serializer(method.unary_unary(_parsed(method, data), None))
    except Exception as error:
        code, line = _status(error)
        if code is grpc.StatusCode.UNKNOWN:
            log.exception("%s failed", name)
        log.warning("%s: %s", name, " ".join(line.split())[:LONGEST_MESSAGE])
        return code, line
    return answer


def _parsed(method: Method, data: bytes) -> Message:
    parse = method.request_deserializer
    with _counting if len(data) > FEW_BYTES else nullcontext():
        many = too_many_fields(data, parse.__self__.DESCRIPTOR)
    if many:
        raise TooMuchError(f"the request has more than {MOST_FIELDS} fields, as no search of Katib has")
    return parse(data)


def _status(error: Exception) -> Status:
    line = str(error)
    match error:
        case TooMuchError():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, line
        case MemoryError():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, "the request needs more memory than there is"
        case UndecidedError():
            return grpc.StatusCode.FAILED_PRECONDITION, line
        case SepsweepError():
            bad = error.exit_code == SepsweepError.exit_code
            return grpc.StatusCode.INVALID_ARGUMENT if bad else grpc.StatusCode.UNAVAILABLE, line
        case DecodeError() | WireError():
            return grpc.StatusCode.INVALID_ARGUMENT, f"the request is no message of Katib: {line}"
        case RecursionError():
            return grpc.StatusCode.INVALID_ARGUMENT, "the request is nested too deep"
        case AWAY():
            return grpc.StatusCode.UNAVAILABLE, f"the DB manager does not answer: {reason(error)}"
    return grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {line}"


def _host(peer: str) -> str:
    """Returns the address of a caller without its port, such as `ipv4:10.0.0.7`."""
    return peer.rpartition(":")[0]
