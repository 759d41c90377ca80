"""`python -m trainer.data.corpus --out DIR`: builds a corpus in PolSESS format (also `make corpus`)."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import ConfigError, TrainerError
from trainer.guard import guarded


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Build a corpus in PolSESS format: two speakers, a scene, an event and, indoors, a room."""

    out: Path
    """Folder to create; its name becomes part of the CSV files' names."""

    mixtures: int = 300
    """Training mixtures; val and test each get a fifth of that, but at least 10."""

    seconds: float = 4.0
    """Length of a mixture in seconds."""

    speech: Path | None = None
    """Folder with one sub-folder of recordings per speaker. Default: eSpeak NG voices that speak Polish."""

    seed: int = 0
    """Seed of all random draws; the same seed gives the same bytes."""

    jobs: int = os.cpu_count() or 1
    """Processes that work in parallel."""

    def __post_init__(self) -> None:
        if self.mixtures < 1 or self.jobs < 1 or self.seed < 0 or not 0.5 <= self.seconds <= 60:
            raise ConfigError("--mixtures and --jobs take 1 or more, --seed 0 or more, --seconds 0.5 to 60")


def main(argv: list[str]) -> int:
    """Runs the command line `argv`, without the program's name, and returns the exit code."""
    # Loaded here, because each process imports this file before it can say what Ctrl-C is to do.
    from trainer.command_line import read
    from trainer.data.corpus.build import Settings, build
    from trainer.data.working import shown

    try:
        corpus = read(Corpus, argv, "python -m trainer.data.corpus")
        speech = str(corpus.speech.absolute()) if corpus.speech else None
        settings = Settings(mixtures=corpus.mixtures, seconds=corpus.seconds, seed=corpus.seed, speech=speech)
        print(f"corpus {corpus.out}: speech from {speech or 'eSpeak NG voices (Polish)'}", flush=True)
        with shown() as progress:
            progress("recordings" if speech else "voices", 0, 0)
            made = build(corpus.out, settings, corpus.jobs, progress)
    except TrainerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{'built' if made else 'already there'}: {corpus.out}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
