"""Packs a corpus into one file for each subset, which the trainer reads faster."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.local.launch import require_corpus
from katib.trainer_contract import PACK_MODULE, Flags, show_trainer


def pack(
    data: Annotated[Path, typer.Option(help="root of the corpus, in PolSESS format or LibriMix's")],
    out: Annotated[
        Path | None,
        typer.Option(help="folder for the packs, a corpus by itself (default: beside the WAV files)"),
    ] = None,
) -> int:
    """Packs a corpus into one memory-mapped file per subset, with checksums.

    A complete pack is left unchanged.
    """
    require_corpus(data)
    return show_trainer(PACK_MODULE, Flags.DATA_DIR, data, *(["--out", out] if out else []))
