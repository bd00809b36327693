"""A call of a model counts once, whoever else makes a span around it."""

from __future__ import annotations

from typing import Any

from collector_inputs import batch

from collector.processors.columns import FEW
from collector.processors.leaves import Leaves


def span(span_id: str, parent: str | None = None, **columns: Any) -> dict[str, Any]:
    return {
        "project": "p",
        "trace_id": "t",
        "span_id": span_id,
        "parent_span_id": parent,
        "operation": "chat",
        "is_inference": True,
        **columns,
    }


def counted(leaves: Leaves, *spans: dict[str, Any]) -> list[str]:
    return [row["span_id"] for row in leaves(batch("spans", list(spans))).to_pylist() if row["is_inference"]]


def test_of_two_nested_calls_in_one_batch_the_inner_one_counts() -> None:
    assert counted(Leaves(), span("outer"), span("inner", "outer"), span("other")) == ["inner", "other"]


def test_an_inner_call_of_an_earlier_batch_is_remembered() -> None:
    leaves = Leaves()

    assert counted(leaves, span("inner", "outer")) == ["inner"]
    assert counted(leaves, span("outer", "agent")) == []


def test_all_calls_within_another_count() -> None:
    assert counted(Leaves(), span("first", "outer"), span("again", "outer"), span("outer")) == ["first", "again"]


def test_a_call_in_a_span_that_is_none_leaves_it_as_it_is() -> None:
    leaves = Leaves()
    agent = span("agent", operation="invoke_agent", is_inference=False)

    rows = leaves(batch("spans", [span("call", "agent"), agent, span("none", is_inference=None)])).to_pylist()

    assert [row["is_inference"] for row in rows] == [True, False, None]


def test_embeddings_within_a_call_are_no_leaf_of_it() -> None:
    assert counted(Leaves(), span("search", "call", operation="Embeddings"), span("call")) == ["search", "call"]


def test_the_same_ids_in_another_project_or_trace_are_others() -> None:
    inner = span("inner", "outer")

    assert counted(Leaves(), inner, span("outer", project="q"), span("outer", trace_id="u")) == [
        "inner",
        "outer",
        "outer",
    ]


def test_what_comes_within_a_call_of_an_earlier_batch_does_not_count_again() -> None:
    leaves = Leaves()

    assert counted(leaves, span("outer")) == ["outer"]
    assert counted(leaves, span("inner", "outer"), span("again", "outer")) == []
    assert counted(leaves, span("innermost", "inner")) == []
    assert counted(leaves, span("search", "outer", operation="embeddings")) == ["search"]


def test_a_span_that_is_sent_again_counts_as_before() -> None:
    leaves = Leaves()

    for _ in range(2):
        assert counted(leaves, span("inner", "outer")) == ["inner"]
        assert counted(leaves, span("outer", "agent")) == []
        assert counted(leaves, span("other")) == ["other"]


def test_what_is_remembered_is_limited() -> None:
    leaves = Leaves(places=1)

    counted(leaves, span("inner", "outer"), span("another", "around"))

    assert counted(leaves, span("outer"), span("around")) in (["outer"], ["around"])


def test_a_large_batch_is_as_many_small_ones() -> None:
    spans = [span(f"{kind} {number}", parent) for number in range(FEW) for kind, parent in _pair(number)]
    leaves = Leaves()

    assert counted(Leaves(), *spans) == [f"inner {number}" for number in range(FEW)]
    assert [name for one in spans for name in counted(leaves, one)] == [f"inner {number}" for number in range(FEW)]


def _pair(number: int) -> tuple[tuple[str, str | None], ...]:
    return (("inner", f"outer {number}"), ("outer", None))
