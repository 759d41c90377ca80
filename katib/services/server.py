"""What the two gRPC services share: the server, its health, its end on SIGTERM, and what becomes of an error.

A request that cannot be served is answered with INVALID_ARGUMENT and one line. In a Validate call that makes Katib fail the
experiment with this line (suggestion_controller.go); in the others it becomes an event of the Suggestion. UNKNOWN, for what
is a mistake here, does the same, where Katib takes INTERNAL for consent. UNAVAILABLE is for what another service refused.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from katib.errors import SepsweepError
from katib.services.observations import AWAY, reason

MESSAGE_BYTES = 64 << 20
"""A request with 5 000 trials has 2 MB; gRPC takes 4 MB where nothing is said."""
THREADS = 16
GRACE_SECONDS = 5.0
LONGEST_MESSAGE = 1_000
"""Characters: gRPC sends an error's text as a header, and a header of more than 8 KB is refused."""

Handler = Callable[[Any, Any, Any], Any]
log = logging.getLogger("sepsweep")


def one_line_errors(handler: Handler) -> Handler:
    """Whatever a handler raises becomes a status with one line; the process goes on."""

    @wraps(handler)
    def handle(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return handler(self, request, context)
        except SepsweepError as error:
            bad_input = error.exit_code == SepsweepError.exit_code
            status = grpc.StatusCode.INVALID_ARGUMENT if bad_input else grpc.StatusCode.UNAVAILABLE
            line = str(error)
        except AWAY as error:
            status, line = grpc.StatusCode.UNAVAILABLE, f"the DB manager does not answer: {reason(error)}"
        except Exception as error:
            log.exception("%s failed", handler.__name__)
            status, line = grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}"
        line = " ".join(line.split())[:LONGEST_MESSAGE]
        log.warning("%s: %s", handler.__name__, line)
        return context.abort(status, line)

    return handle


def start(port: int, health_name: str, register: Callable[[grpc.Server], None]) -> tuple[grpc.Server, int]:
    """A server that answers on all addresses, and its port (a free one where `port` is 0). Raises OSError."""
    options = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        # Two servers on one port would share the requests in silence.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.server(ThreadPoolExecutor(THREADS), options=options)
    register(server)
    health_servicer = health.HealthServicer()
    for name in ("", health_name):
        health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    try:
        bound = server.add_insecure_port(f"0.0.0.0:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise OSError(f"port {port} is taken or not allowed; choose another with --port")
    server.start()
    return server, bound


def serve(name: str, port: int, health_name: str, register: Callable[[grpc.Server], None]) -> int:
    """Answers until SIGTERM or Ctrl-C; what is being answered is finished first. An exit code."""
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    try:
        server, bound = start(port, health_name, register)
    except OSError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    log.info("%s answers on port %d", name, bound)
    end.wait()
    server.stop(GRACE_SECONDS).wait()
    return 0


def arguments(name: str, port: int) -> argparse.ArgumentParser:
    """The command line that both services have."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(prog=f"python -m katib.services.{name}", allow_abbrev=False)
    parser.add_argument("--port", type=_port, default=port, help=f"Katib asks on {port}; 0 takes a free one")
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text} is not 0 to 65535")
    return int(text)
