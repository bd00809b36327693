"""Custom metrics of the sessions that count: typed by what arrives, or by declaration; and who gave any.

A metric that is declared ``category`` takes numbers and booleans as their text, one declared ``proportion`` the numbers
0 and 1. ``missing: zero`` counts a session that gave none as one that gave 0 (not this category).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from analytics.experiments.measures import SessionMeasures
from analytics.experiments.settings import MetricSettings
from analytics.experiments.statistics import RatioSums
from analytics.experiments.sums import ArmSums
from storage import sql

CATEGORIES_MAX = 10
CUSTOM_METRICS_MAX = 200

CustomKey = tuple[str, str | None]
"""The name of a custom metric, and the value of a text that is counted."""


@dataclass(slots=True)
class CustomMetric:
    """A custom metric, or one value (``category``) of one: its sums by arm and epoch, and how many gave it at all."""

    name: str
    is_share: bool
    category: str | None = None
    sums: dict[tuple[int, int], RatioSums] = field(default_factory=dict)
    answered: dict[tuple[int, int], int] = field(default_factory=dict)


class CustomMetrics:
    """Reads the custom metrics of an experiment over the session of its measures."""

    def __init__(self, measures: SessionMeasures, declared: Sequence[MetricSettings]) -> None:
        self._measures = measures
        self._session = measures.session
        self._missing_is_zero = {metric.name for metric in declared if metric.missing == "zero"}
        measures.keep_metrics(CUSTOM_METRICS_MAX)
        self._session.add("declared", declared_types(declared))

    def numbers(self) -> list[CustomMetric]:
        """Return those of numbers, and those of booleans as shares, by name."""
        found: dict[str, CustomMetric] = {}
        for row in self._session.query(sql.load("number_metrics")).to_pylist():
            metric = found.setdefault(row["name"], CustomMetric(row["name"], is_share=True))
            # One number among booleans makes all of them numbers.
            metric.is_share = metric.is_share and row["is_share"]
            place = row["arm"], row["epoch"]
            metric.sums[place] = RatioSums.for_mean(row["sessions"], row["x"], row["xx"])
            metric.answered[place] = row["sessions"]
        return [self._filled(metric) for metric in found.values()]

    def categories(self) -> list[CustomMetric]:
        """Return the values of those of text, the most frequent of each first."""
        found: dict[tuple[str, str], CustomMetric] = {}
        for row in self._session.query(sql.load("category_metrics"), {"values_max": CATEGORIES_MAX}).to_pylist():
            key = (row["name"], row["value_string"])
            metric = found.setdefault(key, CustomMetric(row["name"], is_share=True, category=row["value_string"]))
            given, place = float(row["sessions"]), (row["arm"], row["epoch"])
            metric.sums[place] = RatioSums.for_mean(row["answered"], given, given)
            metric.answered[place] = row["answered"]
        return [self._filled(metric) for metric in found.values()]

    def capped(self, metric: CustomMetric, quantile: float) -> tuple[CustomMetric, float] | None:
        """Return a metric of numbers with its values cut at their quantile over all arms, and where that is."""
        parameters: dict[str, Any] = {"name": metric.name, "quantile": quantile}
        rows = self._session.query(sql.load("capped_metric"), parameters).to_pylist()
        if not rows:
            return None
        sums = {(row["arm"], row["epoch"]): RatioSums.for_mean(row["sessions"], row["x"], row["xx"]) for row in rows}
        cut = CustomMetric(metric.name, is_share=False, sums=sums, answered=dict(metric.answered))
        return self._filled(cut), rows[0]["cap"]

    def arms(self, metric: CustomMetric) -> list[ArmSums]:
        """Return the metric's sums by arm."""
        return [
            ArmSums(epochs, sum(sums.sessions for sums in epochs), self._measures.sessions[arm])
            for arm in self._measures.arms
            for epochs in [
                tuple(metric.sums.get((arm, epoch), RatioSums.empty()) for epoch in range(self._measures.epochs))
            ]
        ]

    def responses(self, metric: CustomMetric) -> list[ArmSums]:
        """Return by arm the sums of the share of sessions that gave any value."""
        arms: list[ArmSums] = []
        for arm, sessions in enumerate(self._measures.by_epoch):
            given = [float(metric.answered.get((arm, epoch), 0)) for epoch in range(self._measures.epochs)]
            epochs = tuple(RatioSums.for_mean(count, *[yes] * 2) for count, yes in zip(sessions, given, strict=True))
            arms.append(ArmSums(epochs, sum(sessions), sum(sessions)))
        return arms

    def counts_missing_as_zero(self, name: str) -> bool:
        """Return whether a session without a value of the metric counts as one that gave 0."""
        return name in self._missing_is_zero

    def _filled(self, metric: CustomMetric) -> CustomMetric:
        """Count those that gave no value as 0, where that is declared."""
        if self.counts_missing_as_zero(metric.name):
            for place, sessions in self._places():
                sums = metric.sums.get(place, RatioSums.empty())
                metric.sums[place] = RatioSums.for_mean(sessions, sums.x, sums.xx)
        return metric

    def _places(self) -> list[tuple[tuple[int, int], int]]:
        return [
            ((arm, epoch), sessions)
            for arm, by_epoch in enumerate(self._measures.by_epoch)
            for epoch, sessions in enumerate(by_epoch)
        ]


def types_of(metrics: Sequence[MetricSettings]) -> Mapping[str, str]:
    """Return the type of each metric of which one is declared."""
    return {metric.name: metric.type for metric in reversed(metrics) if metric.type}


def declared_types(metrics: Sequence[MetricSettings]) -> pa.Table:
    """Return the table ``declared``: the type of each metric of which one is declared."""
    types = types_of(metrics)
    return pa.table({"name": pa.array(types.keys(), pa.string()), "type": pa.array(types.values(), pa.string())})
