"""Speaks with the program in a pod beside a claim, and brings files from there.

A `Channel` is a process whose standard input and output lead to katib/backend/cluster/pod_side.py in the pod.
"""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from katib.backend.cluster import pod_side
from katib.errors import ClusterError
from katib.untrusted import clean, parse_json

BOOT = "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"
"""Runs the program that comes first on standard input: in a URL, as arguments of kubectl exec, it would be too long."""
PATIENCE = 5.0
"""Seconds that the last words of a lost connection may take."""
LONGEST_LINE = 256 << 20
"""Bytes of a line from the pod: it lists a corpus of a million files."""


class LostError(ClusterError):
    """The connection to the pod was lost; what has arrived stays."""


@dataclass(frozen=True)
class Channel:
    """A connection to the program in the pod."""

    process: "subprocess.Popen[bytes]"

    @property
    def to_pod(self) -> IO[bytes]:
        """Standard input of the program."""
        assert self.process.stdin is not None  # noqa: S101  (it is a pipe)
        return self.process.stdin

    @property
    def from_pod(self) -> IO[bytes]:
        """Standard output of the program."""
        assert self.process.stdout is not None  # noqa: S101  (it is a pipe)
        return self.process.stdout

    def say(self, **message: object) -> None:
        """Sends a line. Raises OSError where the connection is lost."""
        self.to_pod.write(json.dumps(message).encode() + b"\n")

    def hear(self) -> Mapping[str, Any]:
        """Returns the next line. Raises ClusterError with what it says went wrong, LostError where there is none."""
        line = self.from_pod.readline(LONGEST_LINE)
        try:
            message = parse_json(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise LostError("the connection to the pod was lost")
        if problem := message.get("error"):
            raise ClusterError(clean(str(problem)))
        return message


Connect = Callable[[Sequence[str]], Sequence[str]]
"""Returns the words of the command that runs these words in the pod."""


@contextmanager
def opened(connect: Connect, *words: str) -> Iterator[Channel]:
    """Yields a channel to the pod's side, which does what `words` say.

    Raises ClusterError with what the pod says went wrong, LostError where the connection is lost.
    """
    source = Path(pod_side.__file__).read_bytes()
    with tempfile.TemporaryFile() as errors:
        # A session of its own: Ctrl-C is answered here, once, and the pod is removed in order.
        process = subprocess.Popen(
            connect(["python", "-I", "-c", BOOT, *words]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        channel = Channel(process)
        try:
            channel.to_pod.write(b"%d\n" % len(source) + source)
            channel.to_pod.flush()
            yield channel
        except (BrokenPipeError, ConnectionResetError, LostError):
            raise _reason(channel, errors) from None
        finally:
            process.kill()
            process.wait()
            for stream in (channel.to_pod, channel.from_pod):
                with suppress(OSError):  # what is buffered for a process that has ended cannot be written
                    stream.close()


def bring(connect: Connect, root: str, names: Sequence[str], into: Path, most: int) -> None:
    """Writes these files below `root` of the claim into the folder `into`; one that is missing there is left out.

    Raises ClusterError where one is larger than `most` bytes or arrives with another checksum than it was sent with.
    """
    with opened(connect, "send", root, *names) as channel:
        for name in names:
            header = channel.hear()
            if (size := header.get("size")) is None:
                continue
            if header.get("path") != name or not isinstance(size, int) or not 0 <= size <= most:
                raise ClusterError(
                    f"{root}/{name}: has more than {most >> 20} MiB, or the pod answers another question"
                )
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with target.open("wb") as file:
                while size:
                    if not (piece := channel.from_pod.read(min(pod_side.CHUNK, size))):
                        raise LostError("the connection to the pod was lost")
                    size -= len(piece)
                    digest.update(piece)
                    file.write(piece)
            if channel.from_pod.readline(100).strip() != digest.hexdigest().encode():
                raise ClusterError(f"{root}/{name}: has arrived with another checksum than it was sent with")


def _reason(channel: Channel, errors: IO[bytes]) -> ClusterError:
    """Returns why a connection has ended: by the pod's own last words, or else by those of the program between."""
    with suppress(subprocess.TimeoutExpired):
        channel.process.wait(PATIENCE)
    channel.process.kill()
    for line in channel.from_pod.read(pod_side.CHUNK).splitlines():
        with suppress(ValueError):
            if isinstance(message := parse_json(line), dict) and message.get("error"):
                return ClusterError(clean(str(message["error"])))
    errors.seek(0)
    said = [line for line in errors.read(pod_side.CHUNK).decode("utf-8", "replace").splitlines() if line.strip()]
    last = clean(said[-1], 300) if said else ""
    if "forbidden" in last.lower():
        return ClusterError(f"{last}; an administrator: kubectl apply -f k8s/base/rbac.yaml gives the role pods/exec")
    return LostError(f"the connection to the pod was lost{f' ({last})' if last else ''}")
