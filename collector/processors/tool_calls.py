"""Fills ``tool_calls`` from the answer of a call to a model, whichever library's shape it has.

A call of a tool is an object that names one: OTel's and Anthropic's blocks (``type``: ``tool_call``, ``tool_use``, …),
the entries of lists like ``tool_calls``, the AI SDK's with a ``toolCallId``, Google's ``functionCall``, and what
libraries spread over keys like ``tool_calls.0.name``. They are looked for throughout the answer, in their order; one
that stands there twice counts once.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from collector.processors.columns import booleans, validity, with_columns

CALLS_MAX = 1_000
_DEPTH_MAX = 32
_HINT = r"tool_?call|tool-call|toolCall|tool_use|function_?call|functionCall"
_BLOCKS = frozenset(("tool_call", "tool-call", "tool_use", "function_call"))
_LISTS = frozenset(("tool_calls", "toolCalls"))
_SINGLE = frozenset(("functionCall", "function_call", "tool_call"))
_SPREAD = re.compile(r"(?:^|\.)tool_calls\.([0-9]{1,4})\.(?:tool_call\.)?(id|(?:function\.)?(?:name|arguments))$")
# OpenAI's Responses API gives the item an id of its own beside the call's.
_IDS = ("call_id", "tool_call_id", "toolCallId", "id")
_NAMES = ("name", "toolName", "tool_name", "function.name")
_ARGUMENTS = ("arguments", "args", "input", "function.arguments")

Call = dict[str, object]


def fill_tool_calls(spans: pa.RecordBatch) -> pa.RecordBatch:
    """Return the spans with ``tool_calls`` of the calls that tell of some in their output and have none."""
    output = spans["output"]
    if output.null_count == spans.num_rows:
        return spans
    wanted = booleans(spans["is_inference"]) & validity(output) & ~validity(spans["tool_calls"])
    if not wanted.any():
        return spans
    # Few answers call tools: the others are not parsed.
    hinted = wanted & booleans(pc.match_substring_regex(output, _HINT))
    rows = np.flatnonzero(hinted)
    found = {row: text for row in rows.tolist() if (text := tool_calls(output[row].as_py())) is not None}
    if not found:
        return spans
    column = spans["tool_calls"].to_pylist()
    for row, text in found.items():
        column[row] = text
    return with_columns(spans, tool_calls=pa.array(column, pa.string()))


def tool_calls(output: str) -> str | None:
    """Return the calls of tools in an answer, a JSON list of ``{id, name, arguments}``; None where there are none."""
    calls: dict[bytes, Call] = {}
    for call in _calls(_loaded(output), 0):
        key = orjson.dumps([call["id"], call["name"], None if call["id"] else call["arguments"]])
        # Where a stream began, a call has no arguments yet.
        if not calls.setdefault(key, call)["arguments"]:
            calls[key]["arguments"] = call["arguments"]
        if len(calls) == CALLS_MAX:
            break
    return orjson.dumps(list(calls.values())).decode() if calls else None


def _calls(value: object, depth: int, *, is_call: bool = False) -> Iterator[Call]:
    if depth > _DEPTH_MAX:
        return
    if isinstance(value, list):
        for each in value:
            yield from _calls(each, depth + 1, is_call=is_call)
    elif isinstance(value, dict):
        is_call = is_call or value.get("type") in _BLOCKS or "toolCallId" in value
        if is_call and (call := _call(value)) is not None:
            yield call
            return
        yield from _spread(value)
        for name, inner in value.items():
            yield from _calls(inner, depth + 1, is_call=name in _LISTS or name in _SINGLE)


def _spread(value: Mapping[str, object]) -> Iterator[Call]:
    """Yield the calls whose members are members of a message, ``….tool_calls.<index>.….name``."""
    members: defaultdict[int, dict[str, object]] = defaultdict(dict)
    for key, inner in value.items():
        if match := _SPREAD.search(key):
            members[int(match[1])][match[2]] = inner
    for _, found in sorted(members.items()):
        if (call := _call(found)) is not None:
            yield call


def _call(value: Mapping[str, object]) -> Call | None:
    function = value.get("function")
    inner = function if isinstance(function, Mapping) else {}
    members = {**value, **{f"function.{name}": each for name, each in inner.items()}}
    name = _first(members, _NAMES)
    if not isinstance(name, str):
        return None
    identifier = _first(members, _IDS)
    return {
        "id": identifier if isinstance(identifier, str) else None,
        "name": name,
        "arguments": _loaded(_first(members, _ARGUMENTS)),
    }


def _first(members: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((members[name] for name in names if members.get(name) is not None), None)


def _loaded(value: object) -> object:
    """Return what the text of an object or a list says; any other value as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
