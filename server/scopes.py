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
    for resources in ("configs", "prompts", "prompt-tests")
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
)

ROLLOUTS = tuple(f"/api/configs/{{key:path}}/{action}" for action in ("rollout", "conclude", "stop"))

SCOPES: dict[str, Scopes] = {
    "/v1/traces": INGEST,
    "/v1/logs": INGEST,
    "/v1/metrics": INGEST,
    "/spans": INGEST,
    "/sessions": INGEST,
    "/configs": FETCH,
    "/configs/{key:path}/version/{version}": FETCH,
    "/prompts": FETCH,
    "/prompt-ab-tests": FETCH,
    "/experiments": READ,
    "/experiments/{key:path}/results": READ,
    "/traces/{trace_id}": READ,
    "/sql": READ,
    "/apply": ADMIN,
    **dict.fromkeys(MANAGEMENT, READ),
    **dict.fromkeys(ROLLOUTS, ADMIN),
    "/customers/forget": ADMIN,
    "/customers/forget/{job_id}": ADMIN,
    "/api/export": READ,
    # These concern all projects.
    "/backups": ADMIN,
    "/debug/pipeline": ADMIN,
    "/metrics": ADMIN,
    "/openapi.json": ALL,
}

_MANAGED = tuple(path for path in MANAGEMENT if "{" not in path)
_PATTERNS = tuple((compile_path(path)[0], scopes) for path, scopes in SCOPES.items() if "{" in path)


def scopes_of(path: str, method: str = "GET") -> Scopes | None:
    """Return the scopes of which a key needs one on this path; None where the path is not listed."""
    scopes = _scopes_to_read(path)
    is_change = method not in ("GET", "HEAD") and path.startswith(_MANAGED)
    return ADMIN if scopes is not None and is_change else scopes


def _scopes_to_read(path: str) -> Scopes | None:
    listed = SCOPES.get(path)
    if listed is not None:
        return listed
    # A path that several patterns match needs what suffices for each.
    found = [scopes for pattern, scopes in _PATTERNS if pattern.match(path)]
    return reduce(and_, found) if found else None
