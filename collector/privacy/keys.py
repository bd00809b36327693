"""Keys of attributes as a policy names them: as they are, or all that begin alike, with ``*`` at the end."""

import re
from collections.abc import Callable, Iterable

import orjson
import pyarrow as pa

from collector.privacy.columns import replaced


class Keys:
    """A set of keys, ``user.email``, and of beginnings, ``http.request.header.*``."""

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        self._exact = frozenset(name for name in names if not name.endswith("*"))
        self._beginnings = tuple(name[:-1] for name in names if name.endswith("*"))

    def __bool__(self) -> bool:
        return bool(self._exact or self._beginnings)

    def match(self, key: str) -> bool:
        """Return whether a key is among them."""
        return key in self._exact or key.startswith(self._beginnings)

    def meet(self, prefix: str) -> bool:
        """Return whether a key that begins so may be among them."""
        return any(name.startswith(prefix) for name in (*self._exact, *self._beginnings)) or prefix.startswith(
            self._beginnings
        )

    @property
    def hint(self) -> str:
        """An expression that matches wherever one of them is a key of JSON."""
        exact = [f'"{_in_json(name)}"' for name in sorted(self._exact)]
        return "|".join([*exact, *(f'"{_in_json(name)}' for name in self._beginnings)])


def _in_json(name: str) -> str:
    return re.escape(orjson.dumps(name).decode()[1:-1])


def without_promoted(spans: pa.RecordBatch, is_gone: Callable[[str, str], bool]) -> pa.RecordBatch:
    """Return the spans, ``promoted`` without the (column, key) that are gone."""
    if "promoted" not in spans.schema.names:
        return spans
    encoded = spans["promoted"].dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    new = [_without(text, is_gone) for text in texts]
    if new == texts:
        return spans
    column = pa.array(new, pa.string()).take(encoded.indices)
    return replaced(spans, "promoted", dict(enumerate(column.to_pylist())))


def _without(text: str, is_gone: Callable[[str, str], bool]) -> str | None:
    left = {column: key for column, key in orjson.loads(text).items() if not is_gone(column, key)}
    return orjson.dumps(left).decode() if left else None
