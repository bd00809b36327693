"""What differs between two bodies of a resource, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schemas.api.problems import path_text

Location = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs: ``variants[0].weight``, changed, 50, 60."""

    path: str
    change: Literal["added", "removed", "changed", "reordered"]
    before: Any = None
    after: Any = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON; ``before`` is absent of what was added, ``after`` of what was removed."""
        absent = {"added": "before", "removed": "after"}.get(self.change)
        content = {"path": self.path, "change": self.change, "before": self.before, "after": self.after}
        return {name: value for name, value in content.items() if name != absent}


def differences(before: Any, after: Any) -> tuple[Difference, ...]:
    """Return what has to be done to ``before`` to get ``after``, in the order of the fields."""
    return tuple(_differences(before, after, ()))


def _differences(before: Any, after: Any, location: Location) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_mappings(before, after, location)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_mappings(dict(enumerate(before)), dict(enumerate(after)), location)
    # True is 1 to Python, and not to JSON.
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Difference(path_text(location), "changed", before, after)


def _of_mappings(before: Mapping[Any, Any], after: Mapping[Any, Any], location: Location) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *after]):
        place = (*location, name)
        if name not in after:
            yield Difference(path_text(place), "removed", before=before[name])
        elif name not in before:
            yield Difference(path_text(place), "added", after=after[name])
        else:
            yield from _differences(before[name], after[name], place)
    order, new_order = [name for name in before if name in after], [name for name in after if name in before]
    # The order of a config's variants is that of the walk: another one assigns anew.
    if order != new_order:
        yield Difference(path_text(location), "reordered", order, new_order)
