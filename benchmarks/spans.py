"""Makes export requests of realistic spans: English text, 16 attributes; a request can be renewed in place.

The words and how often they come are those of Python's own documentation, drawn at random: they need no download, and
compress a little worse than English. A request is encoded once; each time it is sent, its spans get new ids and new
texts: a server that leaves out duplicates would rightly store the same span once, and the same text would compress to
nothing.
"""

from __future__ import annotations

import io
import pydoc
import random
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

WORDS = 3_000_000
# Modules whose documentation is prose, on every Python.
MODULES = (
    "argparse",
    "collections",
    "datetime",
    "decimal",
    "difflib",
    "logging",
    "pathlib",
    "random",
    "statistics",
    "string",
    "subprocess",
    "typing",
    "unittest",
    "urllib.request",
    "zipfile",
)
SESSIONS = 5_000
CONTENT = ("gen_ai.input.messages", "gen_ai.output.messages")
_TRACE_ID_MARK = b"\x0a\x10"
_SPAN_ID_MARK = b"\x12\x08"


@cache
def vocabulary() -> tuple[list[str], list[int]]:
    """Return the words of the standard library's documentation with their running counts."""
    counts: Counter[str] = Counter()
    for name in MODULES:
        counts.update(re.findall(r"[A-Za-z]+[,.;]?", pydoc.plain(pydoc.render_doc(name))))
    words = list(counts)
    return words, list(accumulate(counts[word] for word in words))


@cache
def corpus() -> str:
    """Return megabytes of prose: words drawn as often as English has them, so that no sentence comes twice."""
    words, cumulative = vocabulary()
    return " ".join(random.Random(1).choices(words, cum_weights=cumulative, k=WORDS))


@cache
def corpus_bytes() -> NDArray[np.uint8]:
    """Return the corpus as bytes."""
    return np.frombuffer(corpus().encode(), np.uint8)


def text(size: int, source: random.Random) -> str:
    """Return so many characters of the corpus, from a random place."""
    prose = corpus()
    start = source.randrange(len(prose) - size)
    return prose[start : start + size]


@dataclass(slots=True)
class Request:
    """An encoded request of ``spans`` spans; ``ids`` and ``texts`` are where their bytes stand, from and to."""

    data: NDArray[np.uint8]
    ids: NDArray[np.int64]
    texts: list[tuple[int, int]]
    spans: int

    def renewed(self, generator: np.random.Generator) -> bytes:
        """Return the request with new ids and new texts."""
        prose = corpus_bytes()
        self.data[self.ids] = generator.integers(1, 256, self.ids.size, np.uint8)
        offsets = generator.integers(0, prose.size - max(stop - start for start, stop in self.texts), len(self.texts))
        for (start, stop), offset in zip(self.texts, offsets.tolist(), strict=True):
            self.data[start:stop] = prose[offset : offset + stop - start]
        return self.data.tobytes()

    def copy(self) -> Request:
        """Return a request of its own that can be renewed."""
        return Request(self.data.copy(), self.ids, self.texts, self.spans)


def request(spans: int, span_bytes: int, seed: int) -> Request:
    """Return a request whose spans take about ``span_bytes`` each."""
    source = random.Random(seed)
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    _attribute(resource_spans.resource.attributes.add(), "service.name", "benchmark")
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "opentelemetry.instrumentation.openai.v1"
    for _ in range(spans):
        _fill(scope_spans.spans.add(), span_bytes, source)
    encoded = message.SerializeToString()
    ids, texts = _places(encoded, message)
    return Request(np.frombuffer(encoded, np.uint8).copy(), ids, texts, spans)


def english_ratio() -> float:
    """Return how many times zlib's level 1 makes the corpus smaller; English prose is made about 2.3 times smaller."""
    sample = corpus()[:1_000_000].encode()
    return len(sample) / len(zlib.compress(sample, 1))


def _fill(span: Span, span_bytes: int, source: random.Random) -> None:
    span.trace_id, span.span_id = source.randbytes(16), source.randbytes(8)
    span.name, span.kind = "chat gpt-4o", Span.SPAN_KIND_CLIENT
    span.end_time_unix_nano = time.time_ns() - source.randrange(10**9)
    span.start_time_unix_nano = span.end_time_unix_nano - source.randrange(10**8, 3 * 10**9)
    session = source.randrange(SESSIONS)
    tokens = source.randrange(20, 2_000), source.randrange(5, 800)
    values: dict[str, str | int | float | bool] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": f"chatcmpl-{source.randbytes(12).hex()}",
        "gen_ai.request.temperature": 0.7,
        "gen_ai.is_streaming": source.random() < 0.5,
        "gen_ai.usage.input_tokens": tokens[0],
        "gen_ai.usage.output_tokens": tokens[1],
        "gen_ai.usage.total_tokens": sum(tokens),
        "gen_ai.usage.cache_read.input_tokens": 0,
        "fallom.config_key": "support-agent",
        "fallom.session_id": f"session-{session}",
        "fallom.customer_id": f"customer-{session % 700}",
        "gen_ai.input.messages": "",
        "gen_ai.output.messages": "",
    }
    for key, value in values.items():
        if value != "":
            _attribute(span.attributes.add(), key, value)
    content = max(span_bytes - span.ByteSize() - 60, 20)
    _attribute(span.attributes.add(), "gen_ai.input.messages", text(content * 3 // 5, source))
    _attribute(span.attributes.add(), "gen_ai.output.messages", text(content - content * 3 // 5, source))


def _attribute(pair: KeyValue, key: str, value: str | float | bool) -> None:
    pair.key = key
    name = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
    setattr(pair.value, name, value)


def _places(data: bytes, message: ExportTraceServiceRequest) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    ids: list[NDArray[np.int64]] = []
    texts: list[tuple[int, int]] = []
    position = 0
    for span in _spans(message):
        for mark, value in ((_TRACE_ID_MARK, span.trace_id), (_SPAN_ID_MARK, span.span_id)):
            position = data.index(mark + value, position) + len(mark)
            ids.append(np.arange(position, position + len(value)))
        for attribute in span.attributes:
            if attribute.key in CONTENT:
                content = attribute.value.string_value.encode()
                position = data.index(content, position)
                texts.append((position, position + len(content)))
    return np.concatenate(ids), texts


def _spans(message: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource_spans in message.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


if __name__ == "__main__":
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, line_buffering=True)
    print(f"{len(corpus()):,} characters of prose; zlib's level 1 makes them {english_ratio():.2f} times smaller")
    for size in (500, 1_400, 10_000, 100_000):
        made = request(16, size, 1)
        print(f"asked {size}: {made.data.size / made.spans:.0f} bytes a span")
