"""Places of calls over gRPC: for those under way, and for those whose message is read.

A client that opens calls and sends nothing keeps their places until its time is up. So where there are keys a project
has half of each kind at most, and the others' clients go on.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from collector.access import ANYBODY, Caller
from collector.component import AdmissionError


class Places:
    """For one event loop."""

    def __init__(self, calls_max: int, reads_max: int) -> None:
        self._calls_max = calls_max
        self._reads_max = reads_max
        self._calls = 0
        self._calls_of: Counter[str] = Counter()
        self._reads = asyncio.Semaphore(reads_max)
        # As many as there are projects with keys.
        self._reads_of: dict[str, asyncio.Semaphore] = defaultdict(self._half_of_reads)

    @property
    def are_spent(self) -> bool:
        """Whether no further call may begin."""
        return self._calls >= self._calls_max

    @contextmanager
    def of_call(self) -> Iterator[None]:
        """Hold the place of a call."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    @contextmanager
    def of_caller(self, caller: Caller) -> Iterator[None]:
        """Hold the place of a caller's call among its project's. Raises AdmissionError where these are spent."""
        project, calls_max = caller.project, self._calls_max // 2
        if caller is not ANYBODY and self._calls_of[project] >= calls_max:
            raise AdmissionError(f"{calls_max} calls of the project are under way, the limit: try again")
        self._calls_of[project] += 1
        try:
            yield
        finally:
            self._calls_of[project] -= 1

    @asynccontextmanager
    async def of_read(self, caller: Caller) -> AsyncIterator[None]:
        """Wait for the place of a read, and hold it."""
        async with AsyncExitStack() as held:
            if caller is not ANYBODY:
                await held.enter_async_context(self._reads_of[caller.project])
            await held.enter_async_context(self._reads)
            yield

    def _half_of_reads(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(max(self._reads_max // 2, 1))
