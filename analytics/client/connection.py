"""Requests to the server, and its errors in its own words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import httpx

from analytics.client.errors import ClientError, UnreachableError

ARROW = "application/vnd.apache.arrow.stream"
_TRY_AGAIN = frozenset({429, 502, 503, 504})


class Connection:
    """A server's API, with a key. Without one that of ``FALLOM_API_KEY`` is sent."""

    def __init__(self, url: str, api_key: str | None, timeout_s: float) -> None:
        key = api_key or os.environ.get("FALLOM_API_KEY")
        self.url = url.rstrip("/")
        try:
            self._http = httpx.Client(
                base_url=self.url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=timeout_s
            )
        except httpx.InvalidURL as error:
            raise ClientError(f"url: {error}, got {url!r}") from error

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON object that a path answers."""
        found = _object(self._send("GET", path, params=dict(parameters or {})))
        if found is None:
            raise ClientError(f"{self.url}{path} answered no JSON object: is it a Fallom server?")
        return found

    def text(self, path: str, parameters: Mapping[str, str]) -> str:
        """Return the text that a path answers."""
        return self._send("GET", path, params=dict(parameters)).text

    def sql(self, statement: str) -> tuple[bytes, bool]:
        """Return the rows of a statement as an Arrow stream, and whether there were more of them."""
        answer = self._send("POST", "/sql", json={"query": statement}, headers={"Accept": ARROW})
        return answer.content, answer.headers.get("x-fallom-truncated") == "true"

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(
                f"{self.url} can't be reached: {reason}; is a server running there (fallom-server serve)?"
            ) from error
        if response.is_success:
            return response
        message = (_object(response) or {}).get("error", {}).get("message")
        kind = UnreachableError if response.status_code in _TRY_AGAIN else ClientError
        raise kind(message or f"{self.url}{path} answered {response.status_code}", response.status_code)


def _object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        found = response.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
