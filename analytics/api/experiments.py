"""``GET /experiments``, ``GET /experiments/{key}/results`` and ``/plot.svg``."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.known_parameters import known_parameters
from analytics.api.project import project
from analytics.api.registry_requests import registry_errors
from analytics.api.results_formats import DESCRIBED, DESCRIBED_PICTURE, formed
from analytics.api.results_options import asked, chosen, with_metrics
from analytics.api.segment_places import SegmentPlaces
from analytics.experiments.kept_results import KeptResults
from analytics.experiments.listing import listed
from analytics.experiments.settings import Inference
from analytics.experiments.shown import shown_before
from schemas.api.compare import Segment
from schemas.api.query_moment import Moment
from storage import sql
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry
from storage.registry.result_snapshots import ResultSnapshots


def router(engine: DuckDBEngine, registry: Registry, kept: KeptResults, snapshots: ResultSnapshots) -> APIRouter:
    """Return the router."""
    routes = APIRouter(tags=["experiments"], dependencies=[Depends(known_parameters)])
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
        as_of: Annotated[Moment | None, Query(description="What had happened before; now if absent.")] = None,
        segment: Annotated[
            Segment | None,
            Query(description="`customer`, `tag`, `metadata.KEY`, `model`, `hour` or `version`: also by segment."),
        ] = None,
    ) -> Response:
        """Return the experiment's results: as of now, of its end where it has ended, or of the moment asked for."""
        subject, experiment = asked(registry, caller, key, version=version, epoch=epoch, as_of=as_of)
        settings = subject.settings if inference is None else replace(subject.settings, inference=inference)
        is_whole = version is None and epoch is None
        shown = shown_before(snapshots, subject, experiment) if is_whole else dict
        with registry_errors():
            found = kept.results(
                caller, experiment, settings, before=subject.before, shown=shown, waits=as_of is not None
            )
        answer = chosen(subject.told(found), metrics)
        if segment is not None:
            section = in_segments.segments(caller, experiment, settings, segment, before=subject.before)
            answer["segments"] = with_metrics(section, answer["metrics"])
        return formed(request, answer)

    return routes
