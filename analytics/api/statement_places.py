"""Places for users' statements: how many run at a time, of all projects and of one."""

from collections import Counter

from analytics.api.errors import ApiError

# Statements at once: more would take the memory and the processors from ingest and results.
STATEMENTS_MAX = 4
# One project must not keep all of them.
STATEMENTS_OF_PROJECT_MAX = 3


class StatementPlaces:
    """Counts the statements that run; used by one event loop."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    def take(self, project: str) -> None:
        """Take a place. Raises ApiError where there is none."""
        if self._running.total() >= STATEMENTS_MAX:
            raise ApiError(503, "unavailable", f"{STATEMENTS_MAX} statements are running, the limit: try again")
        if self._running[project] >= STATEMENTS_OF_PROJECT_MAX:
            raise ApiError(
                503,
                "unavailable",
                f"{STATEMENTS_OF_PROJECT_MAX} statements of the project are running, the limit: try again",
            )
        self._running[project] += 1

    def give_back(self, project: str) -> None:
        """Give a place back."""
        self._running[project] -= 1
        if not self._running[project]:
            del self._running[project]
