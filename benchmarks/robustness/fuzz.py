"""Fuzzes every reader of foreign files: `python -m benchmarks.robustness.fuzz READER --minutes 30 [--seed N]`.

A failure is a trace (any exception other than our errors, which are one line), 5 s of processor time for one input, or
1 GB of memory. Its input is kept in tests/fuzz/kept/READER-….bin, which `make test` reads from then on, beside a few
new inputs per reader. By default the clock is the seed, so that each run tries other inputs; --seed repeats one.
"""

import argparse
import hashlib
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from benchmarks.robustness.fuzz_readers import READERS, REFUSALS

SECONDS, WAITING, BYTES = 5.0, 60.0, 1 << 30
"""Of the processor, which a busy machine does not stretch; of the clock, for whoever waits; and of memory."""
KEPT = Path(__file__).parents[2] / "tests/fuzz/kept"


class FailureError(Exception):
    """A reader did what it must not do."""


class _HangError(BaseException):
    """No reader may mistake it for one of its own errors."""


def tried(name: str, data: bytes) -> bool:
    """Returns whether the reader accepts the input. Raises FailureError if it neither accepts nor refuses it."""
    folder = Path(mkdtemp())
    try:
        with _limited():
            READERS[name].read(data, folder)
        return True
    except REFUSALS as error:
        if len(str(error).splitlines()) > 1:
            raise FailureError(f"{name}: refused in {len(str(error).splitlines())} lines: {error}") from error
        return False
    except _HangError:
        raise FailureError(
            f"{name}: takes more than {SECONDS:.0f} s of the processor, or waits for {WAITING:.0f} s"
        ) from None
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise FailureError(
            f"{name}: {type(error).__name__} at {place.filename}:{place.lineno}: {str(error)[:200]}"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _limited() -> Iterator[None]:
    def hang(*_: object) -> None:
        raise _HangError

    before = {number: signal.signal(number, hang) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fuzz(name: str, minutes: float, seed: int) -> int:
    """Fuzzes the reader for so long, keeps an input of each failure, and returns how many different places failed."""
    found: dict[str, Path] = {}
    taken = count = 0
    end, before = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < end:
        data = READERS[name].change(Random(f"{name}-{seed}-{count}"))
        count += 1
        try:
            taken += tried(name, data)
            before = before or _peak()
            if _peak() > before + BYTES:
                before = _peak()
                raise FailureError(f"{name}: takes more than {BYTES >> 20} MiB")
        except FailureError as failure:
            what = str(failure)
            key = what.partition(": ")[2].partition(": ")[0]
            if key not in found:
                KEPT.mkdir(parents=True, exist_ok=True)
                found[key] = KEPT / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
                found[key].write_bytes(data)
                print(f"{what}\n  kept: {found[key]}", flush=True)
    print(
        f"{name}: {count} inputs, {taken} taken, {count - taken} refused or failed, {len(found)} failures, seed {seed}"
    )
    return len(found)


def main() -> int:
    """Reads the command line; returns exit code 1 if a reader failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"default: all of {', '.join(READERS)}")
    parser.add_argument("--minutes", type=float, default=1.0, help="a reader")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    given = parser.parse_args()
    if unknown := set(given.readers) - set(READERS):
        parser.error(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(READERS)}")
    return int(sum(fuzz(name, given.minutes, given.seed) for name in given.readers or READERS) > 0)


if __name__ == "__main__":
    sys.exit(main())
