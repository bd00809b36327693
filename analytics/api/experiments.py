"""``GET /experiments``, ``GET /experiments/{key}/results`` and ``/plot.svg``."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.project import project
from analytics.api.results_formats import DESCRIBED, DESCRIBED_PICTURE, formed
from analytics.api.results_options import chosen, experiment_asked, links, with_metrics
from analytics.api.segment_places import SegmentPlaces
from analytics.experiments.beside import with_tests_beside
from analytics.experiments.kept_results import KeptResults
from analytics.experiments.listing import listed
from analytics.experiments.settings import Inference
from schemas.api.compare import Segment
from storage import sql
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry


def router(engine: DuckDBEngine, registry: Registry) -> APIRouter:
    """Return the router."""
    routes = APIRouter(tags=["experiments"])
    kept = KeptResults(engine)
    in_segments = SegmentPlaces(engine)

    @routes.get("/experiments", summary="All experiments with their traffic")
    def experiments(caller: Annotated[str, Depends(project)]) -> Response:
        """Return the declared experiments, and the configs that none looks at, newest traffic first."""
        traffic = {row["config_key"]: row for row in engine.query(sql.load("experiments"), project=caller).to_pylist()}
        declared, configs = registry.experiments(caller), registry.configs(caller)
        found = listed(declared, configs, registry.prompt_ab_tests(caller), traffic, datetime.now(UTC))
        return json_answer({"experiments": found})

    @routes.get(
        "/experiments/{key:path}/plot.svg",
        responses=DESCRIBED_PICTURE,
        response_class=Response,
        summary="The lift of each metric with its interval, as a picture",
    )
    @routes.get(
        "/experiments/{key:path}/results",
        responses=DESCRIBED,
        response_class=Response,
        summary="Which variant is faster, cheaper, fails less, scores better",
    )
    def results(
        request: Request,
        key: str,
        caller: Annotated[str, Depends(project)],
        version: Annotated[int | None, Query(ge=1, description="A config version; the latest if absent.")] = None,
        epoch: Annotated[int | None, Query(ge=1, description="A weight epoch; all of the same arms if absent.")] = None,
        inference: Annotated[Inference | None, Query(description="Instead of the experiment's own inference.")] = None,
        metrics: Annotated[str | None, Query(description="Names of metrics, comma-separated; all if absent.")] = None,
        segment: Annotated[
            Segment | None,
            Query(description="`customer`, `tag`, `metadata.KEY`, `model`, `hour` or `version`: also by segment."),
        ] = None,
    ) -> Response:
        """Return the experiment's results as of now."""
        looked_at, settings, experiment = experiment_asked(registry, caller, key, version, epoch)
        if settings.looks_at == "config":
            experiment = with_tests_beside(experiment, registry.configs(caller))
        if inference is not None:
            settings = replace(settings, inference=inference)
        found = kept.results(caller, experiment, settings)
        told = {**found["experiment"], "key": key, settings.looks_at: looked_at}
        answer = chosen({**found, "experiment": told, "links": links(key)}, metrics)
        if segment is not None:
            section = in_segments.segments(caller, experiment, settings, segment)
            answer["segments"] = with_metrics(section, answer["metrics"])
        return formed(request, answer)

    return routes
