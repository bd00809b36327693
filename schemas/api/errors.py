"""The body of every error answer of the HTTP API."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ErrorDetail(BaseModel):
    """What was wrong, what was got, and what to do."""

    code: str = Field(examples=["not_found", "invalid_argument"])
    message: str
    field: str | None = Field(default=None, description="Path to the field at fault; absent if there is none.")


class ErrorAnswer(BaseModel):
    """The error body: ``{"error": {"code", "message", "field"?}}``."""

    error: ErrorDetail
