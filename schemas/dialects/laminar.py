"""Laminar (lmnr): OTel's keys, and the span's type, input and output."""

from schemas.dialects.dialect import Dialect, Source

LAMINAR = Dialect(
    "laminar",
    (
        Source("operation", 90, "lmnr.span.type"),
        Source("input", 130, "lmnr.span.input"),
        Source("output", 130, "lmnr.span.output"),
    ),
)
