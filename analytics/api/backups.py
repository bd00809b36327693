"""``POST /backups``: a copy of all data as it is now, within the server's data directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel, Field


class BackupAnswer(BaseModel):
    """Where the backup lies, on the server's machine."""

    path: str
    left_out: str = Field(description="What is not in it, and how to back that up; empty where that is nothing.")


def router(backup: Callable[[], Path], *, left_out: str) -> APIRouter:
    """Return the router. ``backup`` makes one and returns its folder."""
    routes = APIRouter(tags=["operation"])

    @routes.post("/backups", status_code=201, summary="Make a backup")
    def make() -> BackupAnswer:
        """Make a backup of all projects' data, with everything that was acknowledged before, and say where it lies."""
        return BackupAnswer(path=str(backup()), left_out=left_out)

    return routes
