"""The course of a figure as a frame; the other frames are tested against a server."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from report_results import entry, results

from analytics.client import frames


def test_the_course_of_a_figure_has_a_row_a_look_and_treatment() -> None:
    latency = entry(results(), "latency_ms")
    compared = latency["comparisons"][0] | {"p_value_min": 0.5}
    days = [
        {
            "at": f"2026-11-0{day}T00:00:00+00:00",
            "variants": latency["variants"],
            "comparisons": [compared],
            "srm": {"sequential_p": 0.9},
        }
        for day in (1, 2)
    ]

    found = frames.timeseries({"points": days})

    assert found["at"].to_list() == [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2)]
    first = found.row(0, named=True)
    assert (first["vs"], first["variant"], first["p_value_min"], first["srm_p_value"]) == (
        "control",
        "treatment",
        0.5,
        0.9,
    )
    assert [first["lift_ci_low"], first["lift_ci_high"]] == compared["lift"]["ci"]
    assert [first["control_estimate"], first["variant_estimate"]] == [arm["estimate"] for arm in latency["variants"]]


def test_a_course_without_a_look_has_its_columns() -> None:
    found = frames.timeseries({"points": []})

    assert found.is_empty()
    assert found.schema["at"] == pl.Datetime("us", "UTC")


def test_a_session_has_a_number_or_a_text_of_its_metric() -> None:
    row = {
        "session_id": "s",
        "label": "randomised",
        "is_counted": True,
        "variant": "a",
        "epoch": 1,
        "exposed_at": "2026-11-21T09:00:00+00:00",
        "calls": 2,
        "errors": 0,
    }

    found = frames.sessions([{**row, "value": value} for value in (1.5, "kind", None)])

    assert found["value"].to_list() == [1.5, None, None]
    assert found["value_text"].to_list() == [None, "kind", None]
    assert found["exposed_at"].to_list() == [datetime(2026, 11, 21, 9, tzinfo=UTC)] * 3
    assert frames.sessions([]).schema == found.schema
