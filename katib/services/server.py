"""Serves gRPC for the suggestion and the early-stopping service: bounded, with health checks, until SIGTERM."""

import argparse
import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from katib.services.calls import MESSAGE_BYTES, Calls
from katib.services.log import to_stderr
from katib.services.stubs import Message

GRACE_SECONDS = 5.0
"""Seconds for running calls to end after SIGTERM."""
SWITCH_SECONDS = 0.001
CONNECTIONS = 256
"""The connections at once, some 30 KB each. Katib's controller opens one per request, each trial's collector one."""
READERS = 6
"""The requests that are read at once by default."""
STREAMS = 100
"""The calls at once on one connection."""
OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    # The size of a compressed message is known only after it is decompressed; Katib compresses none.
    ("grpc.per_message_decompression", 0),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS),
    ("grpc.max_concurrent_streams", STREAMS),
    ("grpc.max_connection_idle_ms", 60_000),
    ("grpc.server_handshake_timeout_ms", 5_000),
    # Without the probe a call's window stays at 64 KB, so that no more is kept of a request that waits to be read.
    ("grpc.http2.bdp_probe", 0),
    # Two servers on one port would silently share the requests.
    ("grpc.so_reuseport", 0),
]

Register = Callable[[Calls], None]
log = logging.getLogger("sepsweep")


class Server:
    """Serves on an event loop in a thread of its own. Raises OSError where its port is not available."""

    def __init__(self, port: int, calls: Calls) -> None:
        self._calls = calls
        self._loop = asyncio.new_event_loop()
        self._begun: Future[int] = Future()
        self._end = asyncio.Event()
        self._grace: float | None = None
        self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self._thread.start()
        self.port = self._begun.result()

    def stop(self, grace: float | None) -> None:
        """Accepts no more calls and waits `grace` seconds for those that are being answered."""
        self._grace = grace
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self, port: int) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(port))
        finally:
            self._loop.close()

    async def _serve(self, port: int) -> None:
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((self._calls,))
        try:
            bound = server.add_insecure_port(f"0.0.0.0:{port}")
        except RuntimeError:
            bound = 0
        if not bound:
            self._begun.set_exception(OSError(f"port {port} is taken or not allowed; choose another with --port"))
            return
        await server.start()
        self._begun.set_result(bound)
        await self._end.wait()
        await server.stop(self._grace)


class _Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the generated class has no types
    """Answers Katib's probes. It offers no Watch, which would keep state for each caller."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def Check(self, request: Message, context: object) -> Message:  # noqa: N802
        """Returns SERVING for the names of this server: it serves as soon as it answers at all."""
        known = request.service in self._names
        states = health_pb2.HealthCheckResponse
        return states(status=states.SERVING if known else states.SERVICE_UNKNOWN)


def start(
    port: int, health_name: str, register: Register, heavy: Iterable[str] = (), readers: int = READERS
) -> tuple[Server, int]:
    """Returns a server that answers on all addresses, and its port (a free one where `port` is 0).

    `heavy` are the methods that compute. Raises OSError where the port is not available.
    """
    calls = Calls(heavy, readers)
    register(calls)
    health_pb2_grpc.add_HealthServicer_to_server(_Health("", health_name), calls)
    server = Server(port, calls)
    return server, server.port


def serve(
    name: str,
    port: int,
    health_name: str,
    register: Register,
    heavy: Iterable[str] = (),
    readers: int = READERS,
) -> int:
    """Serves until SIGTERM or Ctrl-C, finishes the running calls and returns an exit code."""
    # Threads that compute release the interpreter this often; every small request changes threads several times.
    sys.setswitchinterval(SWITCH_SECONDS)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    try:
        server, bound = start(port, health_name, register, heavy, readers)
    except OSError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    log.info("%s answers on port %d", name, bound)
    end.wait()
    server.stop(GRACE_SECONDS)
    return 0


def arguments(name: str, port: int) -> argparse.ArgumentParser:
    """Returns the parser of the options that both services have, and sets up the log."""
    to_stderr("%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(prog=f"python -m katib.services.{name}", allow_abbrev=False)
    parser.add_argument("--port", type=_port, default=port, help=f"Katib asks on {port}; 0 takes a free one")
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text} is not 0 to 65535")
    return int(text)
