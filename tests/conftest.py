"""What the tests of both sides share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiny_corpus import write_subset


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 training and 4 validation mixtures of half a second, half of them indoors. Not to be changed."""
    root = tmp_path_factory.mktemp("corpora") / "PolSESS_tiny"
    write_subset(root, "train", 12, 0.5, seed=1)
    write_subset(root, "val", 4, 0.5, seed=2)
    return root


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Yields what the trainer remembers of the tests' corpora is not the user's."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRAINER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_configure() -> None:
    """Lets the processes that tests start be interrupted; a shell starts its background jobs with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with a long test first, in either order of names."""
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long)
