"""What differs between two bodies is told by field, and what is told suffices to get from one to the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.registry.differences import Difference, differences

values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1}, {"a": 2}, [Difference("a", "changed", 1, 2)]),
        ({"a": 1}, {"b": 1}, [Difference("a", "removed", before=1), Difference("b", "added", after=1)]),
        ({"v": [{"w": 1}]}, {"v": [{"w": 2}]}, [Difference("v[0].w", "changed", 1, 2)]),
        ({"v": [1, 2]}, {"v": [1]}, [Difference("v[1]", "removed", before=2)]),
        ({"v": 1}, {"v": True}, [Difference("v", "changed", 1, True)]),
        ({"v": 1}, {"v": 1.0}, []),
        ({"v": {"x": 1, "y": 2}}, {"v": {"y": 2, "x": 1}}, [Difference("v", "reordered", ["x", "y"], ["y", "x"])]),
        ({"v": {}}, {"v": []}, [Difference("v", "changed", {}, [])]),
        ({"a b": 1}, {"a b": 2}, [Difference('["a b"]', "changed", 1, 2)]),
    ],
)
def test_each_kind_of_difference_is_told(before: Any, after: Any, told: list[Difference]) -> None:
    assert list(differences(before, after)) == told


@given(values, values)
def test_nothing_is_told_of_equals_alone(before: Any, after: Any) -> None:
    assert differences(before, before) == ()
    # repr tells true from 1, and one order from another.
    assert (differences({"v": before}, {"v": after}) == ()) == (repr(before) == repr(after))
