"""``GET /experiments`` and ``GET /experiments/{key}/results``."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.errors import ApiError
from analytics.api.project import project
from analytics.api.registry_requests import registry_errors
from analytics.experiments.arms import experiment_of
from analytics.experiments.beside import with_tests_beside
from analytics.experiments.declarations import settings_of
from analytics.experiments.epochs import weight_epochs
from analytics.experiments.kept_results import KeptResults
from analytics.experiments.listing import listed
from analytics.experiments.settings import declared_section
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
        """Return the declared experiments, and the configs that none looks at, newest traffic first."""
        traffic = {row["config_key"]: row for row in engine.query(sql.load("experiments"), project=caller).to_pylist()}
        declared, configs = registry.experiments(caller), registry.configs(caller)
        found = listed(declared, configs, registry.prompt_ab_tests(caller), traffic, datetime.now(UTC))
        return json_answer({"experiments": found})

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
        with registry_errors():
            config_key, settings = settings_of(registry, caller, key)
        if settings.looks_at == "prompt_ab_test":
            raise ApiError(404, "not_found", f"{key!r} looks at a prompt test, which has no results yet", "key")
        versions = registry.config_versions(caller, config_key)
        if not versions:
            known = ", ".join(config["key"] for config in registry.configs(caller)[:20]) or "none"
            raise ApiError(404, "not_found", f"no config {config_key!r} is defined; there are: {known}", "key")
        experiment = experiment_of(config_key, versions, version, epoch=epoch)
        if experiment is None:
            raise _not_there(config_key, versions, version, epoch)
        only = frozenset(name.strip() for name in metrics.split(",")) if metrics else None
        experiment = with_tests_beside(experiment, registry.configs(caller))
        found = kept.results(caller, experiment, only=only)
        told = {**found["experiment"], **declared_section(settings), "key": key, "config": config_key}
        return json_answer({**found, "experiment": told})

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
