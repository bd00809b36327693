"""The body of every error answer of the HTTP API."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ErrorPosition(BaseModel):
    """A place in a text, such as a SQL statement."""

    line: int = Field(description="From 1.")
    column: int = Field(description="Of the character in its line, from 1.")


class ErrorDetail(BaseModel):
    """What was wrong, what was got, and what to do."""

    code: str = Field(examples=["not_found", "invalid_argument"])
    message: str
    field: str | None = Field(default=None, description="Path to the field at fault; absent if there is none.")
    position: ErrorPosition | None = Field(default=None, description="The place in it, where that is known.")


class ErrorAnswer(BaseModel):
    """The error body: ``{"error": {"code", "message", "field"?, "position"?}}``."""

    error: ErrorDetail
