"""The engine for the tests beside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.katib.backend.local.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Yields an engine in a folder of the test's own."""
    rig = Rig(tmp_path)
    yield rig
    rig.close()
