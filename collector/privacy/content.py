"""The rule for content: dropped, hashed or masked, in its columns and in the attributes of whatever library."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pyarrow as pa

from collector.privacy.columns import ATTRIBUTES, PARTS, columns_of, maps_in, replaced, rows_with
from collector.privacy.documents import changed_attributes, changed_parts, dump
from collector.privacy.expressions import compiled
from collector.privacy.keyed_hash import KeyedHash
from collector.privacy.keys import Keys, without_promoted
from collector.privacy.policy import Content
from schemas.content import COLUMNS, HINT, is_content_body, is_content_event, is_content_key
from schemas.json_attributes import REMOVED, Change


class ContentRule:
    """Drops, hashes or masks content; ``also`` are further attributes that are content."""

    def __init__(self, content: Content, also: Keys, keyed_hash: KeyedHash) -> None:
        self._content = content
        self._also = also
        self._hash = keyed_hash
        self._hint = compiled("|".join([HINT, *([also.hint] if also else [])]))
        self._is_content = lru_cache(4096)(lambda key: is_content_key(key) or also.match(key))

    def __call__(self, spans: pa.RecordBatch) -> pa.RecordBatch:
        """Return the spans, their content as the rule leaves it."""
        for name in columns_of(COLUMNS, spans):
            texts = spans[name].to_pylist()
            spans = replaced(spans, name, {row: self.text(text) for row, text in enumerate(texts) if text is not None})
        if self._content is Content.DROP:
            spans = without_promoted(spans, lambda column, _: column in COLUMNS)
        for name in columns_of(ATTRIBUTES, spans):
            spans = self._with_json(spans, name, lambda text: changed_attributes(text, self.attribute))
        for name in columns_of(PARTS, spans):
            spans = self._with_json(spans, name, lambda text: changed_parts(text, self._of_part))
        return spans

    def of_logs(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """Return log records likewise, with their bodies, and with all attributes of events that are messages."""
        names = [name or "" for name in records["event_name"].to_pylist()]
        messages = {row: records["attributes"][row].as_py() for row, name in enumerate(names) if is_content_event(name)}
        said = {row: records["body"][row].as_py() for row, name in enumerate(names) if is_content_body(name)}
        maps = maps_in(records, "body", "body_type")
        bodies = {row: changed_attributes(text, self.attribute) for row, text in maps.items()}
        bodies |= {row: None if text is None else self.text(text) for row, text in said.items()}
        attributes = {
            row: None if text is None else changed_attributes(text, self._any_attribute)
            for row, text in messages.items()
        }
        return replaced(replaced(self(records), "attributes", attributes), "body", bodies)

    def _with_json(self, spans: pa.RecordBatch, name: str, change: Callable[[str], str | None]) -> pa.RecordBatch:
        column = spans[name]
        texts = {row: column[row].as_py() for row in rows_with(column, self._hint)}
        return replaced(spans, name, {row: change(text) for row, text in texts.items() if text is not None})

    def _of_part(self, part: dict[str, Any]) -> Change:
        return self._any_attribute if is_content_event(str(part.get("name"))) else self.attribute

    def attribute(self, key: str, value: Any) -> Any:
        """Return what an attribute's value becomes; REMOVED where it is left out."""
        return self._any_attribute(key, value) if self._is_content(key) else value

    def _any_attribute(self, _: str, value: Any) -> Any:
        if self._content is Content.DROP:
            return REMOVED
        return value if value is None else self.text(value if isinstance(value, str) else dump(value))

    def text(self, text: str) -> str | None:
        """Return what a text that is content becomes."""
        if self._content is Content.HASH:
            return f"[hash:{self._hash.of(text)}]"
        return f"[masked: {len(text)} characters]" if self._content is Content.MASK else None
