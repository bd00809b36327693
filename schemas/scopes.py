"""Scopes: what an API key may do within its project."""

from enum import StrEnum


class Scope(StrEnum):
    """What a key may do. ``admin`` includes the others; ``ingest`` includes what clients fetch: configs and prompts."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"


Scopes = frozenset[Scope]

INGEST: Scopes = frozenset({Scope.INGEST})
READ: Scopes = frozenset({Scope.READ})
ADMIN: Scopes = frozenset({Scope.ADMIN})
FETCH: Scopes = INGEST | READ
ALL: Scopes = frozenset(Scope)
