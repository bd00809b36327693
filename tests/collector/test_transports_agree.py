"""The compiled decoder of protobuf and the plain one of flat traces: the same columns from the same attributes."""

from __future__ import annotations

import json
from typing import Any

from collector_inputs import RECEIVED_AT, decode, export, flat_trace, span
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.otlp.compiled.keys import KEYS
from collector.request import Format
from schemas.dialects import FAMILIES, columns_by_key

# What a flat trace has fields of its own for, or isn't judged by its attributes.
_OF_FLAT = ("config_key", "session_id")
_JSON = (
    '{"input":1,"input_cache_read":2,"output":3,"total":0.5,"cache_read":9}',
    '{"input_tokens":"4","output_tokens":-1,"total_tokens":1e3}',
    '[{"role":"user","content":"hi"}]',
    '[{"role":"system"}]',
    '"2026-11-21T12:00:01.5Z"',
    "2026-11-21T12:00:02",
    '"LLM"',
    "tool",
    "7",
    "+1.5e2",
    " 7",
    "1_0",
    "True",
    "",
)
_SCALARS = (
    st.sampled_from(_JSON)
    | st.booleans()
    | st.integers(-3, 2 * 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
)
_VALUES = _SCALARS | st.lists(_SCALARS, max_size=2) | st.dictionaries(st.sampled_from("ab"), _SCALARS, max_size=2)
_ALL_KEYS = sorted(key for key in (*columns_by_key(), "traceloop.span.kind") if not key.startswith("x-"))
_MEMBERS = [
    f"{family.prefix}{number}.{rest}" for family in FAMILIES for number in (0, 1, 10) for rest in ("role", "content")
]


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from([*_ALL_KEYS, *_MEMBERS]), _VALUES, max_size=14))
def test_a_flat_trace_s_attributes_fill_the_columns_that_a_span_s_do(attributes: dict[str, Any]) -> None:
    trace = flat_trace(attributes=attributes, start_time=RECEIVED_AT.isoformat())

    (compiled,) = decode(export(span(attributes), scope_name="any"), Format.OTLP_PROTOBUF).rows
    (plain,) = decode(trace, Format.JSON_TRACES).rows

    for column in KEYS.columns:
        if column not in _OF_FLAT:
            assert said(compiled[column]) == said(plain[column]), column


def said(value: Any) -> Any:
    """Return what a JSON text says, so that ways to write numbers don't count."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
