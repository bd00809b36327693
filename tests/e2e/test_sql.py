"""``POST /sql``: its formats, limits and errors, and what the views show of traffic that is known."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import pyarrow as pa
import pytest
from client_messages import PROTOBUF, export_request, exposure, flat_trace, metrics, span
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

JSON, ARROW, CSV = "application/json", "application/vnd.apache.arrow.stream", "text/csv"
VALUES = """
    SELECT * FROM (VALUES (1, 'a,"b"', NULL, [1, 2], TIMESTAMPTZ '2026-11-21 12:00:00+00'), (2, '', 1.5, [], NULL))
        AS rows(number, text, fraction, list, time)
"""


def ask(server: ServerProcess, query: str, accept: str | None = None) -> httpx.Response:
    headers = {"Accept": accept} if accept else {}
    return httpx.post(f"{server.url}/sql", json={"query": query}, headers=headers, trust_env=False, timeout=60)


def test_an_answer_is_json_arrow_or_csv(shared_server: ServerProcess) -> None:
    as_json, as_arrow, as_csv = (ask(shared_server, VALUES, accept) for accept in (JSON, ARROW, CSV))

    assert as_json.json() == {
        "columns": ["number", "text", "fraction", "list", "time"],
        "rows": [[1, 'a,"b"', None, [1, 2], "2026-11-21T12:00:00+00:00"], [2, "", 1.5, [], None]],
        "truncated": False,
    }
    rows = pa.ipc.open_stream(as_arrow.content).read_all()
    assert rows["list"].to_pylist() == [[1, 2], []]
    assert str(rows.schema.field("time").type) == "timestamp[us, tz=UTC]"
    assert as_csv.text.splitlines()[1] == '1,"a,""b""",,"[1,2]",2026-11-21T12:00:00+00:00'
    assert list(csv.reader(io.StringIO(as_csv.text)))[2] == ["2", "", "1.5", "[]", ""]
    # An empty text is no NULL.
    assert as_csv.text.splitlines()[2].startswith('2,"",')
    types = [answer.headers["content-type"].partition(";")[0] for answer in (as_json, as_arrow, as_csv)]
    assert types == [JSON, ARROW, CSV]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("text/*", CSV),
        ("text/html, text/csv;q=0.9, */*;q=0.1", CSV),
        (f"{CSV};q=0.5, {ARROW}", ARROW),
        (f"{JSON};q=0, */*", ARROW),
    ],
)
def test_the_format_is_the_one_that_is_accepted_most(
    shared_server: ServerProcess, accept: str | None, expected: str
) -> None:
    answer = ask(shared_server, "SELECT 1", accept)

    assert answer.headers["content-type"].partition(";")[0] == expected


@pytest.mark.parametrize("accept", ["text/html", f"{JSON};q=0", "nonsense"])
def test_no_format_that_is_accepted_is_an_error(shared_server: ServerProcess, accept: str) -> None:
    answer = ask(shared_server, "SELECT 1", accept)

    assert (answer.status_code, answer.json()["error"]["field"]) == (406, "Accept")
    assert "text/csv" in answer.json()["error"]["message"]


@pytest.mark.parametrize("accept", [JSON, ARROW, CSV])
def test_a_cut_answer_says_so_in_every_format(shared_server: ServerProcess, accept: str) -> None:
    whole, cut = (ask(shared_server, f"FROM range({n})", accept) for n in (100_000, 100_001))

    assert (whole.headers["x-fallom-truncated"], whole.headers["x-fallom-rows"]) == ("false", "100000")
    assert (cut.headers["x-fallom-truncated"], cut.headers["x-fallom-rows"]) == ("true", "100000")
    if accept == JSON:
        assert (whole.json()["truncated"], cut.json()["truncated"]) == (False, True)
        assert cut.json()["rows"][-1] == [99_999]


def test_an_answer_of_many_megabytes_comes_whole(shared_server: ServerProcess) -> None:
    query = "SELECT range AS n, repeat(chr(97 + (range % 26)::INT), 400) AS text FROM range(100000)"

    answer = ask(shared_server, query, ARROW)

    rows = pa.ipc.open_stream(answer.content).read_all()
    assert len(answer.content) == int(answer.headers["content-length"]) > 40_000_000
    assert rows["n"].to_pylist() == list(range(100_000))
    assert rows["text"][27].as_py() == "b" * 400


@pytest.mark.parametrize(
    ("query", "line", "column"),
    [
        ("SELEC 1", 1, 1),
        ("SELECT\n  nothing\nFROM spans", 2, 3),
        ("SELECT 'é', foo(1)", 1, 13),
        ("SELECT * FROM nowhere", 1, 15),
        ("SELECT CAST('x' AS INT)", 1, 8),
    ],
)
def test_an_error_says_where_it_is(shared_server: ServerProcess, query: str, line: int, column: int) -> None:
    answer = ask(shared_server, query, CSV)

    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (400, "query")
    assert error["position"] == {"line": line, "column": column}
    assert f"LINE {line}:" in error["message"]


def call(server: ServerProcess, session_id: str, **attributes: Any) -> None:
    base = {"fallom.config_key": "views", "fallom.session_id": session_id, "gen_ai.operation.name": "chat"}
    sent = span("call", base | attributes)
    request = export_request([sent]).SerializeToString()
    assert server.request("POST", "/v1/traces", request, PROTOBUF)[0] == 200


def test_the_views_show_what_was_sent(server: ServerProcess) -> None:
    answered = {"gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-08-06"}
    call(server, "s1", **answered, **{"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10})
    call(server, "s1", **{"gen_ai.request.model": "no such model", "fallom.customer_id": "customer"})
    server.post("/v1/traces", flat_trace("views", "s2", duration_ms=40))
    for score in (1, 2):
        server.post("/spans", metrics("views", "s1", score=score))
    server.post("/sessions", exposure("views", "s1", "gpt-4o"))

    calls = server.sql("SELECT model, duration_ms, is_error, input_tokens FROM llm_calls WHERE session_id = 's1'")
    (session,) = server.sql("SELECT * EXCLUDE (project, first_time, last_time) FROM sessions WHERE session_id = 's1'")
    (metric,) = server.sql("SELECT name, value_double, values_sent FROM metrics WHERE session_id = 's1'")
    values = server.sql("SELECT value_double FROM metric_values WHERE session_id = 's1' ORDER BY 1")

    assert sorted(calls, key=lambda row: row["model"]) == [
        {"model": "gpt-4o-2024-08-06", "duration_ms": 250.0, "is_error": False, "input_tokens": 100},
        {"model": "no such model", "duration_ms": 250.0, "is_error": False, "input_tokens": None},
    ]
    assert session.pop("cost") > 0
    assert session == {
        "session_id": "s1",
        "config_keys": ["views"],
        "customer_id": "customer",
        "models": ["gpt-4o-2024-08-06", "no such model"],
        "traces": 2,
        "spans": 2,
        "calls": 2,
        "errors": 0,
        "duration_ms": 500.0,
        "input_tokens": 100,
        "output_tokens": 10,
        "total_tokens": 110,
        "unpriced_calls": 1,
    }
    assert metric == {"name": "score", "value_double": 2.0, "values_sent": 2}
    assert [row["value_double"] for row in values] == [1.0, 2.0]


def test_json_of_many_rows_is_one_document(shared_server: ServerProcess) -> None:
    answer = ask(shared_server, "SELECT range, [range] FROM range(2500)", JSON)

    assert json.loads(answer.content)["rows"] == [[n, [n]] for n in range(2500)]
