"""The points of OTLP that a server is held to, by number, and the page that says how it did."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
POINTS = {
    1: "Paths and services of traces, logs and metrics",
    2: "Content types",
    3: "Wrong method, path or content type",
    4: "Errors where the content type is unknown",
    5: "Malformed bodies",
    6: "Bodies that are too large",
    7: "Compression",
    8: "Empty requests, and full success",
    9: "Partial success",
    10: "OTLP/JSON",
    11: "Values of attributes",
    12: "What is retryable",
    13: "Admission",
    14: "Authentication",
    15: "CORS and TLS",
    16: "Time-outs and limits of connections",
    17: "Health and reflection",
    18: "Tenants",
}
DOORS = {"http-protobuf": "HTTP protobuf", "http-json": "HTTP JSON", "grpc": "gRPC"}
_SHOWN = {"passed": "yes", "failed": "**no**", "skipped": "not seen", "": ""}
_HEAD = """\
# OTLP conformance

Made by `make conformance` from a run of `tests/conformance/` against this server, a real process. The measure is the
specification of OTLP {version}; where it leaves a choice, what tells a client most. The same suite runs against any
other server:

```sh
.venv/bin/python -m pytest tests/conformance --otlp-http http://HOST:4318 --otlp-grpc HOST:4317
```

`yes`: as asked. `not seen`: what was stored can be asked of this server alone. Empty: not for this transport.
"""
OTLP_VERSION = "1.11"


@dataclass(frozen=True, slots=True)
class Case:
    """One test through one door; ``door`` is empty where the test is of HTTP as such."""

    point: int
    asked: str
    door: str


def point(number: int) -> pytest.MarkDecorator:
    """Say which point a test holds the server to."""
    return pytest.mark.point(number)


def case_of(item: pytest.Item) -> Case | None:
    """Return what a collected test asks; None for tests that are of no point."""
    mark = item.get_closest_marker("point")
    if mark is None:
        return None
    door = getattr(item, "callspec", None) and item.callspec.params.get("door")  # type: ignore[attr-defined]
    asked = item.originalname.removeprefix("test_").replace("_", " ")  # type: ignore[attr-defined]
    return Case(mark.args[0], asked, door.name if door else "")


def cases(items: Iterable[pytest.Item]) -> set[Case]:
    """Return what the collected tests ask."""
    return {case for item in items if (case := case_of(item))}


def _rows(results: Mapping[Case, str]) -> dict[tuple[int, str], dict[str, str]]:
    rows: dict[tuple[int, str], dict[str, str]] = defaultdict(dict)
    for case, result in results.items():
        for door in [case.door] if case.door else ["http-protobuf", "http-json"]:
            rows[case.point, case.asked][door] = result
    return rows


def page(results: Mapping[Case, str]) -> str:
    """Return the page's text; a case whose parameters fared differently has its worst result."""
    rows = _rows(results)
    lines = [_HEAD.format(version=OTLP_VERSION)]
    for number in sorted({number for number, _ in rows}):
        lines.append(
            f"\n## {number}. {POINTS[number]}\n\n| asked | {' | '.join(DOORS.values())} |\n|---|---|---|---|\n"
        )
        for (_, asked), found in sorted((key, found) for key, found in rows.items() if key[0] == number):
            shown = " | ".join(_SHOWN[found.get(door, "")] for door in DOORS)
            lines.append(f"| {asked} | {shown} |\n")
    return "".join(lines)
