"""Checks the sound of a corpus: duplicates, shared speakers, sums of stems, silence, clipping, DC and broken files."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.local.launch import require_corpus
from katib.cli.options import Out
from katib.corpus_checks import FOLDER
from katib.errors import FolderError
from katib.trainer_contract import AUDIT_MODULE, Flags, show_trainer


def corpus_check(
    data: Annotated[Path, typer.Option(help="root of the corpus, in PolSESS format or LibriMix's")],
    out: Out = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="print all findings as JSON")] = False,
) -> int:
    """Finds what is wrong with the sound of a corpus; the exit code is 1 where something is.

    Recordings that occur twice are found also where they are shifted by up to a second, scaled, or noisy.
    The result is kept in OUT, where the searches on this corpus find it.
    """
    require_corpus(data)
    if out.exists() and not out.is_dir():
        raise FolderError(f"--out {out}: is no folder; name that of the runs, such as runs")
    words = [Flags.DATA_DIR, data, "--records", out / FOLDER, *(["--json"] if as_json else [])]
    return show_trainer(AUDIT_MODULE, *words)
