"""Configs, prompts and prompt tests one at a time: versions, drafts, roll-backs, archiving; one code for all kinds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.changing import (
    Asked,
    Author,
    IfMatch,
    IfNoneMatch,
    Key,
    Managed,
    Project,
    add_action,
    json_object,
    published,
    tagged,
)
from analytics.api.descriptions import json_request
from analytics.api.managed import PATHS, draft_content, resource_content, version_content
from analytics.api.registry_requests import Note, json_body, precondition, registry_errors
from schemas.api import management as shapes
from schemas.api.resource import NAME_CHARS_MAX
from storage.registry.management import Management
from storage.registry.registry import Registry
from storage.registry.resources import Authorship, Resource

LIST_MAX = 1_000


def router(registry: Registry) -> APIRouter:
    """Return the routes of all kinds over ``registry``."""
    routes = APIRouter(prefix="/api", tags=["management"])
    for kind, path in PATHS.items():
        managed = Managed(Management(registry, kind))
        _add_drafts(routes, path, managed)
        _add_versions(routes, path, managed)
        _add_actions(routes, path, managed)
        # Last: a key may hold slashes, so this path matches all of the others'.
        _add_resources(routes, path, managed)
    return routes


def _add_resources(routes: APIRouter, path: str, managed: Managed) -> None:
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
        return json_answer(resource_content(resources.kind, found), headers=tagged(found.tag))

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
            lambda: published(resources.put(project, key, json_object(body), Authorship(author, note), expected)),
            lambda: managed.resource(project, key),
        )


def _add_drafts(routes: APIRouter, path: str, managed: Managed) -> None:
    resources, model = managed.resources, managed.model
    path = f"/{path}/{{key:path}}/draft"

    @routes.get(path, responses=managed.described(shapes.DraftAnswer, 400, 404))
    def get_draft(project: Project, key: Key) -> Response:
        """Return the draft, and what it would change of the latest version."""
        with registry_errors():
            draft, changed = resources.draft(project, key)
        return json_answer(draft_content(draft, changed), headers=tagged(draft.tag))

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
            resources.put_draft(project, key, json_object(body), Authorship(author), expected)
            draft, changed = resources.draft(project, key)
            return json_answer(draft_content(draft, changed), headers=tagged(draft.tag))

        return await managed.change(change, lambda: managed.draft(project, key))

    @routes.delete(path, status_code=204, responses=managed.described(None, 400, 404, 412, success=204))
    async def delete_draft(project: Project, key: Key, if_match: IfMatch = None) -> Response:
        """Give the draft up."""
        expected = precondition(if_match, None)

        def change() -> Response:
            resources.delete_draft(project, key, expected)
            return Response(status_code=204)

        return await managed.change(change, lambda: managed.draft(project, key))


def _add_versions(routes: APIRouter, path: str, managed: Managed) -> None:
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


def _add_actions(routes: APIRouter, path: str, managed: Managed) -> None:
    resources = managed.resources
    path = f"/{path}/{{key:path}}"

    def publish(asked: Asked[shapes.PublishBody]) -> Response:
        return published(resources.publish(asked.project, asked.key, asked.by(), asked.expected))

    def rollback(asked: Asked[shapes.RollbackBody]) -> Response:
        version = asked.body.version
        return published(resources.rollback(asked.project, asked.key, version, asked.by(), asked.expected))

    def archive(asked: Asked[shapes.PublishBody]) -> Response:
        return told(resources.archive(asked.project, asked.key, asked.by(), asked.expected))

    def restore(asked: Asked[shapes.PublishBody]) -> Response:
        return told(resources.restore(asked.project, asked.key, asked.by(), asked.expected))

    def told(found: Resource) -> Response:
        return json_answer(resource_content(resources.kind, found), headers=tagged(found.tag))

    add_action(
        routes,
        managed,
        f"{path}/publish",
        shapes.PublishBody,
        publish,
        does="Make the draft the latest version; `If-Match` names the draft's ETag.",
        example={"note": "More traffic for the challenger"},
        of_draft=True,
    )
    add_action(
        routes,
        managed,
        f"{path}/rollback",
        shapes.RollbackBody,
        rollback,
        does="Make a new version with the body of an older one.",
        example={"version": 2, "note": "The new one costs more"},
    )
    add_action(
        routes,
        managed,
        f"{path}/archive",
        shapes.PublishBody,
        archive,
        does="Take the resource out of all lists; its versions are still served by number.",
        example={"note": "The test is over"},
        answer=shapes.ResourceAnswer,
    )
    add_action(
        routes,
        managed,
        f"{path}/restore",
        shapes.PublishBody,
        restore,
        does="Put an archived resource back.",
        example={"note": "Once more"},
        answer=shapes.ResourceAnswer,
    )
