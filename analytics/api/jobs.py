"""Work that takes longer than a request may: it is begun by one, and asked after by others."""

import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from analytics.api.errors import ApiError
from storage.errors import StorageError
from storage.registry.errors import RegistryError

logger = logging.getLogger(__name__)

JOBS_MAX = 100

T = TypeVar("T")
State = Literal["running", "done", "failed"]


@dataclass(slots=True)
class Job(Generic[T]):
    """A piece of work of one project. What belongs to a state is set before the state is."""

    id: str
    project: str
    state: State = "running"
    progress: str = ""
    share_done: float = 0.0
    result: T | None = None
    error: str = ""

    def tell(self, progress: str, share_done: float = 0.0) -> None:
        """Say how far it is: in words, and as a share of 1 where that is known."""
        self.progress, self.share_done = progress, share_done


class Jobs(Generic[T]):
    """The jobs of one kind since the server's start, one at a time, of which the last `JOBS_MAX` are kept."""

    def __init__(self, name: str, busy: str) -> None:
        """Make none yet. ``name`` is what one is called; ``busy`` says that there is one already."""
        self._name = name
        self._busy = busy
        self._jobs: OrderedDict[str, Job[T]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, project: str, work: Callable[[Job[T]], T]) -> Job[T]:
        """Begin a project's work in a thread of its own. Raises ApiError where there is one at work."""
        job: Job[T] = Job(uuid.uuid4().hex, project)
        with self._lock:
            if any(other.state == "running" for other in self._jobs.values()):
                raise ApiError(503, "unavailable", f"{self._busy} already: try again when that is done")
            self._jobs[job.id] = job
            while len(self._jobs) > JOBS_MAX:
                self._jobs.popitem(last=False)
        threading.Thread(target=self._run, args=(job, work), name=self._name, daemon=True).start()
        return job

    def find(self, project: str, job_id: str) -> Job[T]:
        """Return a project's job. Raises ApiError where there is none of that id."""
        job = self._jobs.get(job_id)
        if job is None or job.project != project:
            raise ApiError(404, "not_found", f"no {self._name} {job_id!r} is known since the server's start", "job_id")
        return job

    def _run(self, job: Job[T], work: Callable[[Job[T]], T]) -> None:
        try:
            job.result = work(job)
            job.state = "done"
        except (StorageError, RegistryError) as error:
            job.error, job.state = str(error), "failed"
        except Exception:
            logger.exception("the %s failed", self._name)
            job.error, job.state = "the server failed; its log says why", "failed"
