"""The client: one server, one key."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from analytics.client import frames
from analytics.client.connection import Connection
from analytics.client.errors import ClientError
from analytics.client.question import Question
from analytics.client.results import Results
from analytics.experiments.settings import Inference

if TYPE_CHECKING:
    import polars as pl


class Client:
    """Asks a running server for experiments, as data frames; also a context manager.

    Without ``api_key`` the environment variable ``FALLOM_API_KEY`` counts; its project is all that is seen. All
    methods raise ClientError; UnreachableError of these where it helps to try again.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:4318", api_key: str | None = None, *, timeout_s: float = 60.0
    ) -> None:
        self._connection = Connection(url, api_key, timeout_s)

    def experiments(self) -> pl.DataFrame:
        """Return all experiments, and the configs that none looks at, newest traffic first."""
        return frames.experiments(self._connection.get("/experiments"))

    def results(
        self,
        key: str,
        *,
        version: int | None = None,
        epoch: int | None = None,
        segment: str | None = None,
        as_of: datetime | None = None,
        inference: Inference | None = None,
        metrics: list[str] | None = None,
    ) -> Results:
        """Return the results of an experiment, or of a config; the options are those of docs/results.md."""
        names = None if metrics is None else ",".join(metrics)
        question = Question(key, version, epoch, segment, as_of, inference, names)
        raw = self._connection.get(question.path, question.parameters)
        left_out = question.unanswered(raw)
        if left_out is not None:
            raise ClientError(f"{left_out}: {self._connection.url} does not know it: is it an older server?")
        return Results(raw, question, self._connection)

    def sql(self, statement: str) -> pl.DataFrame:
        """Return the rows of one SELECT (docs/sql.md). Raises ClientError where the server cuts the answer."""
        stream, is_cut = self._connection.sql(statement)
        if is_cut:
            raise ClientError("sql: there are more rows than the server answers (sql_rows_max): ask for fewer of them")
        return frames.of_arrow(stream)

    def close(self) -> None:
        """Let go of the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
