"""How configs, prompts and prompt tests are changed over HTTP: once, for all kinds and all actions.

``ETag`` names what is there: the version of a resource, or the revision of a draft. A change with ``If-Match`` is made
only if that is still there; else it is answered 412, with what is there now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Header, Path
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.author import author
from analytics.api.descriptions import answers, json_request
from analytics.api.errors import ApiError
from analytics.api.managed import applied_content, draft_content, resource_content
from analytics.api.project import project
from analytics.api.registry_requests import json_body, precondition, registry_errors
from schemas.api import management as shapes
from schemas.api.management_examples import answer_example
from schemas.api.problems import NAME_PATTERN, problems_of, shown
from schemas.api.resource import NAME_CHARS_MAX
from storage.registry import document
from storage.registry.bodies import MODELS
from storage.registry.errors import ResourceNotFoundError, StaleError
from storage.registry.management import Management
from storage.registry.resources import Authorship, Precondition, Published

Body = TypeVar("Body", bound=shapes.PublishBody)
Model = TypeVar("Model", bound=BaseModel)

Project = Annotated[str, Depends(project)]
Author = Annotated[str, Depends(author)]
Key = Annotated[str, Path(max_length=NAME_CHARS_MAX, pattern=NAME_PATTERN)]
IfMatch = Annotated[str | None, Header(description="Make the change only if this is the ETag, or `*`: if it is there.")]
IfNoneMatch = Annotated[str | None, Header(description="`*`: make the change only if there is nothing yet.")]

_ACTION_ERRORS = (400, 404, 409, 412, 413, 415)


class Managed:
    """One kind's resources, and how they are answered."""

    def __init__(self, resources: Management) -> None:
        self.resources = resources
        self.model: Any = MODELS[resources.kind]
        self.example = shapes.EXAMPLES[resources.kind]
        # A body takes many times its size while it is read, and one writes at a time anyway.
        self._changing = CapacityLimiter(1)

    def described(self, shape: Any, *errors: int, success: int = 200) -> dict[int | str, dict[str, Any]]:
        """Return the description of an answer over this kind's model."""
        example = answer_example(shape, self.resources.kind)
        described = answers(self._shape(shape), *errors, 503, success=success, example=example)
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
        return json_answer(content, 412, None if err.tag is None else tagged(err.tag))


@dataclass(frozen=True, slots=True)
class Asked(Generic[Body]):
    """An action on one resource: which one, by whom, with which body, and on what it is to be made."""

    project: str
    key: str
    body: Body
    author: str
    expected: Precondition

    def by(self, note: str = "") -> Authorship:
        """Return whose change it is, and why: the note that was given, else this one."""
        return Authorship(self.author, self.body.note or note)


def add_action(
    routes: APIRouter,
    managed: Managed,
    path: str,
    body: type[Body],
    act: Callable[[Asked[Body]], Response],
    *,
    does: str,
    example: object = None,
    answer: Any = shapes.PublishedAnswer,
    of_draft: bool = False,
) -> None:
    """Add ``POST path``, the last part of which names the action; its ``If-Match`` is of the resource, or its draft."""
    current = managed.draft if of_draft else managed.resource

    @routes.post(
        path,
        name=path.rpartition("/")[2],
        description=does,
        responses=managed.described(answer, *_ACTION_ERRORS),
        openapi_extra=json_request(body, example),
    )
    async def action(
        request: Request, project: Project, author: Author, key: Key, if_match: IfMatch = None
    ) -> Response:
        asked = Asked(project, key, await parsed(request, body), author, precondition(if_match, None))
        return await managed.change(lambda: act(asked), lambda: current(project, key))


def published(done: Published) -> Response:
    """Answer with the version that a change has made, and its tag."""
    return json_answer(applied_content(done.change), headers=tagged(done.tag))


def tagged(tag: str) -> Mapping[str, str]:
    """Return the header that names what is there."""
    return {"ETag": f'"{tag}"'}


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. Raises ApiError, DocumentError."""
    found = document.json_value(body, "a JSON object")
    if not isinstance(found, dict):
        raise ApiError(400, "invalid_argument", f"body must be a JSON object, got {shown(found)}")
    return found


async def parsed(request: Request, model: type[Model]) -> Model:
    """Return the request's JSON object as the model. Raises ApiError."""
    body = await json_body(request)
    with registry_errors():
        found = json_object(body)
    try:
        return model.model_validate(found)
    except ValidationError as err:
        problems = problems_of(err.errors(include_url=False), model=model)
        raise ApiError(400, "invalid_argument", "\n".join(map(str, problems)), problems[0].path) from err
