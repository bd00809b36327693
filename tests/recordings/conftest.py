"""Fixtures: one server, one provider, and each run made once for all of its tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from recordings.environments import EnvironmentMissingError
from recordings.provider import provider
from recordings.runs import RUNS, Recorded, record
from server_process import ServerProcess

RUNS_AT_ONCE = 2

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data").start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[Callable[[str], dict[str, Recorded]]]:
    """Return what came of a run's calls; all runs that tests are selected of go on at once, two at a time."""
    names = dict.fromkeys(
        item.callspec.params["run"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    )
    with provider() as (provider_url, journal), ThreadPoolExecutor(RUNS_AT_ONCE) as pool:
        futures: Mapping[str, Future[dict[str, Recorded]]] = {
            name: pool.submit(record, RUNS[name], provider_url, journal, server.url) for name in names
        }

        def result(name: str) -> dict[str, Recorded]:
            try:
                return futures[name].result()
            except EnvironmentMissingError as error:
                pytest.skip(str(error))

        yield result
