"""API keys, and clients that send them, for tests of a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from server_command import run
from server_process import ServerProcess

from schemas.scopes import Scope
from storage.data_directory import DataDirectory
from storage.registry.api_keys import PREFIX_CHARS, ApiKeys


def keys_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``fallom-server keys``."""
    return run("keys", *arguments)


def create_key(data_dir: Path, project: str = "default", scopes: str = "ingest", **options: Any) -> str:
    """Make a key as the command does, in less time; return its text."""
    with _keys(data_dir) as keys:
        return keys.create(project, frozenset(Scope(scope) for scope in scopes.split(",")), **options)[1]


def revoke_key(data_dir: Path, key: str) -> None:
    with _keys(data_dir) as keys:
        keys.revoke(key[:PREFIX_CHARS])


@contextmanager
def _keys(data_dir: Path) -> Iterator[ApiKeys]:
    data = DataDirectory(data_dir)
    data.create()
    keys = ApiKeys(data.registry_url)
    yield keys
    keys.close()


class Client:
    """Speaks HTTP to a server with one key, and keeps its connection."""

    def __init__(self, server: ServerProcess, key: str) -> None:
        self.key = key
        self._http = httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30
        )

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._http.request(method, path, **options)

    def get(self, path: str, **parameters: str) -> Any:
        """Return the answer of a request that must succeed."""
        return self._content(self.ask("GET", path, params=parameters))

    def post(self, path: str, content: object) -> Any:
        """Return the answer of a request that must succeed."""
        return self._content(self.ask("POST", path, json=content))

    def sql(self, query: str) -> list[list[Any]]:
        """Return the answer's rows."""
        rows: list[list[Any]] = self.post("/sql", {"query": query})["rows"]
        return rows

    @staticmethod
    def _content(answer: httpx.Response) -> Any:
        assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text}"
        return json.loads(answer.content)
