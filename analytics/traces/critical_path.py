"""The critical path: of each moment of a trace, the one span that had to be shorter for the trace to be so.

Theory of operation. It is walked from the end to the beginning. Within a span, the child that ended last before the
present moment is what was waited for: from its end on the span itself was at work, then the walk goes into the child,
and from the child's start it goes on in the span. A child that ends after the present moment ran beside what is on the
path already, and is not on it; nor is one that outlived the span, which nobody waited for. Ends that overlap a next
start by a little are clocks' inaccuracy: the tolerance takes them for one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from analytics.traces.tree import Tree

TOLERANCE_NS = 1_000_000
TOLERANCE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Segment:
    """The time in which one span, by its place, was on the path."""

    place: int
    start_ns: int
    end_ns: int


def critical_path(tree: Tree) -> list[Segment]:
    """Return the segments by time. Time between roots, in which nothing is known to run, is in none."""
    found: list[Segment] = []
    # What is to be walked, last first: a span, from which moment to which, backwards.
    waiting = _steps(tree, tree.roots, None, tree.start_ns, tree.end_ns)
    while waiting:
        place, start_ns, end_ns, is_own = waiting.pop()
        if is_own:
            found.append(Segment(place, start_ns, end_ns))
        else:
            waiting += _steps(tree, tree.nodes[place].children, place, start_ns, end_ns)
    return _joined(sorted(found, key=lambda segment: (segment.start_ns, segment.end_ns)))


_Step = tuple[int, int, int, bool]


def _steps(tree: Tree, children: list[int], owner: int | None, start_ns: int, end_ns: int) -> list[_Step]:
    """Return the parts of the owner's time: its own, and those of the children it waited for."""
    tolerance_ns = min(TOLERANCE_NS, int((end_ns - start_ns) * TOLERANCE_SHARE))
    steps: list[_Step] = []
    now_ns = end_ns
    by_end = sorted(children, key=lambda place: (tree.nodes[place].end_ns, -tree.nodes[place].start_ns))
    for place in reversed(by_end):
        node = tree.nodes[place]
        child_end = min(node.end_ns, now_ns)
        if node.end_ns > now_ns + tolerance_ns or child_end <= max(node.start_ns, start_ns):
            continue
        if owner is not None and now_ns > child_end:
            steps.append((owner, child_end, now_ns, True))
        child_start = max(node.start_ns, start_ns)
        steps.append((place, child_start, child_end, False))
        now_ns = child_start
    if owner is not None and now_ns > start_ns:
        steps.append((owner, start_ns, now_ns, True))
    return steps


def _joined(segments: list[Segment]) -> list[Segment]:
    """Return the segments, those of one span that touch made one."""
    joined: list[Segment] = []
    for segment in segments:
        if joined and joined[-1].place == segment.place and joined[-1].end_ns == segment.start_ns:
            joined[-1] = Segment(segment.place, joined[-1].start_ns, segment.end_ns)
        else:
            joined.append(segment)
    return joined
