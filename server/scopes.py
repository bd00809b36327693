"""Which scope a key needs on which HTTP path: the one list of all paths.

A path that is missing here is hidden from all keys but those of ``admin``; a test compares the list with the routes.
"""

from functools import reduce
from operator import and_

from starlette.routing import compile_path

from schemas.scopes import ADMIN, ALL, FETCH, INGEST, READ, Scopes

# Health alone is told to anybody.
PUBLIC_PATHS = frozenset({"/healthz", "/readyz"})

# To change something here takes a key of admin.
MANAGEMENT = tuple(
    f"/api/{resources}{path}"
    for resources in ("configs", "prompts", "prompt-tests", "prices", "experiments", "alerts")
    for path in (
        "",
        "/{key:path}",
        "/{key:path}/draft",
        "/{key:path}/publish",
        "/{key:path}/versions",
        "/{key:path}/versions/{version}",
        "/{key:path}/diff",
        "/{key:path}/rollback",
        "/{key:path}/archive",
        "/{key:path}/restore",
    )
) + tuple(
    f"/api/{action}"
    for action in (
        "configs/{key:path}/rollout",
        "configs/{key:path}/conclude",
        "configs/{key:path}/stop",
        "experiments/{key:path}/end",
        "alerts/{key:path}/test",
    )
)

SCOPES: dict[str, Scopes] = {
    "/v1/traces": INGEST,
    "/v1/logs": INGEST,
    "/v1/metrics": INGEST,
    "/spans": INGEST,
    "/sessions": READ,
    "/sessions/{session_id:path}": READ,
    # A key that may fetch only must not store exposures.
    "/assign": INGEST,
    "/ofrep/v1/evaluate/flags": FETCH,
    "/ofrep/v1/evaluate/flags/{key:path}": INGEST,
    "/configs": FETCH,
    "/configs/{key:path}/version/{version}": FETCH,
    "/prompts": FETCH,
    "/prompt-ab-tests": FETCH,
    "/experiments": READ,
    "/experiments/{key:path}/results": READ,
    "/experiments/{key:path}/timeseries": READ,
    "/experiments/{key:path}/snapshots": READ,
    "/experiments/{key:path}/snapshots/{as_of}": READ,
    "/experiments/{key:path}/sessions": READ,
    "/compare": READ,
    "/compare/values": READ,
    "/experiments/{key:path}/plot.svg": READ,
    "/alerts/deliveries": READ,
    "/traces": READ,
    "/traces/live": READ,
    "/traces/export": READ,
    "/traces/{trace_id}": READ,
    "/api/sdk-evals": INGEST,
    "/api/datasets": READ,
    "/api/datasets/{key}": READ,
    "/api/datasets/{key}/versions": READ,
    "/api/datasets/{key}/from-sql": ADMIN,
    "/api/evals": READ,
    "/api/evals/{run_id}": READ,
    "/api/evals/{run_id}/items": READ,
    "/sql": READ,
    "/apply": ADMIN,
    **dict.fromkeys(MANAGEMENT, READ),
    "/customers/forget": ADMIN,
    "/customers/forget/{job_id}": ADMIN,
    "/reprice": ADMIN,
    "/reprice/{job_id}": ADMIN,
    "/api/export": READ,
    # These concern all projects.
    "/backups": ADMIN,
    "/debug/pipeline": ADMIN,
    "/metrics": ADMIN,
    "/openapi.json": ALL,
}

# Where changing, or sending, needs another scope than reading does.
CHANGES: dict[str, Scopes] = {"/sessions": INGEST, "/api/datasets/{key}": ADMIN, **dict.fromkeys(MANAGEMENT, ADMIN)}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

_PATTERNS = tuple((compile_path(path)[0], scopes) for path, scopes in SCOPES.items() if "{" in path)
_CHANGES = tuple((compile_path(path)[0], scopes) for path, scopes in CHANGES.items())


def scopes_of(path: str, method: str = "GET") -> Scopes | None:
    """Return the scopes of which a key needs one on this path; None where the path is not listed."""
    if method not in _READING:
        changing = [scopes for pattern, scopes in _CHANGES if pattern.match(path)]
        if changing:
            return reduce(and_, changing)
    listed = SCOPES.get(path)
    if listed is not None:
        return listed
    # A path that several patterns match needs what suffices for each.
    found = [scopes for pattern, scopes in _PATTERNS if pattern.match(path)]
    return reduce(and_, found) if found else None
