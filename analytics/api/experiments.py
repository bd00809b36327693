"""``GET /experiments`` and ``GET /experiments/{key}/results``."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.experiments.arms import experiment_of
from analytics.experiments.beside import with_tests_beside
from analytics.experiments.epochs import weight_epochs
from analytics.experiments.kept_results import KeptResults
from analytics.rows import json_value
from fallom.assignment import variant_keys
from storage import sql
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry
from storage.registry.resources import ConfigVersion


def router(engine: DuckDBEngine, registry: Registry) -> APIRouter:
    """Return the router."""
    routes = APIRouter(tags=["experiments"])
    kept = KeptResults(engine)

    @routes.get("/experiments", summary="All experiments with their traffic")
    def experiments(caller: Annotated[str, Depends(project)]) -> Response:
        """Return every config of the project, newest traffic first."""
        traffic = {row["config_key"]: row for row in engine.query(sql.load("experiments"), project=caller).to_pylist()}
        listed = [_summary(config, traffic.get(config["key"], {})) for config in registry.configs(caller)]
        listed.sort(key=lambda entry: str(entry["last_seen_at"] or ""), reverse=True)
        return json_answer({"experiments": listed})

    @routes.get(
        "/experiments/{key:path}/results", summary="Which variant is faster, cheaper, fails less, scores better"
    )
    def results(
        key: str,
        caller: Annotated[str, Depends(project)],
        version: Annotated[int | None, Query(ge=1, description="A config version; the latest if absent.")] = None,
        epoch: Annotated[int | None, Query(ge=1, description="A weight epoch; all of the same arms if absent.")] = None,
        metrics: Annotated[str | None, Query(description="Names of metrics, comma-separated; all if absent.")] = None,
    ) -> Response:
        """Return the experiment's results as of now."""
        versions = registry.config_versions(caller, key)
        if not versions:
            known = ", ".join(config["key"] for config in registry.configs(caller)[:20]) or "none"
            raise ApiError(404, "not_found", f"no config {key!r} is defined; there are: {known}", "key")
        experiment = experiment_of(key, versions, version, epoch=epoch)
        if experiment is None:
            raise _not_there(key, versions, version, epoch)
        only = frozenset(name.strip() for name in metrics.split(",")) if metrics else None
        experiment = with_tests_beside(experiment, registry.configs(caller))
        return json_answer(kept.results(caller, experiment, only=only))

    return routes


def _not_there(key: str, versions: Sequence[ConfigVersion], version: int | None, epoch: int | None) -> ApiError:
    if version is not None and not 1 <= version <= len(versions):
        message = f"config {key!r} has versions 1 to {len(versions)}, not {version}"
        return ApiError(404, "not_found", message, "version")
    epochs = weight_epochs(key, versions)
    if version is not None:
        message = f"version {version} of config {key!r} is not in weight epoch {epoch}: name one of both"
    else:
        message = f"config {key!r} has weight epochs 1 to {len(epochs)}, not {epoch}"
    return ApiError(404, "not_found", message, "epoch")


def _summary(config: dict[str, Any], traffic: dict[str, Any]) -> dict[str, Any]:
    seen = [traffic[name] for name in ("last_exposure", "last_call") if traffic.get(name)]
    return {
        "key": config["key"],
        "status": "running" if traffic else "waiting",
        "config_version": config["version"],
        "variants": variant_keys(config["variants"]),
        "sessions": traffic.get("sessions", 0),
        "calls": traffic.get("calls", 0),
        "first_exposure_at": json_value(traffic.get("first_exposure")),
        "last_seen_at": json_value(max(seen)) if seen else None,
    }
