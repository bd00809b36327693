"""Fixtures: a provider, and the spans of what is called of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdk.providers.provider import FakeProvider, fake_provider

import fallom


@pytest.fixture(scope="session")
def served() -> Iterator[FakeProvider]:
    with fake_provider() as provider:
        yield provider


@pytest.fixture
def provider(served: FakeProvider) -> FakeProvider:
    """The provider, which was asked nothing yet."""
    served.asked.clear()
    return served


class Spans:
    """The spans that ended, and what the provider behind them is."""

    def __init__(self, exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
        self._exporter = exporter
        self.provider = provider

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def one(self) -> ReadableSpan:
        (span,) = self.all()
        return span

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes of the one span."""
        return self.one.attributes or {}


Begin = Callable[..., Spans]


@pytest.fixture
def begin(served: FakeProvider) -> Iterator[Begin]:
    """Begin tracing with the options given."""

    def started(**options: Any) -> Spans:
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        fallom.init("key", base_url=f"{served.url}/fallom", tracer_provider=provider, cache_dir=False, **options)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return Spans(exporter, provider)

    yield started
    fallom.shutdown(1)


@pytest.fixture
def spans(begin: Begin) -> Spans:
    return begin()


@pytest.fixture
def session() -> fallom.Session:
    return fallom.session("my-agent", "session-1", customer_id="user-1")
