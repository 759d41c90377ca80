"""What the tests of the services share."""

from collections.abc import Iterator

import pytest

from tests.katib.services.rig import DbManager, TrialServer


@pytest.fixture
def db() -> Iterator[DbManager]:
    manager = DbManager()
    yield manager
    manager.away()


@pytest.fixture
def cluster() -> Iterator[TrialServer]:
    server = TrialServer()
    yield server
    server.close()
