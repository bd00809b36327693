"""Requests that change the registry: their bodies, their preconditions, and the errors that it answers with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Query
from starlette.requests import Request

from analytics.api.errors import ApiError
from schemas.api.management import NOTE_CHARS_MAX
from schemas.api.problems import TEXT_PATTERN
from storage.registry import document
from storage.registry.errors import (
    DocumentError,
    ExperimentEndedError,
    RegistryBusyError,
    RegistryError,
    ResourceArchivedError,
    ResourceInUseError,
    ResourceNotFoundError,
    StaleError,
)
from storage.registry.resources import Precondition

Note = Annotated[str, Query(max_length=NOTE_CHARS_MAX, pattern=TEXT_PATTERN, description="Why: it is kept for ever.")]


async def json_body(request: Request) -> bytes:
    """Return the body of a JSON request. Raises ApiError where it is of another type, or too large."""
    # A web page may send text/plain to another host unasked, but not JSON: so no page can change a local registry.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(
            415,
            "unsupported_media_type",
            f"Content-Type must be application/json, got {kind or 'none'}",
            "Content-Type",
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > document.DOCUMENT_BYTES_MAX:
            raise ApiError(413, "too_large", f"body must be at most {document.DOCUMENT_BYTES_MAX} bytes long")
    return bytes(body)


def precondition(if_match: str | None, if_none_match: str | None) -> Precondition:
    """Return what the headers ``If-Match`` and ``If-None-Match`` expect. Raises ApiError."""
    if if_none_match is not None and if_none_match.strip() != "*":
        raise ApiError(
            400, "invalid_argument", f"If-None-Match must be * here, got {if_none_match[:80]!r}", "If-None-Match"
        )
    any_of = None
    if if_match is not None:
        # A weak tag matches nothing: RFC 9110, 13.1.1.
        tags = (tag.strip() for tag in if_match.split(","))
        any_of = frozenset(tag if tag == "*" else tag.strip('"') for tag in tags if not tag.startswith("W/"))
    return Precondition(any_of, is_absent=if_none_match is not None)


@contextmanager
def registry_errors() -> Iterator[None]:
    """Answer the registry's errors; the texts of database errors hold paths, which are not the caller's business."""
    try:
        yield
    except DocumentError as err:
        raise ApiError(400, "invalid_argument", str(err), err.problems[0].path) from err
    except ResourceNotFoundError as err:
        raise ApiError(404, "not_found", str(err)) from err
    except (ResourceArchivedError, ResourceInUseError, ExperimentEndedError) as err:
        raise ApiError(409, "conflict", str(err)) from err
    except StaleError:
        # It is answered with what is there now, by who knows how to get that.
        raise
    except RegistryBusyError as err:
        raise ApiError(503, "unavailable", "the registry is being written by another process; try again") from err
    except RegistryError as err:
        raise ApiError(503, "unavailable", "the registry's database cannot be used; see the server's log") from err
