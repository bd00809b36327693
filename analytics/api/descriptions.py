"""Parts of the API's description that FastAPI can't derive: bodies that are read by hand, answers that are bytes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from analytics.api.request_body import described_body
from schemas.api.errors import ErrorAnswer


def answers(
    model: type[BaseModel] | None, *errors: int, success: int = 200, example: object = None
) -> dict[int | str, dict[str, Any]]:
    """Return the description of an answer, and of the errors beside it."""
    answered: dict[int | str, dict[str, Any]] = {success: {"model": model}} if model is not None else {}
    if example is not None:
        answered[success]["content"] = {"application/json": {"example": example}}
    return {**answered, **{status: {"model": ErrorAnswer} for status in errors}}


def json_request(model: type[BaseModel], example: object = None) -> dict[str, Any]:
    """Return the description of a JSON body."""
    described = described_body(model)
    if example is not None:
        described["requestBody"]["content"]["application/json"]["example"] = example
    return described
