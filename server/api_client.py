"""Asks a running server, as the commands with ``--url`` do."""

import os
from typing import Any

import httpx

from server.errors import CommandError

TIMEOUT_S = 120


def get(url: str, path: str, api_key: str | None, **options: Any) -> dict[str, Any]:
    """Return what the server answers. Raises CommandError likewise."""
    return request("GET", url, path, api_key, **options)


def post(url: str, path: str, content: object, api_key: str | None, **options: Any) -> dict[str, Any]:
    """Return what the server answers to a JSON body. Raises CommandError likewise."""
    return request("POST", url, path, api_key, json=content, **options)


def refuse_project(url: str | None, project: str | None) -> None:
    """Raise CommandError where a project is named beside a server's URL."""
    if url is not None and project is not None:
        raise CommandError("project: with --url the project is that of the key; leave --project out")


def request(method: str, url: str, path: str, api_key: str | None, **options: Any) -> dict[str, Any]:
    """Return the JSON object that the server answers, an empty one for 204. Raises CommandError, with its own words."""
    response = send(method, url, path, api_key, **options)
    answer = {} if response.status_code == httpx.codes.NO_CONTENT else _object(response)
    if answer is None:
        raise CommandError(f"{url}{path} answered no JSON object: is it a server of this kind?")
    return answer


def send(method: str, url: str, path: str, api_key: str | None, **options: Any) -> httpx.Response:
    """Return the server's answer to a request that succeeds. Raises CommandError, with the server's own words."""
    key = api_key or os.environ.get("FALLOM_API_KEY")
    headers = {**options.pop("headers", {}), **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        response = httpx.request(method, url.rstrip("/") + path, headers=headers, **{"timeout": TIMEOUT_S, **options})
    except httpx.HTTPError as error:
        raise CommandError(
            f"{url} can't be reached: {error}; is a server running there (fallom-server serve)?"
        ) from error
    except httpx.InvalidURL as error:
        raise CommandError(f"url: {error}, got {url!r}") from error
    if not response.is_success:
        answer = _object(response) or {}
        message = answer.get("error", {}).get("message")
        raise CommandError(message or f"{url}{path} answered {response.status_code}")
    return response


def _object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
