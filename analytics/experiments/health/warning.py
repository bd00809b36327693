"""A warning of the health section: a code for programs, a sentence for people, and the figures that it rests on."""

from typing import Any


def warning(code: str, message: str, **figures: Any) -> dict[str, Any]:
    """Return one warning."""
    return {"code": code, "message": message, **figures}
