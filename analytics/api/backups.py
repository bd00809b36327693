"""``POST /backups``: a copy of all data as it is now, within the server's data directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel


class BackupAnswer(BaseModel):
    """Where the backup lies, on the server's machine."""

    path: str


def router(backup: Callable[[], Path]) -> APIRouter:
    """Return the router. ``backup`` makes one and returns its folder."""
    routes = APIRouter(tags=["operation"])

    @routes.post("/backups", status_code=201, summary="Make a backup")
    def make() -> BackupAnswer:
        """Make a backup of all projects' data, with everything that was acknowledged before, and say where it lies."""
        return BackupAnswer(path=str(backup()))

    return routes
