"""Which columns the files of a table have, where an older version may have written some of them with fewer.

A file never changes, so its footer is read once. Files of the same columns are read together, as natively as those of a
table that always had all: to let the database find the columns out would cost it every footer at every query.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import pyarrow.parquet as pq

from storage.hot import View


class FileColumns:
    """Remembers the columns of the live files of each table. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, frozenset[str]]] = {}

    def alike(self, view: View) -> Iterable[tuple[Collection[str], list[str]]]:
        """Return the files in groups of the same columns, each with these; of an unchanged table all as one group."""
        if not view.files:
            return []
        if not view.is_evolved:
            return [(view.table.schema.names, list(view.files))]
        known = self._known.get(view.table.name, {})
        # Those that are gone are forgotten.
        found = {path: known.get(path) or _columns(path) for path in view.files}
        self._known[view.table.name] = found
        groups: defaultdict[frozenset[str], list[str]] = defaultdict(list)
        for path, names in found.items():
            groups[names].append(path)
        partition = view.table.partition_by
        return [(names.union(partition), paths) for names, paths in groups.items()]


def _columns(path: str) -> frozenset[str]:
    return frozenset(pq.read_schema(path).names)
