"""The list of scopes covers every path of the server, and what it does not cover is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.scopes import ADMIN, FETCH, INGEST, READ, Scope, Scopes
from server.parts import Parts
from server.scopes import PUBLIC_PATHS, SCOPES, scopes_of
from server.settings import ServerSettings
from storage.data_directory import DataDirectory


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    data = DataDirectory(tmp_path)
    data.create()
    parts = Parts(ServerSettings(data_dir=tmp_path), data)
    yield parts
    parts.stop()


def paths_of(parts: Parts) -> set[str]:
    """Return every path that the server answers: the receivers', the API's, and what stands beside the API."""
    receivers = parts.app._app
    api = receivers
    while not hasattr(api, "routes"):
        api = api._app
    beside = {route.path for route in api.routes if hasattr(route, "path")}
    return {*receivers._handlers, *api.openapi()["paths"], *beside}


def test_every_path_of_the_server_is_listed(parts: Parts) -> None:
    paths = paths_of(parts)

    assert {"/v1/traces", "/sessions", "/sql", "/debug/pipeline", "/traces/{trace_id}"} <= paths
    listed = {path.replace(":path}", "}") for path in SCOPES}
    assert paths - listed - PUBLIC_PATHS == set()


def test_the_page_on_keys_says_so() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text()

    lines = {line for line in page.splitlines() if line.startswith("| `/")}

    def row(path: str, scopes: Scopes) -> str:
        # A key of admin has every scope.
        named = [scope for scope in Scope if scope in scopes and (scope is not Scope.ADMIN or scopes == ADMIN)]
        return f"| `{path.replace(':path}', '}')}` | {', '.join(f'`{scope}`' for scope in named)} |"

    assert lines == {row(path, scopes) for path, scopes in SCOPES.items()}


@pytest.mark.parametrize(
    ("path", "scopes"),
    [
        ("/v1/traces", INGEST),
        ("/configs", FETCH),
        ("/configs/my/agent/version/3", FETCH),
        ("/experiments/my/agent/results", READ),
        ("/traces/00", READ),
        ("/sql", READ),
        ("/apply", ADMIN),
        ("/customers/forget/1", ADMIN),
        ("/debug/pipeline", ADMIN),
    ],
)
def test_a_path_needs_one_of_its_scopes(path: str, scopes: Scopes) -> None:
    assert scopes_of(path) == scopes


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "put"])
@pytest.mark.parametrize("path", ["/api/configs/my/agent", "/api/prompts/p/draft", "/api/prompt-tests/t/publish"])
def test_who_may_read_resources_may_not_change_them(path: str, method: str) -> None:
    assert scopes_of(path) == scopes_of(path, "HEAD") == READ
    assert scopes_of(path, method) == ADMIN


@pytest.mark.parametrize("path", ["/", "/v1/trace", "/v1/traces/", "/debug", "/traces/a/b", "/SQL", "//sql", "/sql\n"])
def test_a_path_that_is_not_listed_has_none(path: str) -> None:
    assert scopes_of(path) is None
