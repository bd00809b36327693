"""What holds for every test."""

from pathlib import Path

import pytest
from hypothesis import settings
from postgresql_server import new_database

from collector.warm_up import warm_up

# A slow or busy machine makes no test wrong.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_sessionstart() -> None:
    """Compile first, so that no test waits for it."""
    warm_up()


@pytest.fixture(params=["sqlite", "postgresql"])
def registry_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty registry: each test that takes it runs on both databases."""
    return new_database() if request.param == "postgresql" else f"sqlite:///{tmp_path}/registry.sqlite3"
