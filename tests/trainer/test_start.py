"""What a start of the trainer loads: PyTorch, and not its compiler, which takes as long to import."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.trainer.training import Training
from trainer.models.registry import MODELS

RUN = """
import json, sys
from trainer.__main__ import main

codes = [main(words) for words in json.loads(sys.argv[1])]
print(*codes, *sorted({"torch._dynamo", "torch._inductor", "torch._functorch.aot_autograd", "sympy"} & set(sys.modules)))
"""


def test_a_verb_that_compiles_nothing_does_not_load_pytorchs_compiler(training: Training, tmp_path: Path) -> None:
    """A training of each model, a continuation from the checkpoint, an evaluation and a pace, in one process."""
    run, short = tmp_path / "run", ("--epochs", "1", "--train-limit", "4", "--validation-limit", "2")
    verbs = [
        *(training.arguments(tmp_path / model, "--model", model, *short) for model in MODELS),
        training.arguments(run, "--epochs", "1"),
        training.arguments(run, "--epochs", "2"),
        ["evaluate", "--run-dir", str(run), "--subset", "val", "--device", "cpu"],
        ["pace", *training.arguments(tmp_path / "pace")],
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(verbs)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.splitlines()[-1].split() == ["0"] * len(verbs)
