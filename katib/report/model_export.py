"""Has the trainer export a network into the folder of a model, since the control side has no torch."""

from pathlib import Path

from katib.errors import FolderError, SepsweepError, nearest
from katib.program import TRAINER_PACKAGES, lack
from katib.table.run_folder import read_json
from katib.terminal import print_words
from katib.trainer_contract import BEST, EXPORT, SUMMARY, TORCHSCRIPT, Exit, Flags, program, run_trainer

FILE = "torchscript.pt"
PATIENCE_SECONDS = 1800
"""Recording and comparing take seconds; the largest network on a busy machine, minutes."""


def check_form(form: str) -> None:
    """Raises SepsweepError for a form other than TorchScript, or where the trainer's packages are missing."""
    if form == "onnx":
        raise SepsweepError(
            "EXPORT=onnx: to write and check it takes onnx, onnxscript and onnxruntime, which Sepsweep does not depend"
            f" on; every model takes EXPORT={TORCHSCRIPT}"
        )
    if form != TORCHSCRIPT:
        raise SepsweepError(f"EXPORT={form}: no such form, {nearest(form, [TORCHSCRIPT])}")
    if problem := lack(TRAINER_PACKAGES):
        raise SepsweepError(f"EXPORT={form}: {problem}")


def export(folder: Path, run: Path, data: Path | None) -> dict[str, str]:
    """Writes FILE into `folder` for the best.pt in it, prints how much it deviates, and returns what the file is.

    It is compared with the original on the validation mixtures of the corpus `data`, by default that of `run`. Raises
    SepsweepError in the trainer's words.
    """
    corpus = data or read_json(run / SUMMARY).get("data_dir")
    if not isinstance(corpus, str | Path) or not Path(corpus).is_dir():
        where = f"{corpus} is not here" if corpus else f"{run / SUMMARY} names none"
        raise FolderError(f"the corpus that an export is checked on: {where}; name it with DATA=")
    words = [*program(), EXPORT, "--checkpoint", str(folder / BEST), "--out", str(folder / FILE)]
    try:
        answer = run_trainer([*words, f"{Flags.DATA_DIR}={Path(corpus)}"], timeout=PATIENCE_SECONDS)
    except (OSError, TimeoutError) as error:
        raise FolderError(f"export: {error}") from None
    if answer.code:
        problem = answer.problem.replace(f"{folder}/", f"{run}/")
        raise FolderError(problem) if answer.code == Exit.BAD_INPUT else SepsweepError(problem)
    said = answer.output.strip().splitlines()[-1].partition(": ")[2]
    print_words(f"{FILE}: {said}")
    return {FILE: f"the network as {said}; it takes 0.25 s or more, and computes on the CPU"}
