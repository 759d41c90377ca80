"""Has the trainer export a network into the folder of a model, since the control side has no torch."""

from pathlib import Path

from katib.errors import FolderError, SepsweepError, nearest
from katib.program import TRAINER_PACKAGES, lack
from katib.table.run_folder import read_json
from katib.terminal import print_words
from katib.trainer_contract import BEST, EXPORT, FORMS, ONNX_PACKAGES, SUMMARY, Exit, Flags, program, run_trainer

PATIENCE_SECONDS = 1800
"""Recording and comparing take seconds; the largest network on a busy machine, minutes."""


def check_form(form: str) -> None:
    """Raises SepsweepError for an unknown form, or where the packages that it takes are missing."""
    if form not in FORMS:
        raise SepsweepError(f"EXPORT={form}: no such form, {nearest(form, FORMS)}")
    extra = ("onnx", ONNX_PACKAGES) if form == "onnx" else ("", ())
    if problem := lack(TRAINER_PACKAGES) or lack(extra[1], extra[0]):
        raise SepsweepError(f"EXPORT={form}: {problem}")


def export(folder: Path, run: Path, data: Path | None, form: str) -> dict[str, str]:
    """Writes the network of the best.pt in `folder` in this form beside it, and returns what the file is.

    How much it deviates from the original on validation mixtures is printed; they are of the corpus `data`, by default
    that of `run`. Raises SepsweepError in the trainer's words.
    """
    corpus = data or read_json(run / SUMMARY).get("data_dir")
    if not isinstance(corpus, str | Path) or not Path(corpus).is_dir():
        where = f"{corpus} is not here" if corpus else f"{run / SUMMARY} names none"
        raise FolderError(f"the corpus that an export is checked on: {where}; name it with DATA=")
    file = FORMS[form]
    words = [*program(), EXPORT, "--checkpoint", str(folder / BEST), "--out", str(folder / file), "--form", form]
    try:
        answer = run_trainer([*words, f"{Flags.DATA_DIR}={Path(corpus)}"], timeout=PATIENCE_SECONDS)
    except (OSError, TimeoutError) as error:
        raise FolderError(f"export: {error}") from None
    if answer.code:
        problem = answer.problem.replace(f"{folder}/", f"{run}/")
        raise FolderError(problem) if answer.code == Exit.BAD_INPUT else SepsweepError(problem)
    said = answer.output.strip().splitlines()[-1].partition(": ")[2]
    print_words(f"{file}: {said}")
    return {file: f"the network as {said}; it takes 0.25 s or more, and computes on the CPU"}
