"""``GET /experiments/{key}/timeseries``, ``…/snapshots`` and ``…/snapshots/{as_of}``: an experiment over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from analytics.api.answers import json_answer
from analytics.api.errors import ApiError
from analytics.api.known_parameters import known_parameters
from analytics.api.project import project
from analytics.api.registry_requests import registry_errors
from analytics.api.results_options import asked, past
from analytics.experiments.kept_results import KeptResults
from analytics.experiments.shown import shown_before
from analytics.experiments.subject import links
from analytics.experiments.timeseries import Asked, Entry, timeseries
from schemas.api.query_moment import Moment
from storage.engines.duckdb import DuckDBEngine
from storage.registry.registry import Registry
from storage.registry.result_snapshots import LISTED_MAX, ResultSnapshots

_ESTIMANDS = "per_call, per_session, per_successful_session; the first that the metric has if absent."


def router(engine: DuckDBEngine, registry: Registry, kept: KeptResults, snapshots: ResultSnapshots) -> APIRouter:
    """Return the router."""
    routes = APIRouter(tags=["experiments"], dependencies=[Depends(known_parameters)])

    @routes.get("/experiments/{key:path}/timeseries", summary="What a figure had come to by the end of each day")
    def course(
        key: str,
        caller: Annotated[str, Depends(project)],
        metric: Annotated[str, Query(description="The metric's name.")],
        statistic: Annotated[
            str | None, Query(description="mean, ratio, proportion, p50, …; the first that the metric has if absent.")
        ] = None,
        estimand: Annotated[str | None, Query(description=_ESTIMANDS)] = None,
        category: Annotated[str | None, Query(description="The value, of a metric of text.")] = None,
        version: Annotated[int | None, Query(ge=1, description="A config version; the latest if absent.")] = None,
        epoch: Annotated[int | None, Query(ge=1, description="A weight epoch; all of the same arms if absent.")] = None,
        as_of: Annotated[Moment | None, Query(description="What had happened before; now if absent.")] = None,
    ) -> Response:
        """Return one figure at the end of each UTC day, and now: estimate, interval, and p by variant."""
        subject, experiment = asked(registry, caller, key, version=version, epoch=epoch, as_of=as_of)
        is_whole = version is None and epoch is None
        shown = shown_before(snapshots, subject, experiment) if is_whole else dict
        with registry_errors():
            found = kept.results(
                caller, experiment, subject.settings, before=subject.before, shown=shown, waits=as_of is not None
            )
        entry = _entry(found, metric, {"statistic": statistic, "estimand": estimand, "category": category})
        answer = timeseries(
            engine,
            caller,
            experiment,
            subject.settings,
            Asked(subject.told(found), entry),
            lambda before: kept.results(caller, experiment, subject.settings, before=before),
        )
        return json_answer({**answer, "links": {"results": f"{links(key)['timeseries'].rpartition('/')[0]}/results"}})

    @routes.get("/experiments/{key:path}/snapshots", summary="When results were kept as they were shown")
    def taken(
        key: str,
        caller: Annotated[str, Depends(project)],
        before: Annotated[Moment | None, Query(description="Only older ones: `next_before`.")] = None,
    ) -> Response:
        """List the snapshots of an experiment's results, the latest first."""
        with registry_errors():
            found = snapshots.taken(caller, key, None if before is None else past(before, "before"))
        if not found and before is None:
            # What is archived may have some; of what never was there are none.
            asked(registry, caller, key)
        path = links(key)["snapshots"]
        told = [
            {**asdict(each), "as_of": each.as_of.isoformat(), "link": f"{path}/{_moment(each.as_of)}"} for each in found
        ]
        next_before = told[-1]["as_of"] if len(told) == LISTED_MAX else None
        return json_answer({"snapshots": told, "next_before": next_before})

    @routes.get("/experiments/{key:path}/snapshots/{as_of}", summary="Results as they were shown")
    def shown(key: str, as_of: Moment, caller: Annotated[str, Depends(project)]) -> Response:
        """Return the latest results that were kept until a moment, as they were shown then."""
        with registry_errors():
            found = snapshots.latest(caller, key, past(as_of, "as_of"))
        if found is None:
            message = f"no results of {key!r} were kept until {as_of.isoformat()}: GET {links(key)['snapshots']} lists"
            raise ApiError(404, "not_found", f"{message} what is", "as_of")
        return json_answer(found)

    return routes


def _moment(moment: datetime) -> str:
    # A plus in a path is one, but many read it as a blank.
    return moment.isoformat().replace("+00:00", "Z")


def _entry(found: Mapping[str, Any], metric: str, more: Mapping[str, str | None]) -> Entry:
    """Return the first entry of the results that is asked for. Raises ApiError where there is none."""
    of_name = [entry for entry in found["metrics"] if entry["name"] == metric]
    if not of_name:
        names = ", ".join(list(dict.fromkeys(entry["name"] for entry in found["metrics"]))[:50])
        message = f"{metric!r} is no metric of this experiment, which has: {names}"
        raise ApiError(400, "invalid_argument", message, "metric")
    for entry in of_name:
        if all(wanted in (None, entry.get(name)) for name, wanted in more.items()):
            entry_found: Entry = entry
            return entry_found
    there = "; ".join(
        ", ".join(f"{name}={entry[name]}" for name in more if entry.get(name) is not None) for entry in of_name
    )
    wanted = ", ".join(f"{name}={value}" for name, value in more.items() if value is not None)
    raise ApiError(400, "invalid_argument", f"{metric!r} has no figure with {wanted}; there are: {there}", "statistic")
