"""The window of spans lately taken: it tells a client's retry from a new span."""

from collections import OrderedDict
from collections.abc import Iterable

import pyarrow as pa

SpanIdentity = tuple[str, str, str, int]


class SpanWindow:
    """Remembers the identities (project, ids, content hash) of the last ``spans_max`` spans that are on disk."""

    def __init__(self, spans_max: int) -> None:
        self._spans_max = spans_max
        self._seen: OrderedDict[SpanIdentity, None] = OrderedDict()

    def fresh(self, spans: pa.RecordBatch) -> pa.RecordBatch:
        """Return the spans that are neither remembered nor twice in the batch itself."""
        in_batch: set[SpanIdentity] = set()
        mask = []
        for identity in identities(spans):
            mask.append(identity not in self._seen and identity not in in_batch)
            in_batch.add(identity)
        return spans if all(mask) else spans.filter(pa.array(mask, pa.bool_()))

    def remember(self, spans: Iterable[SpanIdentity]) -> None:
        """Add spans that are on disk; the oldest fall out."""
        for identity in spans:
            self._seen[identity] = None
        while len(self._seen) > self._spans_max:
            self._seen.popitem(last=False)


def identities(spans: pa.RecordBatch | pa.Table) -> Iterable[SpanIdentity]:
    """Return the identity of each span."""
    columns = (spans[name].to_pylist() for name in ("project", "trace_id", "span_id", "content_hash"))
    return zip(*columns, strict=True)
