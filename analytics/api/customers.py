"""``POST /customers/forget``: removes a customer's rows; since that may take long, it is begun, then asked after."""

from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from analytics.api.jobs import Job, Jobs, State
from analytics.api.project import project

Rows = Mapping[str, int]
Forget = Callable[[str, str, Callable[[str], None]], Rows]


class ForgetRequest(BaseModel):
    """The customer, as the clients name them."""

    model_config = ConfigDict(extra="forbid")

    customer_id: Annotated[str, Field(strict=True, min_length=1, max_length=10_000)]


class ForgetAnswer(BaseModel):
    """How far it is: ``progress`` while it runs, ``rows`` removed of each table when it is done, or what failed."""

    id: str
    state: State
    progress: str
    rows: dict[str, int]
    error: str


def router(forget: Forget) -> APIRouter:
    """Return the router. ``forget`` takes the project, the customer, and what is called with its progress."""
    routes = APIRouter(tags=["customers"])
    jobs: Jobs[Rows] = Jobs("removal", "a customer is being forgotten")

    @routes.post("/customers/forget", status_code=202, summary="Remove a customer's rows")
    def begin(request: ForgetRequest, caller: Annotated[str, Depends(project)]) -> ForgetAnswer:
        """Begin to remove all rows of one customer of the caller's project, acknowledged or committed."""
        return _answer(jobs.begin(caller, lambda job: forget(caller, request.customer_id, job.tell)))

    @routes.get("/customers/forget/{job_id}", summary="How far the removal of a customer's rows is")
    def ask(job_id: str, caller: Annotated[str, Depends(project)]) -> ForgetAnswer:
        """Return how far it is."""
        return _answer(jobs.find(caller, job_id))

    return routes


def _answer(job: Job[Rows]) -> ForgetAnswer:
    # The state first: what belongs to it was set before it.
    state = job.state
    return ForgetAnswer(id=job.id, state=state, progress=job.progress, rows=dict(job.result or {}), error=job.error)
