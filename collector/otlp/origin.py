"""Where log records and data points come from: what those of one resource and scope share, and whom they name."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import xxhash
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.otlp.columns import partition_day, time_of
from collector.otlp.values import attributes_of, to_json
from collector.promote import as_text
from collector.request import Receipt, Request
from collector.rows import Row
from schemas.dialects import sources_by_key

_NAMING_COLUMNS = ("config_key", "session_id", "customer_id")
_MASK = 2**64 - 1


def _naming_keys() -> Mapping[str, tuple[str, ...]]:
    sources = [source for found in sources_by_key("").values() for source in found]
    return {
        name: tuple(source.key for source in sorted(sources, key=lambda found: found.rank) if source.column == name)
        for name in _NAMING_COLUMNS
    }


# Of each column the keys that fill it, the best first: those of spans.
_NAMING_KEYS = _naming_keys()
_NAMING = frozenset(key for keys in _NAMING_KEYS.values() for key in keys)


@dataclass(frozen=True, slots=True)
class Origin:
    """One resource and scope of a request. ``size_bytes`` is about what its texts take in each row."""

    columns: Row
    size_bytes: int
    receipt: Receipt
    headers: Mapping[str, str]
    digest: bytes

    @classmethod
    def of(cls, resource: Resource, scope: InstrumentationScope, request: Request, receipt: Receipt) -> "Origin":
        """Return what the records of a scope share."""
        attributes = attributes_of(resource.attributes)
        service_name = attributes.get("service.name")
        texts: Row = {
            "project": request.project,
            "service_name": service_name if isinstance(service_name, str) and service_name else None,
            "scope_name": scope.name or None,
            "scope_version": scope.version or None,
            "resource_attributes": to_json(attributes),
            "scope_attributes": to_json(attributes_of(scope.attributes)) if scope.attributes else None,
            **_named(attributes),
        }
        digest = xxhash.xxh3_128(resource.SerializeToString(deterministic=True))
        digest.update(b"\0" + scope.SerializeToString(deterministic=True))
        size_bytes = sum(len(text) for text in texts.values() if isinstance(text, str))
        columns = {**texts, "received_at": receipt.received_at}
        return cls(columns, size_bytes, receipt, request.headers, digest.digest())

    def row(self, attributes: Mapping[str, object], nano: int, content: bytes, repeated: "Repeated") -> Row:
        """Return the columns that every kept row has. ``nano`` is its own time, 0 where it has none."""
        event_time = time_of(nano) if nano else self.receipt.received_at
        return {
            **self.columns,
            **_named({**attributes, **self.headers}),
            "date": partition_day(event_time.date(), self.receipt.received_at.date()),
            "event_time": event_time,
            "attributes": to_json(attributes),
            # Without a time of its own nothing tells a retry from one that is the same and came later.
            "content_hash": repeated.hash_of(self.digest + content, b"" if nano else b"%d" % self.receipt.unix_us),
        }


class Repeated:
    """Hashes the items of one request, those that are there twice differently: they were two, and a retry has both."""

    def __init__(self) -> None:
        self._seen: Counter[int] = Counter()

    def hash_of(self, content: bytes, salt: bytes) -> int:
        """Return 64 bits, signed, that are the same when the same request is sent again."""
        found = xxhash.xxh3_64_intdigest(content + salt)
        before = self._seen[found]
        self._seen[found] = before + 1
        if before:
            found = xxhash.xxh3_64_intdigest(found.to_bytes(8, "big") + b"%d" % before)
        return found - (_MASK + 1) if found > _MASK >> 1 else found


def _named(values: Mapping[str, object]) -> Row:
    """Return the config, session and customer that the values name; those that they don't are left out."""
    found: Row = {}
    if _NAMING.isdisjoint(values):
        return found
    for column, keys in _NAMING_KEYS.items():
        text = next((text for key in keys if key in values and (text := as_text(values[key]))), None)
        if text is not None:
            found[column] = text
    return found
