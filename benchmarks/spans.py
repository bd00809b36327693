"""Makes export requests of realistic spans: English text, 16 attributes; a request is renewed in place.

The words and how often they come are those of Python's own documentation, drawn at random: they need no download, and
compress a little worse than English. A request is encoded once. Each time it is sent, each of its spans gets ids,
times, a session, a customer, token counts and texts of its own: a server that leaves out duplicates would rightly store
the same span once, the same text would compress to nothing, and the same sessions would make a rollup trivial.

Theory of operation. All spans of a request are encoded to the same length, so the request is a matrix of bytes with a
row a span, and each thing that is renewed is a block of columns: numpy fills it for all spans at once. Models differ in
length, so they stand last, before an id that takes what is left of the length.
"""

from __future__ import annotations

import io
import pydoc
import random
import re
import struct
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
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
SESSION_NS = 50_000
SESSION_DIGITS = 10
CUSTOMERS = 90_000
CUSTOMER_DIGITS = 6
TOKENS_MAX = 8_000
MODELS = (
    ("openai", "gpt-4o", "gpt-4o-2024-08-06"),
    ("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("anthropic", "claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
    ("google", "gemini-2.0-flash", "gemini-2.0-flash"),
    ("openai", "gpt-4.1", "gpt-4.1-2025-04-14"),
    ("mistral", "mistral-large-latest", "mistral-large-2411"),
)
MODEL_WEIGHTS = (30, 30, 20, 10, 6, 4)
MODEL_CHARACTERS_MAX = max(len("".join(names)) for names in MODELS)
# A span below this has no room for sixteen attributes: it has ten, and one model.
WHOLE_BYTES_MIN = 850
SMALL_LEAVES_OUT = (
    "gen_ai.operation.name",
    "gen_ai.request.temperature",
    "gen_ai.is_streaming",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.response.model",
    "gen_ai.response.id",
)
CONTENT_BYTES_MIN = 40
CONTENT = ("gen_ai.input.messages", "gen_ai.output.messages")
_START_TAG = b"\x39"


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
    """An encoded request; ``rows`` are its spans' bytes, ``places`` says where in a row each renewed value begins."""

    data: NDArray[np.uint8]
    rows: NDArray[np.uint8]
    places: dict[str, int]
    text_bytes: dict[str, int]

    @property
    def spans(self) -> int:
        """Return how many spans it has."""
        return len(self.rows)

    def renewed(self, generator: np.random.Generator) -> bytes:
        """Return the request with new values in all its spans."""
        spans = self.spans
        self._put("trace_id", generator.integers(1, 256, (spans, 16), np.uint8))
        self._put("span_id", generator.integers(1, 256, (spans, 8), np.uint8))
        end = time.time_ns() - generator.integers(0, 10**9, spans)
        self._put("end", _fixed64(end))
        self._put("start", _fixed64(end - generator.integers(10**8, 3 * 10**9, spans)))
        # A session has about SESSION_SPANS calls, and as many sessions as SESSIONS are under way at any time.
        newest = time.time_ns() // SESSION_NS % 10**SESSION_DIGITS
        sessions = (newest - generator.integers(0, SESSIONS, spans)) % 10**SESSION_DIGITS
        self._put("session", _digits(sessions, SESSION_DIGITS))
        self._put("customer", _digits(sessions * 7919 % CUSTOMERS, CUSTOMER_DIGITS))
        counts = generator.integers(128, TOKENS_MAX, (2, spans))
        for name, values in zip(("input", "output", "total"), (*counts, counts.sum(0)), strict=True):
            self._put(f"{name}_tokens", _varint(values))
        for name, size in self.text_bytes.items():
            self._put(name, _texts(generator.integers(0, corpus_bytes().size - size, spans), size))
        return self.data.tobytes()

    def _put(self, name: str, values: NDArray[np.uint8]) -> None:
        place = self.places[name]
        self.rows[:, place : place + values.shape[1]] = values


class Singles:
    """Requests of one span each: renewed many at a time, since numpy costs the same for one as for dozens."""

    def __init__(self, span_bytes: int, seed: int) -> None:
        self._many = request(64, span_bytes, seed)
        one = request(1, span_bytes, seed)
        self._head = one.data[: one.data.size - one.rows.size].tobytes()
        self._left: list[bytes] = []

    def renewed(self, generator: np.random.Generator) -> bytes:
        """Return the next request."""
        if not self._left:
            self._many.renewed(generator)
            self._left = [row.tobytes() for row in self._many.rows]
        return self._head + self._left.pop()


def request(spans: int, span_bytes: int, seed: int) -> Request:
    """Return a request whose spans take ``span_bytes`` each, or a little more where that is less than they need."""
    source = random.Random(seed)
    made = [_span(span_bytes, source) for _ in range(spans)]
    encoded = [span.SerializeToString() for span in made]
    size = len(encoded[0])
    assert all(len(one) == size for one in encoded)
    export = ExportTraceServiceRequest()
    resource_spans = export.resource_spans.add()
    _attribute(resource_spans.resource, "service.name", "benchmark")
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "opentelemetry.instrumentation.openai.v1"
    scope_spans.spans.extend(made)
    data = np.frombuffer(export.SerializeToString(), np.uint8).copy()
    # The spans are the last that is in a request: each is its tag, its length, its bytes.
    stride = (len(data) - bytes(data).index(encoded[0]) - size) // max(spans - 1, 1) if spans > 1 else size
    first = bytes(data).index(encoded[0])
    rows = np.lib.stride_tricks.as_strided(data[first:], (spans, size), (stride, 1))
    texts = {name: len(value) for name in CONTENT if (value := _value(made[0], name))}
    return Request(data, rows, _places(encoded[0], made[0]), texts)


def english_ratio() -> float:
    """Return how many times zlib's level 1 makes the corpus smaller; English prose is made about 2.3 times smaller."""
    sample = corpus()[:1_000_000].encode()
    return len(sample) / len(zlib.compress(sample, 1))


def _span(span_bytes: int, source: random.Random) -> Span:
    content_bytes = CONTENT_BYTES_MIN
    # More than once, since a text's length is written in one byte up to 127, in two or three beyond.
    for _ in range(4):
        span = _filled(content_bytes, source, is_small=span_bytes < WHOLE_BYTES_MIN)
        content_bytes = max(content_bytes + span_bytes - span.ByteSize(), CONTENT_BYTES_MIN)
    return span


def _filled(content_bytes: int, source: random.Random, *, is_small: bool) -> Span:
    provider, asked, answered = MODELS[0] if is_small else source.choices(MODELS, MODEL_WEIGHTS)[0]
    span = Span(trace_id=source.randbytes(16), span_id=source.randbytes(8), name="chat.completions.create")
    span.kind = Span.SPAN_KIND_CLIENT
    span.start_time_unix_nano = span.end_time_unix_nano = time.time_ns()
    models = len(provider) + len(asked) + len(answered)
    input_bytes = content_bytes * 3 // 5
    values: dict[str, str | int | float | bool] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.temperature": 0.7,
        "gen_ai.is_streaming": source.random() < 0.5,
        "gen_ai.usage.input_tokens": 128,
        "gen_ai.usage.output_tokens": 128,
        "gen_ai.usage.total_tokens": 256,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "fallom.config_key": "support-agent",
        "fallom.session_id": "session-" + "0" * SESSION_DIGITS,
        "fallom.customer_id": "customer-" + "0" * CUSTOMER_DIGITS,
        "gen_ai.input.messages": text(input_bytes, source),
        "gen_ai.output.messages": text(content_bytes - input_bytes, source),
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": asked,
        "gen_ai.response.model": answered,
        "gen_ai.response.id": "chatcmpl-" + source.randbytes(40).hex()[: MODEL_CHARACTERS_MAX + 24 - models],
    }
    for key, value in values.items():
        if not is_small or key not in SMALL_LEAVES_OUT:
            _attribute(span, key, value)
    return span


def _attribute(owner: Span | Resource, key: str, value: str | float | bool) -> None:
    pair = owner.attributes.add(key=key)
    name = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
    setattr(pair.value, name, value)


def _value(span: Span, key: str) -> str:
    return next(pair.value.string_value for pair in span.attributes if pair.key == key)


def _places(encoded: bytes, span: Span) -> dict[str, int]:
    """Return where in an encoded span each value that is renewed begins."""
    start = encoded.index(_START_TAG + struct.pack("<Q", span.start_time_unix_nano))
    places = {
        "trace_id": encoded.index(span.trace_id),
        "span_id": encoded.index(span.span_id),
        "start": start + 1,
        "end": start + 10,
        "session": encoded.index(b"session-0") + len("session-"),
        "customer": encoded.index(b"customer-0") + len("customer-"),
        **{name: encoded.index(_value(span, name).encode()) for name in CONTENT},
    }
    for name in ("input", "output", "total"):
        key = f"gen_ai.usage.{name}_tokens".encode()
        # Behind the key: the tag and length of the value, the tag of its integer.
        places[f"{name}_tokens"] = encoded.index(key) + len(key) + 3
    return places


def _fixed64(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    return values.astype("<i8").view(np.uint8).reshape(-1, 8)


def _varint(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return numbers from 128 to 16383 as varints, which take two bytes."""
    return np.stack((values & 0x7F | 0x80, values >> 7), 1).astype(np.uint8)


def _digits(values: NDArray[np.int64], count: int) -> NDArray[np.uint8]:
    powers = 10 ** np.arange(count - 1, -1, -1)
    return (values[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def _texts(offsets: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    windows = np.lib.stride_tricks.sliding_window_view(corpus_bytes(), size)
    found: NDArray[np.uint8] = windows[offsets]
    return found


if __name__ == "__main__":
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, line_buffering=True)
    print(f"{len(corpus()):,} characters of prose; zlib's level 1 makes them {english_ratio():.2f} times smaller")
    for size in (500, 1_400, 10_000, 100_000):
        made = request(16, size, 1)
        print(f"asked {size}: {made.data.size / made.spans:.0f} bytes a span")
