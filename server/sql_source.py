"""Where ``fallom-server sql`` asks: a running server, or a data directory (``sql_files``)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import httpx
import pyarrow as pa

from server import api_client
from server.errors import CommandError
from storage.engines.answer_limits import Answer

ARROW = "application/vnd.apache.arrow.stream"

OnProgress = Callable[[float], None]


class SqlSource(Protocol):
    """Answers statements."""

    def ask(self, statement: str, on_progress: OnProgress) -> Answer:
        """Return the answer; tell ``on_progress`` percents, where they are known. Raises CommandError, QueryError."""


@dataclass(frozen=True, slots=True)
class ServerSource:
    """A running server; its own limits hold."""

    url: str
    api_key: str | None
    timeout_s: float

    def ask(self, statement: str, on_progress: OnProgress) -> Answer:  # noqa: ARG002 - a server does not tell
        """Return the answer."""
        response = api_client.send(
            "POST",
            self.url,
            "/sql",
            self.api_key,
            json={"query": statement},
            headers={"Accept": ARROW},
            timeout=httpx.Timeout(api_client.TIMEOUT_S, read=self.timeout_s),
        )
        if response.headers.get("content-type") != ARROW:
            raise CommandError(f"{self.url} answered no Arrow stream: is it a server of this version?")
        rows = pa.ipc.open_stream(response.content).read_all()
        return Answer(rows, response.headers.get("x-fallom-truncated") == "true")
