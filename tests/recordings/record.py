"""Writes the fixtures: of each run the OTLP that it exported, and what the provider served. See `make recordings`."""

from __future__ import annotations

import argparse
import gzip
import json
import re
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from recordings.provider import provider
from recordings.recorder import recorder
from recordings.runs import RUNS, Recorded, Run, record

FIXTURES = Path(__file__).resolve().parent / "fixtures"
# Where a package, a driver or Python itself is installed says nothing of it.
_FOLDERS = re.compile(
    r"(?:file://)?/[^\s\"'():]*/(site-packages|node_modules|lib/python3\.\d+|drivers|recordings-javascript)/"
)


def main() -> None:
    """Record the named runs, or all."""
    parser = argparse.ArgumentParser(description="Record what instrumentors export, as fixtures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(RUNS)}")
    names = parser.parse_args().names or list(RUNS)
    FIXTURES.mkdir(exist_ok=True)
    for name in names:
        recorded, body = recorded_otlp(RUNS[name])
        # Without a time of its own: the same content is the same file.
        (FIXTURES / f"{name}.pb.gz").write_bytes(gzip.compress(body, mtime=0))
        content = {call: outcome.to_json() for call, outcome in recorded.items()}
        (FIXTURES / f"{name}.json").write_text(_without_folders(json.dumps(content, indent=1)) + "\n")
        print(f"{name}: {len(recorded)} calls, {len(body)} bytes")  # noqa: T201 - its answer


def recorded_otlp(run: Run) -> tuple[dict[str, Recorded], bytes]:
    """Run it; return what came of each call, and all that it exported as one request."""
    with provider() as (provider_url, journal), recorder() as (otlp_url, bodies):
        recorded = record(run, provider_url, journal, otlp_url)
    return recorded, _one_request(bodies)


def _one_request(bodies: list[bytes]) -> bytes:
    request = ExportTraceServiceRequest()
    # To concatenate messages is to merge them.
    request.ParseFromString(b"".join(bodies))
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                span.status.message = _without_folders(span.status.message)
                _cut(span.attributes)
                for event in span.events:
                    _cut(event.attributes)
    return request.SerializeToString()


def _cut(attributes: list[KeyValue]) -> None:
    for attribute in attributes:
        _cut_value(attribute.value)


def _cut_value(value: AnyValue) -> None:
    if value.HasField("string_value"):
        value.string_value = _without_folders(value.string_value)
    elif value.HasField("array_value"):
        for item in value.array_value.values:
            _cut_value(item)


def _without_folders(text: str) -> str:
    return _FOLDERS.sub(r"\1/", text)


def fixture(name: str) -> tuple[dict[str, Recorded], bytes]:
    """Return what was recorded of a run."""
    content = json.loads((FIXTURES / f"{name}.json").read_text())
    recorded = {call: Recorded.of_json(outcome) for call, outcome in content.items()}
    return recorded, gzip.decompress((FIXTURES / f"{name}.pb.gz").read_bytes())


if __name__ == "__main__":
    main()
