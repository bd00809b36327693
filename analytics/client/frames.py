"""Parts of the answers as Polars frames, each with the same columns and types whatever is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from analytics.client.errors import ClientError
from analytics.reports.columns import COLUMNS, Kind, row_of
from analytics.reports.comparisons import compared

if TYPE_CHECKING:
    import polars as pl

_FIGURES: dict[str, Kind] = {
    "metric": "text",
    "statistic": "text",
    "estimand": "text",
    "category": "text",
    "covariate": "text",
    "role": "text",
    "direction": "text",
    "unit": "text",
    "variant": "text",
    "estimate": "number",
    "ci_low": "number",
    "ci_high": "number",
    "sessions": "count",
    "observations": "count",
    "effective_observations": "number",
    "coverage": "number",
}
_VARIANTS: dict[str, Kind] = {
    "key": "text",
    "model": "text",
    "weight": "number",
    "sessions": "count",
    "calls": "count",
    "is_control": "flag",
}
_EXPERIMENTS: dict[str, Kind] = {
    "key": "text",
    "status": "text",
    "hypothesis": "text",
    "owner": "text",
    "control": "text",
    "config": "text",
    "prompt_ab_test": "text",
    "config_version": "count",
    "sessions": "count",
    "calls": "count",
    "start": "moment",
    "planned_end": "moment",
    "ended_at": "moment",
    "first_exposure_at": "moment",
    "last_seen_at": "moment",
}
_TIMESERIES: dict[str, Kind] = {
    "at": "moment",
    "vs": "text",
    "variant": "text",
    "status": "text",
    "control_estimate": "number",
    "control_ci_low": "number",
    "control_ci_high": "number",
    "control_sessions": "count",
    "variant_estimate": "number",
    "variant_ci_low": "number",
    "variant_ci_high": "number",
    "variant_sessions": "count",
    "difference": "number",
    "difference_ci_low": "number",
    "difference_ci_high": "number",
    "lift": "number",
    "lift_ci_low": "number",
    "lift_ci_high": "number",
    "p_value": "number",
    "p_value_min": "number",
    "srm_p_value": "number",
}
_SESSIONS: dict[str, Kind] = {
    "session_id": "text",
    "label": "text",
    "is_counted": "flag",
    "variant": "text",
    "epoch": "count",
    "exposed_at": "moment",
    "calls": "count",
    "errors": "count",
    "value": "number",
    "value_text": "text",
}


def figures(results: Mapping[str, Any]) -> pl.DataFrame:
    """Return a row for each figure of each variant."""
    return _frame(_FIGURES, _figure_rows(results))


def variants(results: Mapping[str, Any]) -> pl.DataFrame:
    """Return a row a variant."""
    control = results["experiment"]["control"]
    return _frame(_VARIANTS, ({**arm, "is_control": arm["key"] == control} for arm in results["variants"]))


def comparisons(results: Mapping[str, Any]) -> pl.DataFrame:
    """Return a row a comparison, with the columns of the CSV."""
    return _frame({column.name: column.kind for column in COLUMNS}, map(row_of, compared(results)))


def timeseries(answer: Mapping[str, Any]) -> pl.DataFrame:
    """Return a row for each treatment at each look."""
    return _frame(_TIMESERIES, _looks(answer))


def sessions(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return a row a session, with its value of a metric: a number, or a text."""
    return _frame(_SESSIONS, map(_session, rows))


def experiments(answer: Mapping[str, Any]) -> pl.DataFrame:
    """Return a row an experiment; ``variants`` is a list of their keys."""
    polars = polars_library()
    keys = [entry["variants"] for entry in answer["experiments"]]
    listed = _frame(_EXPERIMENTS, answer["experiments"])
    return listed.with_columns(polars.Series("variants", keys, dtype=polars.List(polars.String)))


def of_arrow(stream: bytes) -> pl.DataFrame:
    """Return an Arrow stream as a frame."""
    frame: pl.DataFrame = polars_library().read_ipc_stream(stream)
    return frame


def polars_library() -> Any:
    """Return the module. Raises ClientError where it is not installed."""
    try:
        import polars
    except ImportError as error:
        raise ClientError("data frames need Polars: pip install 'fallom-server[notebook]'") from error
    return polars


def _figure_rows(results: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for entry in results["metrics"]:
        for arm in entry["variants"]:
            low, high = arm["ci"] or (None, None)
            yield {**entry, **arm, "metric": entry["name"], "variant": arm["key"], "ci_low": low, "ci_high": high}


def _looks(answer: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for point in answer["points"]:
        arms = {arm["key"]: arm for arm in point["variants"]}
        for comparison in point["comparisons"]:
            yield {
                **comparison,
                "at": point["at"],
                **_arm("control", arms[comparison["vs"]]),
                **_arm("variant", arms[comparison["variant"]]),
                "variant": comparison["variant"],
                **_effect("difference", comparison["difference"]),
                **_effect("lift", comparison["lift"]),
                "srm_p_value": point["srm"]["sequential_p"],
            }


def _session(row: Mapping[str, Any]) -> Mapping[str, Any]:
    value = row["value"]
    return {**row, "value": None, "value_text": value} if isinstance(value, str) else row


def _arm(name: str, arm: Mapping[str, Any]) -> dict[str, Any]:
    low, high = arm["ci"] or (None, None)
    return {
        f"{name}_estimate": arm["estimate"],
        f"{name}_ci_low": low,
        f"{name}_ci_high": high,
        f"{name}_sessions": arm["sessions"],
    }


def _effect(name: str, effect: Mapping[str, Any]) -> dict[str, Any]:
    low, high = effect["ci"] or (None, None)
    return {name: effect["estimate"], f"{name}_ci_low": low, f"{name}_ci_high": high}


def _frame(kinds: Mapping[str, Kind], rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    polars = polars_library()
    types = {
        "text": polars.String,
        "number": polars.Float64,
        "count": polars.Int64,
        "flag": polars.Boolean,
        "moment": polars.Datetime("us", "UTC"),
    }
    found = [[_value(row.get(name), kind) for name, kind in kinds.items()] for row in rows]
    schema = {name: types[kind] for name, kind in kinds.items()}
    frame: pl.DataFrame = polars.DataFrame(found, schema=schema, orient="row")
    return frame


def _value(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    match kind:
        case "moment":
            return datetime.fromisoformat(value)
        case "number":
            return float(value)
    return value
