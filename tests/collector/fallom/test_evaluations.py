"""Runs of evaluations as the clients send them: rows of items and of scores."""

from __future__ import annotations

import json
from typing import Any

import pytest
from collector_inputs import RECEIPT

from collector.component import CollectorError, DecodeError, TooLargeError
from collector.decoders import DECODERS
from collector.fallom import evaluations
from collector.privacy.policy import PrivacyPolicy
from collector.processors.privacy import Privacy
from collector.request import Decoded, Format, Request
from schemas.evaluations import CONTENT_COLUMNS, EVALUATION_TABLES

MARK = "xq7marked9z"


def result(**fields: Any) -> dict[str, Any]:
    """Return an item as 0.2.7 sends it: every field, most of them null."""
    sent: dict[str, Any] = {
        "input": "q",
        "system_message": None,
        "expected_output": None,
        "context": None,
        "metadata": None,
        "model": "production",
        "output": "a",
        "is_production": True,
        **dict.fromkeys(evaluations.METRICS),
        "reasoning": {},
        "latency_ms": None,
        "tokens_in": None,
        "tokens_out": None,
        "cost": None,
    }
    return sent | fields


def decode(*results: Any, stored: str = "", **run: Any) -> Decoded:
    body = json.dumps({"name": "run", "results": list(results)} | run).encode()
    notes = {evaluations.RUN_ID: "ab" * 16, evaluations.STORED: stored}
    return DECODERS[Format.EVALUATION]([(Request(Format.EVALUATION, body, "p", notes=notes), RECEIPT)])


def items_of(decoded: Decoded) -> list[dict[str, Any]]:
    return [row for table, rows in decoded.also for row in rows.to_pylist() if table == "evaluation_items"]


def scores_of(decoded: Decoded) -> list[dict[str, Any]]:
    assert decoded.table == "evaluation_scores"
    return decoded.rows.to_pylist()


def refusal(*results: Any, **run: Any) -> CollectorError:
    (outcome,) = decode(*results, **run).outcomes
    assert isinstance(outcome, CollectorError)
    return outcome


def test_an_item_has_a_row_and_each_of_its_scores_one() -> None:
    found = decode(
        result(faithfulness=0.9, bias=0, reasoning={"faithfulness": "sound"}, context=["doc"], latency_ms=12, cost=0.1),
        result(model="m"),
        judge_model="j",
    )

    first, second = items_of(found)
    assert (first["item"], first["context"], first["latency_ms"], first["cost"]) == (0, '["doc"]', 12.0, 0.1)
    assert (second["item"], second["model"], second["latency_ms"]) == (1, "m", None)
    assert [(row["metric"], row["score"], row["status"], row["reasoning"]) for row in scores_of(found)] == [
        ("faithfulness", 0.9, "ok", "sound"),
        ("bias", 0.0, "ok", None),
    ]
    assert {(row["run_id"], row["run_name"], row["judge_model"], row["project"]) for row in scores_of(found)} == {
        ("ab" * 16, "run", "j", "p")
    }
    assert [outcome.accepted for outcome in found.outcomes] == [2]


@pytest.mark.parametrize(
    ("sent", "score", "status"),
    [
        (1, 1.0, "ok"),
        ("0.75", 0.75, "ok"),
        ("good", None, "failed"),
        ([0.5], None, "failed"),
        (True, None, "failed"),
        ("nan", None, "failed"),
        ("1e999", None, "failed"),
    ],
)
def test_a_score_is_taken_as_the_judge_gave_it(sent: Any, score: float | None, status: str) -> None:
    (row,) = scores_of(decode(result(toxicity=sent)))

    assert (row["score"], row["status"]) == (score, status)


def test_what_the_judge_failed_at_and_what_the_client_left_out_are_told_apart() -> None:
    reasons = {"toxicity": "Error: 500 Server Error", "brand": "on brand", "odd": ["a", 1]}

    rows = scores_of(decode(result(reasoning=reasons)))

    assert [(row["metric"], row["status"], row["reasoning"]) for row in rows] == [
        ("toxicity", "failed", "Error: 500 Server Error"),
        ("brand", "not_sent", "on brand"),
        ("odd", "not_sent", '["a",1]'),
    ]


def test_scores_of_other_metrics_are_taken_from_an_object_of_their_own() -> None:
    (row,) = scores_of(decode(result(scores={"brand": 0.3}, reasoning={"brand": "so so"})))

    assert (row["metric"], row["score"], row["reasoning"]) == ("brand", 0.3, "so so")


def test_a_model_that_gave_no_output_is_an_error_and_no_score() -> None:
    found = decode(result(model="m", output="Error: down", reasoning={"error": "down"}))

    assert items_of(found)[0]["error"] == "down"
    assert scores_of(found) == []


def test_whose_an_item_is_stands_in_its_metadata_or_in_itself() -> None:
    metadata = {"sessionId": "s", "customer_id": "ann", "trace_id": "t", "config_key": "c", "variant": "v"}

    found = decode(result(metadata=metadata, faithfulness=1), result(metadata=metadata, session_id="own"))

    names = ("session_id", "customer_id", "trace_id", "config_key", "variant")
    assert [tuple(row[name] for name in names) for row in items_of(found)] == [
        ("s", "ann", "t", "c", "v"),
        ("own", "ann", "t", "c", "v"),
    ]
    assert tuple(scores_of(found)[0][name] for name in names) == ("s", "ann", "t", "c", "v")


def test_what_an_earlier_attempt_has_stored_is_not_stored_again() -> None:
    again = decode(result(faithfulness=1), stored="evaluation_items")
    once_more = decode(result(faithfulness=1), stored="evaluation_items,evaluation_scores")

    assert (len(items_of(again)), len(scores_of(again))) == (0, 1)
    assert (len(items_of(once_more)), len(scores_of(once_more))) == (0, 0)
    assert once_more.outcomes[0].accepted == 1


@pytest.mark.parametrize(
    ("results", "run", "said"),
    [
        ([], {}, "results: a list of at least one item expected, got an empty list"),
        ([3], {}, "results[0]: an object expected, got 3"),
        ([{}], {"name": ""}, "name: required, got ''"),
        ([{"reasoning": "x"}], {}, "results[0].reasoning: an object expected, got 'x'"),
        ([{"scores": [1]}], {}, "results[0].scores: an object expected, got a list of 1 item"),
        ([{}, {"model": "m" * 1001}], {}, "results[1].model: at most 1000 characters allowed, got 1001"),
        ([{"session_id": "m" * 1001}], {}, "results[0].session_id: at most 1000 characters allowed, got 1001"),
        ([{}], {"description": "d" * 1001}, "description: at most 1000 characters allowed, got 1001"),
    ],
)
def test_what_is_no_run_is_refused_and_told_where(results: list[Any], run: Any, said: str) -> None:
    error = refusal(*results, **run)

    assert isinstance(error, DecodeError)
    assert str(error) == said


def test_a_run_is_bounded_in_items_in_scores_and_in_what_its_rows_repeat() -> None:
    too_many_items = refusal(*[{}] * (evaluations.ITEMS_MAX + 1))
    names = {f"metric {number}": 1 for number in range(1000)}
    too_many_scores = refusal(*[{"scores": names}] * (evaluations.SCORES_MAX // 1000 + 1))
    short = {f"{number:x}": 1 for number in range(250)}
    too_long = refusal(*[{"session_id": "s" * 1000, "scores": short}] * 300)

    assert str(too_many_items) == "results: at most 10000 items allowed, got 10001: send several runs"
    assert isinstance(too_many_scores, TooLargeError)
    assert isinstance(too_long, TooLargeError)


def test_a_run_that_can_t_be_decoded_fails_alone() -> None:
    notes = {evaluations.RUN_ID: "a"}
    bodies = (b"{", json.dumps({"name": "n", "results": [result(bias=1)]}).encode())

    found = DECODERS[Format.EVALUATION](
        [(Request(Format.EVALUATION, body, "p", notes=notes), RECEIPT) for body in bodies]
    )

    assert isinstance(found.outcomes[0], DecodeError)
    assert len(scores_of(found)) == 1


def marked(**metadata: Any) -> Decoded:
    reasoning = {"bias": MARK, "error": MARK}
    content = dict.fromkeys(("input", "output", "system_message", "expected_output"), MARK)
    return decode(result(**content, context=[MARK], reasoning=reasoning, bias=0.5, metadata=metadata or None))


def stored(decoded: Decoded, **policy: Any) -> dict[str, list[dict[str, Any]]]:
    privacy = Privacy({"p": PrivacyPolicy(**policy)}, b"k" * 32)
    tables = [*decoded.also, (decoded.table, decoded.rows)]
    return {table: privacy(table, rows).to_pylist() for table, rows in tables}


@pytest.mark.parametrize("content", ["drop", "hash", "mask"])
def test_content_that_a_policy_forbids_is_in_no_row(content: str) -> None:
    rows = stored(marked(**{"gen_ai.prompt": MARK}), content=content)

    assert rows.keys() == {table.name for table in EVALUATION_TABLES}
    assert MARK not in str(rows)
    assert rows["evaluation_scores"][0]["score"] == 0.5
    for table, columns in CONTENT_COLUMNS.items():
        assert all((rows[table][0][column] is None) == (content == "drop") for column in columns), table


def test_patterns_are_redacted_and_ids_become_pseudonyms() -> None:
    found = decode(result(input="write to ann@example.com", bias=1, metadata={"customer_id": "ann@example.com"}))

    rows = stored(found, redact=["email"])

    assert "ann@example.com" not in str(rows)
    (item,), (score,) = rows["evaluation_items"], rows["evaluation_scores"]
    assert item["input"] == "write to [email]"
    assert item["customer_id"] == score["customer_id"] != "[email]"
    assert item["run_id"] == "ab" * 16


def test_a_denied_key_is_in_no_metadata_and_fills_no_column() -> None:
    rows = stored(marked(customer_id="ann", topic="x"), deny=["customer_id"])

    (item,), (score,) = rows["evaluation_items"], rows["evaluation_scores"]
    assert json.loads(item["metadata"]) == {"topic": "x"}
    assert item["customer_id"] is None
    assert score["customer_id"] is None
