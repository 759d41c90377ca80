"""Builds a corpus in PolSESS format from recordings or from synthetic voices."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import MOST
from katib.trainer_contract import CORPUS_MODULE, show_trainer


def corpus(
    out: Annotated[Path, typer.Option(help="folder to make; its name becomes part of the CSV files' names")] = Path(
        "data/corpus"
    ),
    mixtures: Annotated[
        int, typer.Option(help="training mixtures; val and test get a fifth of that each", min=1, max=MOST)
    ] = 300,
    seconds: Annotated[float, typer.Option(help="length of a mixture in s", min=0.5, max=60)] = 4.0,
    speech: Annotated[
        Path | None,
        typer.Option(help="recordings, one sub-folder per speaker (default: eSpeak NG voices speak Polish)"),
    ] = None,
    seed: Annotated[int, typer.Option(help="the same seed gives the same bytes", min=0)] = 0,
) -> int:
    """Builds a corpus in PolSESS format: two speakers, a scene, an event and, for every other mixture, a room."""
    words = ["--out", out, "--mixtures", mixtures, "--seconds", seconds, "--seed", seed]
    return show_trainer(CORPUS_MODULE, *words, *(["--speech", speech] if speech else []))
