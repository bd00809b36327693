"""A trace as a tree: who called whom, when by one clock, and how long each was busy itself.

Theory of operation. Spans are places in a list, since ids may come twice. A span whose parent is not there is a root,
and an orphan; of those that call each other in a circle, the first to start is taken for an orphan too. Nothing is
recursive: a trace may be ten thousand spans deep.

Clocks of machines differ. A child can't begin before its parent does: where it seems to, it and all below it are moved
so that it begins with the parent. Nor does a caller on another machine end before its answer is there: a child of
another service that would fit into its parent, and ends after it, is moved to end with it. A child of the same service
that ends later was not waited for, and is left where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Node:
    """A span in the tree; times in ns by the trace's clock. ``end_ns`` is its start where its duration is not known."""

    parent: int | None
    depth: int
    children: list[int]
    start_ns: int
    end_ns: int
    skew_ns: int = 0
    is_orphan: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes in the order of the spans, and the places of those that have no parent here."""

    nodes: list[Node]
    roots: list[int]

    @property
    def start_ns(self) -> int:
        """Return when the first span began."""
        return min((node.start_ns for node in self.nodes), default=0)

    @property
    def end_ns(self) -> int:
        """Return when the last one ended."""
        return max((node.end_ns for node in self.nodes), default=0)

    def self_time_ns(self, place: int) -> int:
        """Return how long the span ran while none of its children did."""
        node = self.nodes[place]
        busy, reached = 0, node.start_ns
        for child in sorted((self.nodes[place] for place in node.children), key=lambda child: child.start_ns):
            start, end = max(child.start_ns, reached), min(child.end_ns, node.end_ns)
            if end > start:
                busy += end - start
                reached = end
        return node.end_ns - node.start_ns - busy


def tree_of(spans: Sequence[Mapping[str, Any]]) -> Tree:
    """Return the tree of the spans, which come by start."""
    nodes = [_node(span) for span in spans]
    parents = _parents(spans)
    roots = [place for place, parent in enumerate(parents) if parent is None]
    order = _reached(parents, roots)
    # What no root leads to runs in a circle.
    while len(order) < len(nodes):
        seen = set(order)
        first = next(place for place in range(len(nodes)) if place not in seen)
        parents[first] = None
        roots.append(first)
        order += _reached(parents, [first])
    for place, parent in enumerate(parents):
        nodes[place].parent = parent
        nodes[place].is_orphan = parent is None and bool(spans[place]["parent_span_id"])
        if parent is not None:
            nodes[parent].children.append(place)
    for place in order:
        parent = nodes[place].parent
        if parent is not None:
            _place_below(nodes[parent], nodes[place], is_remote=_service(spans[parent]) != _service(spans[place]))
    for node in nodes:
        node.children.sort(key=lambda child: (nodes[child].start_ns, child))
    return Tree(nodes, sorted(roots, key=lambda place: (nodes[place].start_ns, place)))


def _node(span: Mapping[str, Any]) -> Node:
    start_ns = span["start_time_unix_nano"] or 0
    return Node(None, 0, [], start_ns, start_ns + max(span["duration_ns"] or 0, 0))


def _parents(spans: Sequence[Mapping[str, Any]]) -> list[int | None]:
    by_id: dict[str, int] = {}
    for place, span in enumerate(spans):
        by_id.setdefault(span["span_id"], place)
    found = [by_id.get(span["parent_span_id"] or "") for span in spans]
    return [None if parent == place else parent for place, parent in enumerate(found)]


def _reached(parents: Sequence[int | None], roots: Sequence[int]) -> list[int]:
    """Return the places below the roots, parents before children."""
    children: dict[int, list[int]] = {}
    for place, parent in enumerate(parents):
        if parent is not None:
            children.setdefault(parent, []).append(place)
    order, waiting = [], list(roots)
    while waiting:
        place = waiting.pop()
        order.append(place)
        waiting += children.get(place, ())
    return order


def _service(span: Mapping[str, Any]) -> Any:
    return span.get("service_name")


def _place_below(parent: Node, child: Node, *, is_remote: bool) -> None:
    child.depth = parent.depth + 1
    _move(child, parent.skew_ns)
    if child.start_ns < parent.start_ns:
        _move(child, parent.start_ns - child.start_ns)
    elif (
        is_remote and child.end_ns > parent.end_ns and child.end_ns - child.start_ns <= parent.end_ns - parent.start_ns
    ):
        _move(child, parent.end_ns - child.end_ns)


def _move(node: Node, by_ns: int) -> None:
    node.start_ns += by_ns
    node.end_ns += by_ns
    node.skew_ns += by_ns
