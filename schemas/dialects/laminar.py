"""Laminar (lmnr): OTel's keys, and the span's type."""

from schemas.dialects.dialect import Dialect, Source

LAMINAR = Dialect("laminar", (Source("operation", 90, "lmnr.span.type"),))
