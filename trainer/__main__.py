"""`python -m trainer`: trains one separation model once.

`--help` lists the flags. Other verbs: `describe` prints the size and cost of a model, `evaluate` scores a trained one,
`separate` separates a recording, `export` writes the network as TorchScript or ONNX, `fingerprint` prints the hash by
which a run directory recognises a corpus, and `pace` estimates how long an epoch would take here.

Exit codes: 0 done, 1 a bug or a disk that stays full, 2 bad input, 3 diverged, 4 out of memory, 5 the data became
unreadable during the training, 143 stopped by SIGTERM (130 by Ctrl-C).
"""

import errno
import os
import sys

from trainer.command_line import Command, parse
from trainer.config import Pace
from trainer.errors import TrainerError
from trainer.guard import guarded
from trainer.requests import Describe, Evaluate, Export, Fingerprint, Separate


def main(argv: list[str]) -> int:
    """Runs the command line `argv`, without the program's name, and returns the exit code."""
    try:
        return _run(parse(argv))
    except TrainerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return _without_stdout("nobody reads stdout any more")
    except PermissionError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}; ask its owner, or name another folder", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _without_stdout(f"{error.filename or 'stdout'} cannot be written ({error.strerror}); make room")


def _run(request: Command) -> int:
    """Runs a verb and returns the exit code. Each brings torch, for which --help and a wrong flag need not wait."""
    match request:
        case Describe():
            from trainer.describe import describe, text

            print(text(describe(request), request.json))
            return 0
        case Evaluate():
            from trainer.inference.evaluate import evaluate

            return evaluate(request)
        case Export():
            from trainer.inference.export import export

            return export(request)
        case Fingerprint():
            from trainer.fingerprint import print_fingerprint

            return print_fingerprint(request)
        case Pace():
            from trainer.pace import pace

            return pace(request)
        case Separate():
            from trainer.inference.separate import separate

            return separate(request)
        case _:
            from trainer.training.train import train

            return train(request)


def _without_stdout(why: str) -> int:
    """Prints `why` on stderr and returns exit code 1; finished epochs are on the disk.

    Stdout is replaced, because Python flushes it at the exit and would fail a second time.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"error: {why}; a training continues when it is started again", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(guarded(main))
