"""How two groups of sessions differ in what was known before they were served: what else may be behind a difference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analytics.experiments.health.warning import warning
from analytics.experiments.statistics import Estimate, estimate_difference, independence
from storage import sql
from storage.engines.duckdb import QuerySession

VALUES_MAX = 20
DIFFERENCE_MAX = 0.1
"""Of shares, half the sum of their differences; of numbers, means that many standard deviations apart."""
P_MAX = 0.001
# What is known of a session's first call, by the column of it.
_SHARES = {"customers": "first_customer_id", "hours": "first_hour", "configs": "first_config_key"}
_NUMBER = "input_tokens"
_NUMBER_COLUMN = "first_input_tokens"
_NAMES = {
    "customers": "customers",
    "hours": "hours of the day",
    "configs": "configs",
    _NUMBER: "input tokens of the first call",
}


def group_differences(session: QuerySession, keys: Sequence[str], left_out: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return a row a thing that was known before, but for those left out: its groups, and how far they are apart.

    A session is one of the value at its first call; the most frequent values stand for themselves, the rest together.
    """
    found = [_shares(session, name, column, keys) for name, column in _SHARES.items() if name not in left_out]
    return [*found, _numbers(session, keys)]


def group_warnings(differences: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a warning for each thing in which the groups differ by more than chance, and by enough to matter."""
    for row in differences:
        if row["differs"]:
            yield warning(
                "groups_differ",
                f"the groups differ in their {_NAMES[row['name']]} ({row['measure'].replace('_', ' ')} "
                f"{row['difference']:.2f}): what differs in their figures may be due to that",
                name=row["name"],
                difference=row["difference"],
                p_value=row["p_value"],
            )


def _shares(session: QuerySession, name: str, column: str, keys: Sequence[str]) -> dict[str, Any]:
    statement = sql.load("compared_groups").format(column=column)
    rows = session.query(statement, {"values_max": VALUES_MAX}).to_pylist()
    values = list(dict.fromkeys(row["value"] for row in rows if row["value"] is not None))
    has_rest = any(row["value"] is None for row in rows)
    places = {value: place for place, value in enumerate([*values, *([None] if has_rest else [])])}
    table = np.zeros((len(keys), len(places)), np.int64)
    for row in rows:
        table[row["arm"], places[row["value"]]] = row["sessions"]
    known = table.sum(axis=1)
    difference = p_value = None
    if known.all():
        difference = float(np.abs(table[0] / known[0] - table[1] / known[1]).sum() / 2)
        p_value = independence(table)[0]
    return {
        "name": name,
        "measure": "total_variation_distance",
        "difference": difference,
        "p_value": p_value,
        "differs": _differs(difference, p_value),
        "groups": [
            {
                "key": key,
                "sessions": int(known[arm]),
                "values": [{"value": value, "sessions": int(table[arm, places[value]])} for value in values],
                "rest": int(table[arm, places[None]]) if has_rest else 0,
            }
            for arm, key in enumerate(keys)
        ],
    }


def _numbers(session: QuerySession, keys: Sequence[str]) -> dict[str, Any]:
    rows = session.query(sql.load("compared_numbers").format(column=_NUMBER_COLUMN)).to_pylist()
    nothing = {"sessions": 0, "mean": None, "variance": None, "median": None}
    of_arm = {row["arm"]: row for row in rows}
    groups = [of_arm.get(arm, nothing) for arm in range(len(keys))]
    difference, p_value = _standardised(groups)
    return {
        "name": _NUMBER,
        "measure": "standardised_mean_difference",
        "difference": difference,
        "p_value": p_value,
        "differs": _differs(difference, p_value),
        "groups": [
            {"key": key, "sessions": group["sessions"], "mean": group["mean"], "median": group["median"]}
            for key, group in zip(keys, groups, strict=True)
        ],
    }


def _standardised(groups: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """Return how many standard deviations the second mean is above the first, and the p-value of Welch's test."""
    first, second = groups
    if min(first["sessions"], second["sessions"]) < 2:
        return None, None
    apart = second["mean"] - first["mean"]
    spread = math.sqrt((first["variance"] + second["variance"]) / 2)
    if spread == 0:
        return (0.0, 1.0) if apart == 0 else (None, None)
    estimates = (
        Estimate.of(each["mean"], each["variance"] / each["sessions"], each["sessions"] - 1) for each in groups
    )
    return apart / spread, estimate_difference(*estimates).p_value


def _differs(difference: float | None, p_value: float | None) -> bool:
    return difference is not None and p_value is not None and abs(difference) > DIFFERENCE_MAX and p_value < P_MAX
