"""``POST /customers/forget``: removes a customer's rows; since that may take long, it is begun, then asked after."""

import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from analytics.api.errors import ApiError
from analytics.api.project import project
from storage.errors import StorageError

logger = logging.getLogger(__name__)

JOBS_MAX = 100

Forget = Callable[[str, str, Callable[[str], None]], Mapping[str, int]]


class ForgetRequest(BaseModel):
    """The customer, as the clients name them."""

    model_config = ConfigDict(extra="forbid")

    customer_id: Annotated[str, Field(strict=True, min_length=1, max_length=10_000)]


class ForgetAnswer(BaseModel):
    """How far it is: ``progress`` while it runs, ``rows`` removed of each table when it is done, or what failed."""

    id: str
    state: Literal["running", "done", "failed"]
    progress: str
    rows: dict[str, int]
    error: str


@dataclass(slots=True)
class _Job:
    id: str
    project: str
    rows: Mapping[str, int]
    state: Literal["running", "done", "failed"] = "running"
    progress: str = ""
    error: str = ""


class _Jobs:
    """The removals since the server's start, one at a time."""

    def __init__(self, forget: Forget) -> None:
        self._forget = forget
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, caller: str, customer_id: str) -> _Job:
        job = _Job(uuid.uuid4().hex, caller, {})
        with self._lock:
            if any(other.state == "running" for other in self._jobs.values()):
                raise ApiError(503, "unavailable", "a customer is being forgotten already: try again when that is done")
            self._jobs[job.id] = job
            while len(self._jobs) > JOBS_MAX:
                self._jobs.popitem(last=False)
        threading.Thread(target=self._run, args=(job, customer_id), name="forget", daemon=True).start()
        return job

    def find(self, caller: str, job_id: str) -> _Job:
        job = self._jobs.get(job_id)
        if job is None or job.project != caller:
            raise ApiError(404, "not_found", f"no removal {job_id!r} is known since the server's start", "job_id")
        return job

    def _run(self, job: _Job, customer_id: str) -> None:
        def progress(text: str) -> None:
            job.progress = text

        try:
            job.rows = self._forget(job.project, customer_id, progress)
            job.state = "done"
        except StorageError as error:
            job.error, job.state = str(error), "failed"
        except Exception:
            logger.exception("a customer could not be forgotten")
            job.error, job.state = "the server failed; its log says why", "failed"


def router(forget: Forget) -> APIRouter:
    """Return the router. ``forget`` takes the project, the customer, and what is called with its progress."""
    routes = APIRouter(tags=["customers"])
    jobs = _Jobs(forget)

    @routes.post("/customers/forget", status_code=202, summary="Remove a customer's rows")
    def begin(request: ForgetRequest, caller: Annotated[str, Depends(project)]) -> ForgetAnswer:
        """Begin to remove all rows of one customer of the caller's project, acknowledged or committed."""
        return _answer(jobs.begin(caller, request.customer_id))

    @routes.get("/customers/forget/{job_id}", summary="How far the removal of a customer's rows is")
    def ask(job_id: str, caller: Annotated[str, Depends(project)]) -> ForgetAnswer:
        """Return how far it is."""
        return _answer(jobs.find(caller, job_id))

    return routes


def _answer(job: _Job) -> ForgetAnswer:
    # The state first: what belongs to it was set before it.
    state = job.state
    return ForgetAnswer(id=job.id, state=state, progress=job.progress, rows=dict(job.rows), error=job.error)
