"""The SELECT that gives a figure: it runs on ``POST /sql`` as it is, and answers the estimate of each variant.

It is over the views ``experiment_sessions``, ``llm_calls`` and ``metrics``, which judge sessions by the config's latest
version. What these can't tell has none: prompt tests, arms of other versions, fallbacks, what a covariate adjusts. Over
several weight epochs each epoch's weight stands in the statement as it is now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from analytics.experiments.arms import Experiment
from analytics.experiments.custom_metrics import CustomKey, types_of
from analytics.experiments.epochs import arms_rule
from analytics.experiments.metrics import METRICS, QuantileMetric, RatioMetric
from analytics.experiments.settings import Settings
from storage.engines.table_view import quoted

_WORD = re.compile(r"\w+")
# Columns of session_totals that the view has under another name, or as what they are made of.
_DERIVED = {
    "tokens_known": "(tokens_count >= calls - errors)::DOUBLE",
    "cost_known": "is_cost_known::DOUBLE",
    "known_cost_sum": "CASE WHEN is_cost_known THEN cost_sum ELSE 0 END",
}
_CALLS = {"latency_ms": "duration_ms", "time_to_first_token_ms": "time_to_first_token_ms"}
_NOT_TOLD = "has_fallback"
_TOTALS = "SELECT {columns} FROM experiment_sessions WHERE {counted}"
_SUCCESSES = """session_id IN (
    SELECT session_id FROM metrics WHERE config_key = {key} AND name = {name} AND value_double > 0
)"""
_RATIO = """SELECT variant, CASE WHEN sum({observed}) > 0 THEN fsum({x}) / nullif(sum({n}), 0) END AS estimate
FROM ({totals})
GROUP BY variant
ORDER BY variant"""
_RATIO_OF_EPOCHS = """SELECT
    variant,
    CASE WHEN sum(observed) > 0 THEN sum(weight * x) / nullif(sum(weight * n), 0) END AS estimate
FROM (
    SELECT variant, epoch, fsum({x}) / count(*) AS x, sum({n}) / count(*) AS n, sum({observed}) AS observed
    FROM ({totals})
    GROUP BY variant, epoch
)
JOIN (VALUES {weights}) AS weights(variant, epoch, weight) USING (variant, epoch)
GROUP BY variant
ORDER BY variant"""
_CAP = "(SELECT quantile_disc({x}, {quantile!r}) FILTER ({known} = 1) FROM ({totals}))"
_CUSTOM_CAP = """(
    SELECT quantile_disc(value_double, {quantile!r})
    FROM experiment_sessions
    JOIN metrics USING (config_key, session_id)
    WHERE name = {name} AND {known} AND {counted}
)"""
_QUANTILE = """SELECT variant, quantile_disc({column}, {probability!r}) AS estimate
FROM llm_calls
JOIN experiment_sessions USING (config_key, session_id)
WHERE {counted}
GROUP BY variant
ORDER BY variant"""
_CUSTOM = """SELECT variant, fsum({value}) / count(*) AS estimate
FROM experiment_sessions
{join} (SELECT * FROM metrics WHERE name = {name} AND {known}) AS given USING (config_key, session_id)
WHERE {counted}
GROUP BY variant
ORDER BY variant"""
# As weighted_quantiles.sql: each call weighs its epoch's weight over its epoch's sessions.
_QUANTILE_OF_EPOCHS = """WITH counted AS (
    SELECT config_key, session_id, variant, epoch, count(*) OVER (PARTITION BY variant, epoch) AS sessions
    FROM experiment_sessions
    WHERE {counted}
),
weighed AS (
    SELECT variant, {column} AS value, fsum(weight / sessions) AS weight
    FROM llm_calls
    JOIN counted USING (config_key, session_id)
    JOIN (VALUES {weights}) AS weights(variant, epoch, weight) USING (variant, epoch)
    WHERE {column} IS NOT NULL AND weight > 0
    GROUP BY variant, value
),
reached AS (
    SELECT
        variant,
        value,
        sum(weight) OVER (PARTITION BY variant ORDER BY value) / sum(weight) OVER (PARTITION BY variant) AS share
    FROM weighed
)
SELECT variant, min(value) FILTER (share >= {probability!r} * (1 - 1e-12)) AS estimate
FROM (SELECT DISTINCT variant FROM counted) LEFT JOIN reached USING (variant)
GROUP BY variant
ORDER BY variant"""
_CUSTOM_OF_EPOCHS = """SELECT variant, sum(weight * x) / nullif(sum(weight), 0) AS estimate
FROM (
    SELECT variant, epoch, fsum({value}) / count(*) AS x
    FROM experiment_sessions
    {join} (SELECT * FROM metrics WHERE name = {name} AND {known}) AS given USING (config_key, session_id)
    WHERE {counted}
    GROUP BY variant, epoch
)
JOIN (VALUES {weights}) AS weights(variant, epoch, weight) USING (variant, epoch)
GROUP BY variant
ORDER BY variant"""
# As category_metrics.sql.
_TEXT = """CASE
    WHEN value_string IS NOT NULL THEN value_string
    WHEN value_type = 'boolean' THEN (value_double = 1)::VARCHAR
    WHEN value_double = trunc(value_double) AND abs(value_double) < 1e15 THEN value_double::BIGINT::VARCHAR
    ELSE value_double::VARCHAR
END"""
_RATIOS = {
    (metric.name, metric.statistic, metric.estimand): metric for metric in METRICS if isinstance(metric, RatioMetric)
}
_QUANTILES = {metric.name: metric for metric in METRICS if isinstance(metric, QuantileMetric)}


Weights = Sequence[Sequence[float]]
"""By arm, those of its epochs."""


class FigureSql:
    """Writes the statements of one experiment's figures.

    ``weights`` are those of the epochs, by arm; a custom metric, which not all sessions give, has weights of its own.
    """

    def __init__(
        self,
        experiment: Experiment,
        settings: Settings,
        weights: Weights,
        custom_weights: Mapping[CustomKey, Weights] | None = None,
    ) -> None:
        self._experiment = experiment
        self._settings = settings
        self._weights = weights
        self._custom_weights = custom_weights or {}
        self._is_told = experiment.column == "config_key" and (
            arms_rule(experiment.epochs[-1]) == arms_rule(experiment.timeline[-1])
        )

    def of(self, entry: Mapping[str, Any]) -> str | None:
        """Return the statement of an entry's estimates; None where the views can't tell them."""
        if not self._is_told or "covariate" in entry:
            return None
        if entry.get("custom"):
            return self._custom(entry)
        if entry["statistic"].startswith("p") and entry["statistic"] != "proportion":
            return self._quantile(entry)
        is_capped = entry["statistic"] == "capped_mean"
        metric = _RATIOS[entry["name"], "mean" if is_capped else entry["statistic"], entry["estimand"]]
        return self._ratio(metric, entry["cap"]["quantile"] if is_capped else None)

    @property
    def _counted(self) -> str:
        """Return what holds for the sessions of the experiment."""
        tests = [f"experiment_sessions.config_key = {quoted(self._experiment.key)}", "is_counted"]
        ours = [epoch.number for epoch in self._experiment.epochs]
        rule = arms_rule(self._experiment.epochs[-1])
        if ours != [epoch.number for epoch in self._experiment.timeline if arms_rule(epoch) == rule]:
            tests.append(f"epoch IN ({', '.join(map(str, ours))})")
        if self._settings.start is not None:
            tests.append(f"exposed_at >= TIMESTAMPTZ '{self._settings.start.isoformat()}'")
        if self._settings.ended_at is not None:
            tests.append(f"exposed_at < TIMESTAMPTZ '{self._settings.ended_at.isoformat()}'")
        return " AND ".join(tests)

    def _ratio(self, metric: RatioMetric, cap: float | None) -> str | None:
        x, n, observed = metric.numerator, metric.denominator or "1", metric.observed or "1"
        known = metric.known or "1"
        names = dict.fromkeys(_WORD.findall(f"{x} {n} {observed} {known}"))
        if _NOT_TOLD in names:
            return None
        derived = [f"{text} AS {name}" for name, text in self._derived.items() if name in names]
        totals = _TOTALS.format(columns=", ".join(["*", *derived]), counted=self._counted)
        if cap is not None:
            # Of all variants together, as a part of the statement: it then holds for the sessions that come, too.
            x, n = f"least({x}, {_CAP.format(x=x, quantile=cap, known=known, totals=totals)}) * {known}", known
        if self._is_one_epoch:
            return _RATIO.format(x=x, n=n, observed=observed, totals=totals)
        rows = self._weight_rows(self._weights)
        return _RATIO_OF_EPOCHS.format(x=x, n=n, observed=observed, totals=totals, weights=rows)

    @property
    def _is_one_epoch(self) -> bool:
        return len(self._weights[0]) == 1

    @property
    def _derived(self) -> dict[str, str]:
        return {**_DERIVED, "is_successful": self._is_successful}

    @property
    def _is_successful(self) -> str:
        if self._settings.success is None:
            return "(calls > 0 AND errors = 0)"
        return _SUCCESSES.format(key=quoted(self._experiment.key), name=quoted(self._settings.success))

    def _weight_rows(self, of: Weights) -> str:
        return ", ".join(
            f"({quoted(arm.key)}, {epoch.number}, CAST('{weight!r}' AS DOUBLE))"
            for arm, weights in zip(self._experiment.arms, of, strict=True)
            for epoch, weight in zip(self._experiment.epochs, weights, strict=True)
        )

    def _quantile(self, entry: Mapping[str, Any]) -> str:
        metric = _QUANTILES[entry["name"]]
        probability = next(each for each in metric.probabilities if entry["statistic"] == f"p{each * 100:g}")
        named = {"column": _CALLS[entry["name"]], "probability": probability, "counted": self._counted}
        if self._is_one_epoch:
            return _QUANTILE.format(**named)
        return _QUANTILE_OF_EPOCHS.format(**named, weights=self._weight_rows(self._weights))

    def _custom(self, entry: Mapping[str, Any]) -> str:
        name, category = entry["name"], entry.get("category")
        declared = [metric for metric in self._settings.metrics if metric.name == name]
        of_type = types_of(declared).get(name)
        value, known = ("value_double", "value_double IS NOT NULL")
        if category is not None:
            text, known = (_TEXT, "true") if of_type == "category" else ("value_string", "value_string IS NOT NULL")
            value = f"({text} = {quoted(category)})::INTEGER"
        if of_type == "proportion":
            known = "value_double IN (0, 1)"
        if "cap" in entry:
            named = {"name": quoted(name), "known": known, "counted": self._counted}
            cap = _CUSTOM_CAP.format(quantile=entry["cap"]["quantile"], **named)
            # The least of NULL and a number is the number.
            value = f"CASE WHEN value_double IS NOT NULL THEN least(value_double, {cap}) END"
        is_zero = any(metric.missing == "zero" for metric in declared)
        value, join = (f"coalesce({value}, 0)", "LEFT JOIN") if is_zero else (value, "JOIN")
        parts = {"value": value, "join": join, "name": quoted(name), "known": known, "counted": self._counted}
        if self._is_one_epoch:
            return _CUSTOM.format(**parts)
        return _CUSTOM_OF_EPOCHS.format(**parts, weights=self._weight_rows(self._custom_weights[name, category]))
