"""The real trainer as a process, for the tests of trainer/."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.training import Training


@pytest.fixture
def broken(corpus: Path, tmp_path: Path) -> Path:
    """Returns a copy of the corpus that the test may damage."""
    return Path(shutil.copytree(corpus, tmp_path / corpus.name))


@pytest.fixture
def training(corpus: Path) -> Iterator[Training]:
    """Yields the trainer on the small corpus."""
    training = Training(corpus)
    yield training
    training.close()
