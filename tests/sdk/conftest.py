"""Fixtures: an SDK that has not begun, and a real server, shared by a module or of a test's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sdk_server import FakeServer, fake_server
from server_process import ServerProcess

from fallom import context, runtime


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of the test's own."""
    process = ServerProcess(tmp_path / "data").start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for the tests of a module, which must keep their keys apart."""
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data").start()
    yield process
    process.stop()


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The SDK as it is before ``init``; it is ended after the test."""
    for name in [name for name in os.environ if name.startswith("FALLOM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime, "_current", runtime._none)
    _leave_session()
    yield
    runtime.stop(0.0)
    _leave_session()


def _leave_session() -> None:
    context.set_current_session(None)
    context.set_prompt_tag(None)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that answers as the test wants it."""
    with fake_server() as server:
        yield server
