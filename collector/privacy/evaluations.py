"""The rule for evaluations: their content as a policy wants it, and their metadata without what is denied."""

from typing import Any

import pyarrow as pa

from collector.privacy.columns import replaced, rows_with
from collector.privacy.content import ContentRule
from collector.privacy.documents import changed_attributes
from collector.privacy.expressions import compiled
from collector.privacy.keys import Keys
from collector.privacy.policy import Content, PrivacyPolicy
from collector.processors.columns import with_columns
from schemas.content import HINT
from schemas.evaluations import CONTENT_COLUMNS
from schemas.json_attributes import REMOVED
from schemas.provenance import KEYS
from schemas.table import Table


class EvaluationRule:
    """Applies a policy to the rows of one of the tables of evaluations."""

    def __init__(self, table: Table, policy: PrivacyPolicy, content_rule: ContentRule) -> None:
        self._content = () if policy.content is Content.KEEP else CONTENT_COLUMNS[table.name]
        self._has_metadata = "metadata" in table.schema.names
        self._denied = Keys(policy.deny)
        # Of a column that several keys may fill, a row doesn't say which did.
        self._emptied = [column for column, keys in KEYS.items() if any(map(self._denied.match, keys))]
        self._rule = None if policy.content is Content.KEEP else content_rule
        also = Keys(policy.content_attributes)
        hints = [
            *([self._denied.hint] if self._denied else []),
            *([HINT, *([also.hint] if also else [])] if self._rule else []),
        ]
        self._hint = compiled("|".join(hints)) if hints else None

    def __call__(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows as they may be stored."""
        rows = rows if self._rule is None else self._with_content(rows, self._rule)
        for name in self._emptied:
            rows = with_columns(rows, **{name: pa.nulls(rows.num_rows, pa.string())})
        if not self._has_metadata or self._hint is None:
            return rows
        column = rows["metadata"]
        texts = {row: column[row].as_py() for row in rows_with(column, self._hint)}
        changed = {row: changed_attributes(text, self._attribute) for row, text in texts.items() if text is not None}
        return replaced(rows, "metadata", changed)

    def _with_content(self, rows: pa.RecordBatch, rule: ContentRule) -> pa.RecordBatch:
        for name in self._content:
            texts = rows[name].to_pylist()
            rows = replaced(rows, name, {row: rule.text(text) for row, text in enumerate(texts) if text is not None})
        return rows

    def _attribute(self, key: str, value: Any) -> Any:
        if self._denied.match(key):
            return REMOVED
        return value if self._rule is None else self._rule.attribute(key, value)
