"""Trees of spans and their critical paths."""

from __future__ import annotations

from typing import Any

import pytest

from analytics.traces.critical_path import critical_path
from analytics.traces.tree import Tree, tree_of

MS = 1_000_000


def spans(*described: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Return spans of (id, parent, start ms, end ms, service?), by start."""
    made = [
        {
            "span_id": name,
            "parent_span_id": parent,
            "start_time_unix_nano": start * MS,
            "duration_ns": (end - start) * MS,
            "service_name": rest[0] if rest else "app",
        }
        for name, parent, start, end, *rest in described
    ]
    return sorted(made, key=lambda span: span["start_time_unix_nano"])


def depths(found: list[dict[str, Any]], tree: Tree) -> dict[str, int]:
    return {span["span_id"]: node.depth for span, node in zip(found, tree.nodes, strict=True)}


def path(*described: tuple[Any, ...]) -> list[tuple[str, float, float]]:
    found = spans(*described)
    tree = tree_of(found)
    return [
        (found[segment.place]["span_id"], segment.start_ns / MS, segment.end_ns / MS) for segment in critical_path(tree)
    ]


def test_children_are_below_their_parents_by_start() -> None:
    found = spans(("root", None, 0, 100), ("b", "root", 50, 60), ("a", "root", 10, 20), ("c", "a", 12, 14))
    tree = tree_of(found)

    assert depths(found, tree) == {"root": 0, "a": 1, "b": 1, "c": 2}
    assert [found[place]["span_id"] for place in tree.nodes[0].children] == ["a", "b"]
    assert not any(node.is_orphan for node in tree.nodes)


def test_an_orphan_is_kept_as_a_root() -> None:
    found = spans(("root", None, 0, 100), ("lost", "nowhere", 10, 20), ("below", "lost", 11, 12))
    tree = tree_of(found)

    assert [found[place]["span_id"] for place in tree.roots] == ["root", "lost"]
    assert [node.is_orphan for node in tree.nodes] == [False, True, False]
    assert depths(found, tree)["below"] == 1


@pytest.mark.parametrize("circle", [[("a", "a")], [("a", "b"), ("b", "a")], [("a", "c"), ("b", "a"), ("c", "b")]])
def test_a_circle_is_broken_at_its_first_span(circle: list[tuple[str, str]]) -> None:
    described = [(name, parent, place, 100 - place) for place, (name, parent) in enumerate(circle)]
    found = spans(("root", None, 0, 200), *described, ("below", circle[-1][0], 50, 51))
    tree = tree_of(found)

    assert [found[place]["span_id"] for place in tree.roots] == ["root", "a"]
    assert depths(found, tree)["below"] == len(circle)


def test_ids_that_come_twice_lose_no_span() -> None:
    found = spans(("root", None, 0, 10), ("a", "root", 1, 2), ("a", "root", 3, 4), ("b", "a", 1, 2))
    tree = tree_of(found)

    assert sum(len(node.children) for node in tree.nodes) + len(tree.roots) == 4


def test_a_trace_may_be_deep() -> None:
    described = [(str(place), str(place - 1) if place else None, place, 20_000 - place) for place in range(10_000)]
    found = spans(*described)
    tree = tree_of(found)

    assert max(node.depth for node in tree.nodes) == 9_999
    assert sum(segment.end_ns - segment.start_ns for segment in critical_path(tree)) == 20_000 * MS


def test_self_time_is_without_the_time_of_any_child() -> None:
    found = spans(
        ("root", None, 0, 100),
        ("a", "root", 10, 40),
        ("b", "root", 30, 50),
        ("c", "root", 60, 70),
        ("d", "root", 90, 130),
    )
    tree = tree_of(found)

    assert tree.self_time_ns(0) == (100 - 40 - 10 - 10) * MS


def test_a_child_that_begins_before_its_parent_is_moved_with_all_below_it() -> None:
    found = spans(("root", None, 1000, 1100), ("a", "root", 900, 950, "other"), ("b", "a", 910, 920, "other"))
    tree = tree_of(found)
    by_id = {span["span_id"]: node for span, node in zip(found, tree.nodes, strict=True)}

    assert (by_id["a"].start_ns, by_id["a"].skew_ns) == (1000 * MS, 100 * MS)
    assert by_id["b"].start_ns == 1010 * MS
    assert (tree.start_ns, tree.end_ns) == (1000 * MS, 1100 * MS)


def test_an_answer_of_another_machine_ends_within_its_call() -> None:
    found = spans(("root", None, 0, 100), ("remote", "root", 80, 130, "other"), ("own", "root", 90, 120))
    tree = tree_of(found)

    assert [(node.start_ns // MS, node.end_ns // MS) for node in tree.nodes] == [(0, 100), (50, 100), (90, 120)]


def test_the_path_of_one_after_the_other_is_all_of_them() -> None:
    assert path(("root", None, 0, 100), ("a", "root", 10, 40), ("b", "root", 50, 90)) == [
        ("root", 0, 10),
        ("a", 10, 40),
        ("root", 40, 50),
        ("b", 50, 90),
        ("root", 90, 100),
    ]


def test_of_parallel_children_the_last_to_end_is_on_the_path() -> None:
    assert path(
        ("root", None, 0, 100), ("quick", "root", 10, 50), ("slow", "root", 10, 90), ("inner", "slow", 20, 80)
    ) == [
        ("root", 0, 10),
        ("slow", 10, 20),
        ("inner", 20, 80),
        ("slow", 80, 90),
        ("root", 90, 100),
    ]


def test_what_ended_before_the_slow_one_began_is_on_the_path() -> None:
    assert path(
        ("root", None, 0, 100), ("first", "root", 0, 30), ("beside", "root", 0, 60), ("slow", "root", 30, 100)
    ) == [
        ("first", 0, 30),
        ("slow", 30, 100),
    ]


def test_a_child_that_nobody_waited_for_is_not_on_the_path() -> None:
    found = path(("root", None, 0, 100), ("detached", "root", 50, 300), ("work", "root", 10, 90))

    assert [name for name, _, _ in found] == ["root", "work", "root"]
    assert found[-1] == ("root", 90, 100)


def test_a_small_overlap_of_clocks_is_none() -> None:
    found = spans(("root", None, 0, 1000), ("a", "root", 0, 500), ("b", "root", 500, 1000))
    found[1]["duration_ns"] += 500_000
    tree = tree_of(found)

    assert [found[segment.place]["span_id"] for segment in critical_path(tree)] == ["a", "b"]


def test_a_span_without_an_end_breaks_nothing() -> None:
    found = spans(("root", None, 0, 100), ("a", "root", 10, 20))
    found[1]["duration_ns"] = None

    assert [segment.place for segment in critical_path(tree_of(found))] == [0]
    assert critical_path(tree_of([])) == []
