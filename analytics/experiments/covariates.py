"""Covariates of sessions: what was known of each before its first exposure, for CUPED.

Theory of operation. A covariate becomes the table ``covariate_known`` (number, value). The sums are made over the same
sessions as the figure's own, of p, the value less its mean in the epoch: a session of which it is not known has the
mean, so that nothing is foreseen of it and nothing is adjusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from analytics.experiments.measures import Measures
from analytics.experiments.metrics import RatioMetric
from analytics.experiments.statistics import CovariateSums
from analytics.traces.messages import messages_of
from schemas.api.covariate import CUSTOMER_HISTORY, FIRST_MESSAGE_LENGTH, HOUR_OF_DAY, METADATA, METRIC
from storage import sql

INPUT_BYTES_MAX = 1024 * 1024
"""What a first call's input may have for its message to be measured."""
_ROWS = 1_000
_SUMS = ("sessions", "p", "pp", "xp", "pn")
_KNOWN = pa.schema([("number", pa.int32()), ("value", pa.float64())])


@dataclass(frozen=True, slots=True)
class CovariateValues:
    """A covariate's sums beside a figure's, by arm and epoch, and the share of its sessions of which it is known."""

    name: str
    arms: list[tuple[CovariateSums, ...]]
    coverage: float


class Covariates:
    """Reads covariates over the session of an experiment's measures."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._session = measures.session
        self._kept: tuple[str, RatioMetric | str | None] | None = None
        self._has_customers = self._has_past = False

    def of_ratio(self, metric: RatioMetric, covariate: str) -> CovariateValues:
        """Return the sums beside those of a ratio metric."""
        self._keep(covariate, metric)
        known = metric.known or "1"
        statement = sql.load("covariate_sums").format(
            known=known, x=metric.numerator, n=metric.denominator or "1", sessions="session_totals"
        )
        return self._values(covariate, statement)

    def of_custom(self, name: str, covariate: str, *, is_share: bool, missing_is_zero: bool) -> CovariateValues:
        """Return the sums beside those of a custom metric that is no text."""
        self._keep(covariate, name)
        parameters = {"name": name, "is_share": is_share, "missing_is_zero": missing_is_zero}
        self._session.keep("custom_values", sql.load("covariate_custom"), parameters)
        statement = sql.load("covariate_sums").format(known="1", x="x", n="1", sessions="custom_values")
        return self._values(covariate, statement)

    def _values(self, name: str, statement: str) -> CovariateValues:
        rows = self._session.query(statement).to_pylist()
        found = {(row["arm"], row["epoch"]): CovariateSums(*(row[each] or 0.0 for each in _SUMS)) for row in rows}
        arms = [
            tuple(found.get((arm, epoch), CovariateSums.empty()) for epoch in range(self._measures.epochs))
            for arm in self._measures.arms
        ]
        sessions = sum(row["sessions"] or 0.0 for row in rows)
        covered = sum(row["covered"] or 0.0 for row in rows)
        return CovariateValues(name, arms, covered / sessions if sessions else 0.0)

    def _keep(self, covariate: str, metric: RatioMetric | str) -> None:
        """Let ``covariate_known`` be that table: of a customer's history by metric, of the others by session."""
        wanted = covariate, metric if covariate == CUSTOMER_HISTORY else None
        if self._kept == wanted:
            return
        if covariate == CUSTOMER_HISTORY:
            self._keep_history(metric)
        elif covariate == HOUR_OF_DAY:
            self._session.keep("covariate_known", sql.load("covariate_hour"))
        elif covariate == FIRST_MESSAGE_LENGTH:
            self._keep_message_lengths()
        elif covariate.startswith(METADATA):
            statement, parameters = self._measures.of_experiment("covariate_metadata")
            pointer = {"pointer": json_pointer(covariate.removeprefix(METADATA))}
            self._session.keep("covariate_known", statement, parameters | pointer)
        else:
            named = {"name": covariate.removeprefix(METRIC), **self._measures.metrics_of_experiment}
            self._session.keep("covariate_known", sql.load("covariate_metric"), named)
        self._kept = wanted

    def _keep_history(self, metric: RatioMetric | str) -> None:
        self._keep_customers()
        if isinstance(metric, str):
            named = {"name": metric, **self._measures.metrics_of_experiment}
            self._session.keep("past", sql.load("covariate_values"), named)
        else:
            self._keep_past()
            self._session.keep(
                "past",
                f"SELECT session_id, ended_at, {metric.numerator} AS x, {metric.denominator or 1} AS n"  # noqa: S608 - expressions are the metric's own
                " FROM past_totals JOIN past_sessions USING (number)",
            )
        experiment = self._measures.experiment
        dealt = {
            "is_by_customer": experiment.by_chance.get("sticky_by") == "customer",
            "started_at": experiment.started_at,
        }
        self._session.keep("covariate_known", sql.load("covariate_history"), dealt)

    def _keep_customers(self) -> None:
        if not self._has_customers:
            statement, parameters = self._measures.of_experiment("covariate_customers")
            is_config = self._measures.experiment.column == "config_key"
            exposures = {"config_key": self._measures.experiment.key if is_config else None}
            self._session.keep("customers", statement, parameters | exposures)
            self._has_customers = True

    def _keep_past(self) -> None:
        if not self._has_past:
            self._session.keep("past_sessions", *self._measures.of_experiment("covariate_past"))
            self._measures.keep_totals("past_totals", "past_sessions")
            self._has_past = True

    def _keep_message_lengths(self) -> None:
        self._session.keep("first_calls", *self._measures.of_experiment("covariate_first_calls"))
        statement, parameters = self._measures.of_experiment("covariate_first_inputs")
        batches = self._session.batches(statement, parameters | {"bytes_max": INPUT_BYTES_MAX}, rows=_ROWS)
        known = pa.Table.from_batches(list(_lengths(batches)), _KNOWN)
        self._session.add("message_lengths", known)
        self._session.keep("covariate_known", "SELECT number, value FROM message_lengths")


def json_pointer(key: str) -> str:
    """Return the JSON pointer to a field of an object, whatever it is called."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _lengths(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        lengths = [_message_length(text) for text in batch["input"].to_pylist()]
        yield pa.record_batch([batch["number"].cast(pa.int32()), pa.array(lengths, pa.float64())], schema=_KNOWN)


def _message_length(text: str) -> float | None:
    """Return the number of characters of what the user said last in a call's input."""
    said = [message["content"] for message in messages_of(text, "user") or () if message["role"] == "user"]
    return float(len(said[-1])) if said and isinstance(said[-1], str) else None
