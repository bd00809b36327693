"""A call of a model counts once, whoever else makes a span around it."""

from __future__ import annotations

from typing import Any

import pytest
from collector_inputs import batch
from hypothesis import given
from hypothesis import strategies as st

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


def beside(span_id: str, scope: str, start_s: float, end_s: float, **columns: Any) -> dict[str, Any]:
    times = {"start_time_unix_nano": int(start_s * 1e9), "duration_ns": int((end_s - start_s) * 1e9)}
    return span(span_id, "agent", scope_name=scope, **times, **{"provider": "anthropic", "output_tokens": 7} | columns)


TWIN = beside("twin", "openinference", 1.1, 1.9, provider="Anthropic")


def test_of_two_libraries_spans_of_one_call_side_by_side_the_first_counts() -> None:
    own = beside("own", "openllmetry", 1, 2)

    assert counted(Leaves(), own, TWIN) == ["own"]
    assert counted(Leaves(), TWIN, own) == ["twin"]


def test_a_span_of_an_earlier_batch_stands_for_the_call() -> None:
    leaves = Leaves()

    for _ in range(2):
        assert counted(leaves, beside("own", "openllmetry", 1, 2)) == ["own"]
        assert counted(leaves, TWIN) == []


def test_of_calls_that_are_made_at_once_each_counts() -> None:
    # As they come: the one inside ends first.
    spans = [
        beside(f"{scope}{number}", scope, 1 + number / 100 + inside, 2 + number / 100 - inside)
        for number in range(3)
        for scope, inside in (("openinference", 0.001), ("openllmetry", 0))
    ]

    assert counted(Leaves(), *spans) == ["openinference0", "openinference1", "openinference2"]


@pytest.mark.parametrize(
    "other",
    [
        beside("other", "openllmetry", 1.1, 1.9),
        beside("other", "openinference", 1.5, 2.5),
        beside("other", "openinference", 1.1, 1.9, provider="openai"),
        beside("other", "openinference", 1.1, 1.9, output_tokens=8),
        beside("other", "openinference", 1.1, 1.9, parent_span_id="another"),
        beside("other", "openinference", 1.1, 1.9, parent_span_id=None),
        beside("other", "openinference", 1.1, 1.9, project="q"),
        beside("other", "openinference", 1.1, 1.9, operation="embeddings"),
    ],
    ids=["library", "time", "provider", "answer", "parent", "no parent", "project", "operation"],
)
def test_what_differs_is_another_call(other: dict[str, Any]) -> None:
    assert counted(Leaves(), beside("own", "openllmetry", 1, 2), other) == ["own", "other"]


def test_calls_that_failed_are_told_twice_too() -> None:
    spans = [beside(name, name, 1, 2, output_tokens=None) for name in ("openllmetry", "openinference")]

    assert counted(Leaves(), *spans) == ["openllmetry"]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(1, 3), st.integers(0, 2), st.booleans()),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_in_any_batches_it_is_what_one_span_after_another_gives(
    drawn: list[tuple[str, int, int, int, bool]], cut: int
) -> None:
    spans = [
        beside(f"s{number}", scope, start, start + length, output_tokens=tokens, provider=None if bare else "p")
        for number, (scope, start, length, tokens, bare) in enumerate(drawn)
    ]
    one_by_one, at_once = Leaves(), Leaves()

    wanted = [name for each in spans for name in counted(one_by_one, each)]

    assert [name for part in (spans[:cut], spans[cut:]) if part for name in counted(at_once, *part)] == wanted
