"""The vectors of an LLM A/B test, one row a session and one row a call, as arrays."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Calls = dict[tuple[str, str], list[NDArray[np.float64]]]

FOLDER = Path(__file__).parent / "vectors" / "a_llm_ab"


@pytest.fixture(scope="session")
def calls() -> Calls:
    """Return each session's values by (column, variant); sessions without a value of that column are empty arrays."""
    sessions = {row["session_id"]: row["variant"] for row in _rows("sessions.csv")}
    spans = _rows("spans.csv")
    return {
        (column, variant): _by_session(spans, column, [key for key, arm in sessions.items() if arm == variant])
        for column in ("latency_ms", "ttft_ms", "cost_usd", "error")
        for variant in ("control", "treatment")
    }


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open() as file:
        return list(csv.DictReader(file))


def _by_session(spans: list[dict[str, str]], column: str, keys: list[str]) -> list[NDArray[np.float64]]:
    values: dict[str, list[float]] = {key: [] for key in keys}
    for span in spans:
        if span["session_id"] in values and span[column]:
            values[span["session_id"]].append(float(span[column]))
    return [np.array(value, dtype=np.float64) for value in values.values()]
