"""``/api/datasets``: datasets are made by hand or from traces, listed, read by the clients, archived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.errors import PROBLEMS_MAX, ApiError
from analytics.api.project import project
from analytics.api.request_body import described_body
from analytics.dataset_entries import EntryError, described, entries_of, served, stored
from schemas.api.datasets import (
    ENTRIES_MAX,
    KEY_PATTERN,
    CreatedAnswer,
    DatasetsAnswer,
    Entry,
    NewDataset,
    NewDatasetFromSql,
    ServedDataset,
    VersionsAnswer,
)
from schemas.api.errors import ErrorAnswer
from schemas.api.problems import problems_of
from storage.datasets.datasets import Datasets, Draft, StoredEntry, TooManyDatasetsError, Version
from storage.engines.duckdb import DuckDBEngine
from storage.errors import QueryError, QueryInterruptedError, QueryTimeoutError
from storage.registry.errors import RegistryBusyError, RegistryError

BODY_BYTES_MAX = 16 * 1024 * 1024
# At once: each may hold a body, or an answer of SQL, and what is made of it.
WRITES_MAX = 2

Project = Annotated[str, Depends(project)]
Key = Annotated[str, Path(pattern=KEY_PATTERN, description="The dataset's key.", examples=["support-golden"])]
Body = TypeVar("Body", bound=BaseModel)


class Policy(Protocol):
    """What may be stored of an entry, by project."""

    def keeps_content(self, project: str) -> bool:
        """Return whether entries may be stored at all."""

    def permitted(self, project: str, entry: Entry) -> Entry:
        """Return an entry without what is denied."""

    def redacted(self, project: str, entry: StoredEntry) -> StoredEntry:
        """Return an entry as it may be stored."""


@dataclass(frozen=True, slots=True)
class DatasetParts:
    """What the routes work with; ``timeout_s`` is that of a statement."""

    datasets: Datasets
    engine: DuckDBEngine
    policy: Policy
    timeout_s: float


def router(parts: DatasetParts) -> APIRouter:
    """Return the router."""
    routes = APIRouter(tags=["datasets"])
    _add_reading(routes, parts)
    _add_writing(routes, parts)
    return routes


def _add_reading(routes: APIRouter, parts: DatasetParts) -> None:
    @routes.get("/api/datasets", summary="All datasets", responses=_answers(DatasetsAnswer, 400, 503))
    def datasets(
        caller: Project, archived: Annotated[bool, Query(description="Archived ones too.")] = False
    ) -> Response:
        """Return the latest version of each dataset of the project, without entries."""
        with _errors():
            found = parts.datasets.latest(caller, archived=archived)
        return json_answer({"datasets": [described(version) for version in found]})

    @routes.get("/api/datasets/{key}", summary="One dataset", responses=_answers(ServedDataset, 400, 404, 503))
    def dataset(
        key: Key,
        caller: Project,
        version: Annotated[int | None, Query(ge=1, description="The latest if absent.")] = None,
        include_entries: Annotated[bool, Query(description="False: without entries.")] = True,
    ) -> Response:
        """Return one version with its entries, as the clients' ``evals`` read it."""
        with _errors():
            found = parts.datasets.read(caller, key, version)
        if found is None:
            raise _unknown(parts.datasets, caller, key, version)
        return json_answer(_served(*found) if include_entries else _served(found[0], []))

    @routes.get(
        "/api/datasets/{key}/versions",
        summary="A dataset's versions",
        responses=_answers(VersionsAnswer, 400, 404, 503),
    )
    def versions(key: Key, caller: Project) -> Response:
        """Return all versions of a dataset, oldest first, archived ones too."""
        with _errors():
            found = parts.datasets.versions(caller, key)
        if not found:
            raise _unknown(parts.datasets, caller, key, None)
        return json_answer({"versions": [described(version) for version in found]})


def _add_writing(routes: APIRouter, parts: DatasetParts) -> None:
    limiter = CapacityLimiter(WRITES_MAX)

    async def write(request: Request, model: type[Body], make: Callable[[Body], dict[str, Any]]) -> Response:
        _check_content_type(request)
        body = await request.body()
        content = await to_thread.run_sync(lambda: make(_parsed(model, body)), limiter=limiter)
        return json_answer(content)

    @routes.post(
        "/api/datasets/{key}",
        summary="Make a dataset's next version of entries",
        responses=_answers(CreatedAnswer, 400, 409, 413, 415, 503),
        openapi_extra=described_body(NewDataset),
    )
    async def create(key: Key, caller: Project, request: Request) -> Response:
        """Make the entries the latest version; entries that are those of the latest version already change nothing."""
        return await write(request, NewDataset, lambda new: _from_entries(parts, caller, key, new))

    @routes.post(
        "/api/datasets/{key}/from-sql",
        summary="Make a dataset's next version from traces",
        responses=_answers(CreatedAnswer, 400, 408, 409, 413, 415, 503),
        openapi_extra=described_body(NewDatasetFromSql),
    )
    async def create_from_sql(key: Key, caller: Project, request: Request) -> Response:
        """Make the rows of one SELECT the latest version: at most 10,000, and 16 MiB of them."""
        return await write(request, NewDatasetFromSql, lambda new: _from_sql(parts, caller, key, new))

    @routes.delete("/api/datasets/{key}", summary="Archive it", responses=_answers(VersionsAnswer, 400, 404, 503))
    def archive(key: Key, caller: Project) -> Response:
        """Remove the entries of all versions, for good, and hide these; their numbers are never used again."""
        with _errors():
            archived = parts.datasets.archive(caller, key)
            found = parts.datasets.versions(caller, key)
        if not archived:
            raise _unknown(parts.datasets, caller, key, None)
        return json_answer({"versions": [described(version) for version in found]})


def _from_entries(parts: DatasetParts, caller: str, key: str, new: NewDataset) -> dict[str, Any]:
    _check_policy(parts.policy, caller)
    found = []
    for place, entry in enumerate(new.entries):
        try:
            found.append(stored(parts.policy.permitted(caller, entry)))
        except EntryError as error:
            field = f"entries[{place}].{error.field}"
            raise ApiError(400, "invalid_argument", f"entries[{place}].{error}", field) from error
    return _made(parts, caller, Draft(key, new.name or key, new.description, "entries", None, found), skipped=0)


def _from_sql(parts: DatasetParts, caller: str, key: str, new: NewDatasetFromSql) -> dict[str, Any]:
    _check_policy(parts.policy, caller)
    try:
        answer = parts.engine.query_untrusted(
            new.query, project=caller, timeout_s=parts.timeout_s, rows_max=ENTRIES_MAX, bytes_max=BODY_BYTES_MAX
        )
    except QueryTimeoutError as error:
        raise ApiError(408, "timeout", str(error)) from error
    except QueryInterruptedError as error:
        raise ApiError(503, "unavailable", str(error)) from error
    except QueryError as error:
        raise ApiError(400, "invalid_argument", str(error), "query") from error
    if answer.truncated:
        limits = f"{ENTRIES_MAX} rows and {BODY_BYTES_MAX} bytes"
        raise ApiError(400, "invalid_argument", f"query: at most {limits} allowed, got more: add a LIMIT", "query")
    try:
        read = entries_of(answer.rows, datetime.now(UTC))
        found = [stored(parts.policy.permitted(caller, entry), content_time=time) for entry, time in read]
    except EntryError as error:
        raise ApiError(400, "invalid_argument", f"query: {error}", "query") from error
    skipped = answer.rows.num_rows - len(found)
    if not found:
        raise ApiError(
            400, "invalid_argument", f"query: no row has an input and an output, of {answer.rows.num_rows}", "query"
        )
    return _made(parts, caller, Draft(key, new.name or key, new.description, "sql", new.query, found), skipped=skipped)


def _made(parts: DatasetParts, caller: str, draft: Draft, *, skipped: int) -> dict[str, Any]:
    entries = [parts.policy.redacted(caller, entry) for entry in draft.entries]
    with _errors():
        version, action = parts.datasets.create(
            caller, Draft(draft.key, draft.name, draft.description, draft.source, draft.query, entries)
        )
    return {
        "key": version.key,
        "version": version.version,
        "action": action,
        "entries": len(entries),
        "skipped": skipped,
    }


def _check_policy(policy: Policy, caller: str) -> None:
    if not policy.keeps_content(caller):
        message = "the project's privacy policy stores no content, and a dataset is nothing else"
        raise ApiError(409, "conflict", f"{message}: keep the entries where your evaluation runs")


def _check_content_type(request: Request) -> None:
    # A web page may send text/plain to another host unasked, but not JSON.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = f"Content-Type must be application/json, got {kind or 'none'}"
        raise ApiError(415, "unsupported_media_type", message, "Content-Type")


def _parsed(model: type[Body], body: bytes) -> Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = problems_of(error.errors(include_url=False)[:PROBLEMS_MAX])
        message = "\n".join(map(str, problems))
        raise ApiError(400, "invalid_argument", message, problems[0].path or None) from error


def _served(version: Version, entries: Sequence[StoredEntry]) -> dict[str, Any]:
    return {
        "dataset": {"key": version.key, "name": version.name, "description": version.description},
        "version": {
            "version": version.version,
            "entries": version.entries,
            "removed": version.entries - version.left,
            "created_at": version.created_at,
        },
        "entries": served(entries),
    }


def _unknown(datasets: Datasets, caller: str, key: str, version: int | None) -> ApiError:
    with _errors():
        found = datasets.versions(caller, key)
    live = [str(each.version) for each in found if each.archived_at is None]
    if live:
        message = f"dataset {key!r} has no version {version}; its latest is {live[-1]}"
        return ApiError(404, "not_found", message, "version")
    what = f"dataset {key!r} is archived" if found else f"no dataset {key!r}"
    return ApiError(404, "not_found", f"{what}: GET /api/datasets lists those that there are", "key")


@contextmanager
def _errors() -> Iterator[None]:
    """Answer the registry's errors; the texts of database errors hold paths, which are not the caller's business."""
    try:
        yield
    except TooManyDatasetsError as error:
        raise ApiError(409, "conflict", str(error)) from error
    except RegistryBusyError as error:
        raise ApiError(503, "unavailable", "the registry is being written by another process; try again") from error
    except RegistryError as error:
        raise ApiError(503, "unavailable", "the registry's database cannot be used; see the server's log") from error


def _answers(model: type[BaseModel], *errors: int) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}, **{status: {"model": ErrorAnswer} for status in errors}}
