"""``POST /reprice``: prices calls of before by the prices of today; begun, then asked after."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from analytics.api.jobs import Job, Jobs, State
from analytics.api.project import project
from storage.upkeep.repricing import Repriced

Reprice = Callable[[str, date, bool, Callable[[str, float], None]], Repriced]


class RepriceRequest(BaseModel):
    """From which day on, in UTC; with ``dry_run`` nothing is changed, and the answer is what would be."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[date, Field(examples=["2026-11-01"])]
    dry_run: Annotated[bool, Field(strict=True)] = False


class RepricedAnswer(BaseModel):
    """What became of the spans whose cost comes to something else; costs are theirs, in USD."""

    spans: int = Field(description="How many there are.")
    newly_priced: int = Field(description="Of these, those that had no cost.")
    no_longer_priced: int = Field(description="Those that have none now.")
    cost_before: float
    cost_after: float


class RepriceAnswer(BaseModel):
    """How far it is: ``progress`` and ``share_done`` (of 1) while it runs, ``result`` in the end, or what failed."""

    id: str
    state: State
    progress: str
    share_done: float
    result: RepricedAnswer | None
    error: str


def router(reprice: Reprice) -> APIRouter:
    """Return the router. ``reprice`` takes the project, the day, whether it is dry, and what is told its progress."""
    routes = APIRouter(tags=["costs"])
    jobs: Jobs[Repriced] = Jobs("repricing", "calls are being priced anew")

    @routes.post("/reprice", status_code=202, summary="Price calls of before anew")
    def begin(request: RepriceRequest, caller: Annotated[str, Depends(project)]) -> RepriceAnswer:
        """Begin to price the calls of the caller's project, from a day on, by public prices and its own as they are."""
        return _answer(jobs.begin(caller, lambda job: reprice(caller, request.since, request.dry_run, job.tell)))

    @routes.get("/reprice/{job_id}", summary="How far the repricing is")
    def ask(job_id: str, caller: Annotated[str, Depends(project)]) -> RepriceAnswer:
        """Return how far it is."""
        return _answer(jobs.find(caller, job_id))

    return routes


def _answer(job: Job[Repriced]) -> RepriceAnswer:
    # The state first: what belongs to it was set before it.
    state, result = job.state, job.result
    return RepriceAnswer(
        id=job.id,
        state=state,
        progress=job.progress,
        share_done=job.share_done,
        result=None if result is None else RepricedAnswer(**asdict(result)),
        error=job.error,
    )
