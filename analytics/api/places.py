"""Places for questions that take long: so many at once, so many that wait; what goes wrong is told as an API error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from analytics.api.errors import ApiError
from analytics.traces.conditions import UnknownVariantError
from analytics.traces.cursor import CursorError
from storage.errors import QueryInterruptedError, QueryTimeoutError

T = TypeVar("T")


class Places:
    """Runs work in threads: ``running_max`` at once, and refuses where ``waiting_max`` wait already."""

    def __init__(self, running_max: int, waiting_max: int) -> None:
        self._limiter = CapacityLimiter(running_max)
        self._waiting_max = waiting_max

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Return what the work returns. Raises ApiError."""
        if self._limiter.statistics().tasks_waiting >= self._waiting_max:
            raise ApiError(503, "unavailable", f"{self._waiting_max} requests wait, the limit: try again")
        try:
            return await to_thread.run_sync(work, *arguments, limiter=self._limiter)
        except CursorError as error:
            raise ApiError(400, "invalid_argument", f"cursor: {error}", "cursor") from error
        except UnknownVariantError as error:
            raise ApiError(400, "invalid_argument", f"variant: {error}", "variant") from error
        except QueryTimeoutError as error:
            message = f"{error}: narrow the time by from and to, or sort by time"
            raise ApiError(408, "timeout", message, "from") from error
        except QueryInterruptedError as error:
            raise ApiError(503, "unavailable", str(error)) from error
