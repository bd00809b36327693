"""Configs, prompts and prompt tests one at a time: versions, drafts, roll-backs, archiving; one code for all kinds.

``ETag`` names what is there: the version of a resource, or the revision of a draft. A change with ``If-Match`` is made
only if that is still there; else it is answered 412, with what is there now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Header, Path, Query
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.author import author
from analytics.api.descriptions import answers, json_request
from analytics.api.errors import ApiError
from analytics.api.managed import PATHS, applied_content, draft_content, resource_content, version_content
from analytics.api.project import project
from analytics.api.registry_requests import Note, json_body, precondition, registry_errors
from schemas.api import management as shapes
from schemas.api.problems import NAME_PATTERN, problems_of, shown
from schemas.api.registry import NAME_CHARS_MAX
from storage.registry import document
from storage.registry.bodies import MODELS
from storage.registry.errors import ResourceNotFoundError, StaleError
from storage.registry.management import Management
from storage.registry.registry import Registry
from storage.registry.resources import Authorship, Precondition, Published

LIST_MAX = 1_000

T = TypeVar("T", bound=BaseModel)

Project = Annotated[str, Depends(project)]
Author = Annotated[str, Depends(author)]
Key = Annotated[str, Path(max_length=NAME_CHARS_MAX, pattern=NAME_PATTERN)]
IfMatch = Annotated[str | None, Header(description="Make the change only if this is the ETag, or `*`: if it is there.")]
IfNoneMatch = Annotated[str | None, Header(description="`*`: make the change only if there is nothing yet.")]


def router(registry: Registry) -> APIRouter:
    """Return the routes of all kinds over ``registry``."""
    routes = APIRouter(prefix="/api", tags=["management"])
    for kind, path in PATHS.items():
        managed = _Managed(Management(registry, kind))
        _add_drafts(routes, path, managed)
        _add_versions(routes, path, managed)
        _add_actions(routes, path, managed)
        # Last: a key may hold slashes, so this path matches all of the others'.
        _add_resources(routes, path, managed)
    return routes


class _Managed:
    """One kind's resources, and how they are answered."""

    def __init__(self, resources: Management) -> None:
        self.resources = resources
        self.model: Any = MODELS[resources.kind]
        self.example = shapes.EXAMPLES[resources.kind]
        # A body takes many times its size while it is read, and one writes at a time anyway.
        self._changing = CapacityLimiter(1)

    def described(self, shape: Any, *errors: int, success: int = 200) -> dict[int | str, dict[str, Any]]:
        """Return the description of an answer over this kind's model."""
        described = answers(self._shape(shape), *errors, 503, success=success)
        if 412 in errors:
            described[412] = {"model": self._shape(shapes.StaleAnswer)}
        return described

    def _shape(self, shape: Any) -> Any:
        is_generic = shape is not None and shape.__pydantic_generic_metadata__["parameters"]
        return shape.__class_getitem__(self.model) if is_generic else shape

    async def change(self, change: Callable[[], Response], current: Callable[[], dict[str, Any]]) -> Response:
        """Answer a change; one that is refused as stale with what ``current`` finds."""

        def work() -> Response:
            with registry_errors():
                try:
                    return change()
                except StaleError as err:
                    return self._stale(err, current)

        return await to_thread.run_sync(work, limiter=self._changing)

    def resource(self, project: str, key: str) -> dict[str, Any]:
        """Return a resource, as JSON."""
        return resource_content(self.resources.kind, self.resources.get(project, key))

    def draft(self, project: str, key: str) -> dict[str, Any]:
        """Return a draft, as JSON."""
        return draft_content(*self.resources.draft(project, key))

    def _stale(self, err: StaleError, current: Callable[[], dict[str, Any]]) -> Response:
        try:
            found = current()
        except ResourceNotFoundError:
            found = None
        content = {"error": {"code": "precondition_failed", "message": str(err)}, "current": found}
        return json_answer(content, 412, None if err.tag is None else _tagged(err.tag))


def _add_resources(routes: APIRouter, path: str, managed: _Managed) -> None:
    resources, model = managed.resources, managed.model

    @routes.get(f"/{path}", responses=managed.described(shapes.ResourceListAnswer, 400))
    def list_all(
        project: Project,
        archived: Annotated[bool, Query(description="Those that are archived, instead of those in use.")] = False,
        after: Annotated[str, Query(max_length=NAME_CHARS_MAX, description="Only keys beyond this one.")] = "",
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 100,
    ) -> Response:
        """List the resources by key, each at its latest version."""
        with registry_errors():
            found = [one for one in resources.all(project, archived=archived) if one.latest.key > after]
        listed = [resource_content(resources.kind, one) for one in found[:limit]]
        return json_answer({"resources": listed, "next": listed[-1]["key"] if len(found) > limit else None})

    @routes.get(f"/{path}/{{key:path}}", responses=managed.described(shapes.ResourceAnswer, 400, 404))
    def get(project: Project, key: Key) -> Response:
        """Return one resource at its latest version, also one that is archived."""
        with registry_errors():
            found = resources.get(project, key)
        return json_answer(resource_content(resources.kind, found), headers=_tagged(found.tag))

    @routes.put(
        f"/{path}/{{key:path}}",
        responses=managed.described(shapes.PublishedAnswer, 400, 409, 412, 413, 415),
        openapi_extra=json_request(model, managed.example),
    )
    async def put(
        request: Request,
        project: Project,
        author: Author,
        key: Key,
        note: Note = "",
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Make the body the latest version; one that differs in nothing makes no new version."""
        body, expected = await json_body(request), precondition(if_match, if_none_match)
        return await managed.change(
            lambda: _published(resources.put(project, key, _object(body), Authorship(author, note), expected)),
            lambda: managed.resource(project, key),
        )


def _add_drafts(routes: APIRouter, path: str, managed: _Managed) -> None:
    resources, model = managed.resources, managed.model
    path = f"/{path}/{{key:path}}/draft"

    @routes.get(path, responses=managed.described(shapes.DraftAnswer, 400, 404))
    def get_draft(project: Project, key: Key) -> Response:
        """Return the draft, and what it would change of the latest version."""
        with registry_errors():
            draft, changed = resources.draft(project, key)
        return json_answer(draft_content(draft, changed), headers=_tagged(draft.tag))

    @routes.put(
        path,
        responses=managed.described(shapes.DraftAnswer, 400, 412, 413, 415),
        openapi_extra=json_request(model, managed.example),
    )
    async def put_draft(
        request: Request,
        project: Project,
        author: Author,
        key: Key,
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Keep the body as the draft: clients are not served it."""
        body, expected = await json_body(request), precondition(if_match, if_none_match)

        def change() -> Response:
            resources.put_draft(project, key, _object(body), Authorship(author), expected)
            draft, changed = resources.draft(project, key)
            return json_answer(draft_content(draft, changed), headers=_tagged(draft.tag))

        return await managed.change(change, lambda: managed.draft(project, key))

    @routes.delete(path, status_code=204, responses=managed.described(None, 400, 404, 412, success=204))
    async def delete_draft(project: Project, key: Key, if_match: IfMatch = None) -> Response:
        """Give the draft up."""
        expected = precondition(if_match, None)

        def change() -> Response:
            resources.delete_draft(project, key, expected)
            return Response(status_code=204)

        return await managed.change(change, lambda: managed.draft(project, key))


def _add_versions(routes: APIRouter, path: str, managed: _Managed) -> None:
    resources = managed.resources
    path = f"/{path}/{{key:path}}"

    @routes.get(f"{path}/versions", responses=managed.described(shapes.VersionListAnswer, 400, 404))
    def history(project: Project, key: Key) -> Response:
        """List all versions, the newest first."""
        with registry_errors():
            found = resources.history(project, key)
        return json_answer({"versions": [version_content(resources.kind, version) for version in reversed(found)]})

    @routes.get(f"{path}/versions/{{version}}", responses=managed.described(shapes.VersionDetailAnswer, 400, 404))
    def version(project: Project, key: Key, version: int) -> Response:
        """Return one version, and what it changed of the one before."""
        with registry_errors():
            found, changed = resources.version(project, key, version)
        content = version_content(resources.kind, found)
        return json_answer({**content, "differences": [difference.document() for difference in changed]})

    @routes.get(f"{path}/diff", responses=managed.described(shapes.DiffAnswer, 400, 404))
    def diff(
        project: Project,
        key: Key,
        from_version: Annotated[int, Query(ge=1)],
        to_version: Annotated[int | None, Query(ge=1, description="The latest if absent.")] = None,
    ) -> Response:
        """Tell what differs between two versions."""
        with registry_errors():
            end = to_version or resources.get(project, key).latest.version
            found = resources.diff(project, key, from_version, end)
        changed = [difference.document() for difference in found]
        return json_answer({"from_version": from_version, "to_version": end, "differences": changed})


def _add_actions(routes: APIRouter, path: str, managed: _Managed) -> None:
    resources = managed.resources
    path = f"/{path}/{{key:path}}"
    refusals = (400, 404, 409, 412, 413, 415)

    @routes.post(
        f"{path}/publish",
        responses=managed.described(shapes.PublishedAnswer, *refusals),
        openapi_extra=json_request(shapes.PublishBody),
    )
    async def publish(
        request: Request, project: Project, author: Author, key: Key, if_match: IfMatch = None
    ) -> Response:
        """Make the draft the latest version; `If-Match` names the draft's ETag."""
        body, expected = await parsed(request, shapes.PublishBody), precondition(if_match, None)
        return await managed.change(
            lambda: _published(resources.publish(project, key, Authorship(author, body.note), expected)),
            lambda: managed.draft(project, key),
        )

    @routes.post(
        f"{path}/rollback",
        responses=managed.described(shapes.PublishedAnswer, *refusals),
        openapi_extra=json_request(shapes.RollbackBody),
    )
    async def rollback(
        request: Request, project: Project, author: Author, key: Key, if_match: IfMatch = None
    ) -> Response:
        """Make a new version with the body of an older one."""
        body, expected = await parsed(request, shapes.RollbackBody), precondition(if_match, None)
        by = Authorship(author, body.note)
        return await managed.change(
            lambda: _published(resources.rollback(project, key, body.version, by, expected)),
            lambda: managed.resource(project, key),
        )

    def add_archiving(action: str, archiving: Callable[[str, str, Authorship, Precondition], Any], does: str) -> None:
        @routes.post(
            f"{path}/{action}",
            name=action,
            description=does,
            responses=managed.described(shapes.ResourceAnswer, *refusals),
            openapi_extra=json_request(shapes.PublishBody),
        )
        async def act(
            request: Request, project: Project, author: Author, key: Key, if_match: IfMatch = None
        ) -> Response:
            body, expected = await parsed(request, shapes.PublishBody), precondition(if_match, None)

            def change() -> Response:
                found = archiving(project, key, Authorship(author, body.note), expected)
                return json_answer(resource_content(resources.kind, found), headers=_tagged(found.tag))

            return await managed.change(change, lambda: managed.resource(project, key))

    add_archiving(
        "archive", resources.archive, "Take the resource out of all lists; its versions are still served by number."
    )
    add_archiving("restore", resources.restore, "Put an archived resource back.")


def _published(published: Published) -> Response:
    return json_answer(applied_content(published.change), headers=_tagged(published.tag))


def _tagged(tag: str) -> dict[str, str]:
    return {"ETag": f'"{tag}"'}


def _object(body: bytes) -> dict[str, Any]:
    found = document.json_value(body, "a JSON object")
    if not isinstance(found, dict):
        raise ApiError(400, "invalid_argument", f"body must be a JSON object, got {shown(found)}")
    return found


async def parsed(request: Request, model: type[T]) -> T:
    """Return the request\'s JSON object as the model. Raises ApiError."""
    body = await json_body(request)
    with registry_errors():
        found = _object(body)
    try:
        return model.model_validate(found)
    except ValidationError as err:
        problems = problems_of(err.errors(include_url=False), model=model)
        raise ApiError(400, "invalid_argument", "\n".join(map(str, problems)), problems[0].path) from err
