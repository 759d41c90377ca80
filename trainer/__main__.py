"""`python -m trainer`: trains one separation model once.

`--help` lists the flags; trainer/training/train.py does the work. `python -m trainer describe` says what a model is and
takes, `evaluate` how well a trained one separates, `separate` separates a recording, `fingerprint` says what a run
directory knows a corpus by, and `pace` how long an epoch would take here.

Exit codes: 0 done, 1 a bug or a disk that stays full, 2 bad input, 3 diverged, 4 out of memory, 5 data that was there
at the start cannot be read any more, 143 stopped by SIGTERM (130 by Ctrl-C).
"""

import errno
import os
import sys

from trainer.command_line import parse
from trainer.config import Pace
from trainer.errors import TrainerError
from trainer.requests import Describe, Evaluate, Fingerprint, Separate


def main(argv: list[str]) -> int:
    """Run the command line `argv`, without the program's name, and return the exit code."""
    try:
        asked = parse(argv)
        if isinstance(asked, Describe):
            from trainer.describe import describe, text

            print(text(describe(asked), asked.json))
            return 0
        if isinstance(asked, Evaluate):
            from trainer.inference.evaluate import evaluate

            return evaluate(asked)
        if isinstance(asked, Fingerprint):
            from trainer.fingerprint import fingerprint

            return fingerprint(asked)
        if isinstance(asked, Pace):
            from trainer.pace import pace

            return pace(asked)
        if isinstance(asked, Separate):
            from trainer.inference.separate import separate

            return separate(asked)
        from trainer.training.train import (
            train,  # brings torch, which takes seconds that --help need not wait for
        )

        return train(asked)
    except TrainerError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read the metric lines is gone
        return _without_stdout("nobody reads stdout any more")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _without_stdout(f"{error.filename or 'stdout'} cannot be written ({error.strerror}); make room")


def _without_stdout(why: str) -> int:
    """Ends with one line on stderr: finished epochs are on the disk, and Python's last flush must not fail as well."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"error: {why}; a training continues when it is started again", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
