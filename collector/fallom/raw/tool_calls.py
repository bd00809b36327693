"""The calls of tools that the model asked for: ``[{id, name, arguments}]``, whoever's shape they came in."""

from collections.abc import Iterator

import orjson

from collector.fallom.raw.body import Object, member, objects, text_member
from collector.promote import as_text

_LISTS = ("toolCalls", "tool_calls")
_SINGLE = ("functionCall", "function_call")
_IDS = ("id", "call_id", "toolCallId", "tool_call_id")
_NAMES = ("name", "toolName", "tool_name")
_ARGUMENTS = ("arguments", "args", "input")
_BLOCKS = frozenset(("function_call", "tool_use", "tool-call", "tool_call"))


def tool_calls(response: object, timings: Object) -> str | None:
    """Return the calls as a JSON list; without a response, those in the timings, whose arguments are not known."""
    calls = list(_calls(response)) or [call for each in objects(timings.get("toolCalls")) if (call := _call(each))]
    return as_text(calls)


def _calls(response: object) -> Iterator[Object]:
    if not isinstance(response, dict):
        return
    # Of a call of several steps the response itself has those of the last one.
    by_step = [call for step in objects(response.get("steps")) for call in _of_message(step)]
    if by_step:
        yield from by_step
        return
    yield from _of_message(response)
    for choice in objects(response.get("choices"))[:1]:
        yield from _of_message(choice.get("message"))
    for candidate in objects(response.get("candidates"))[:1]:
        for part in objects(member(candidate.get("content"), "parts")):
            yield from _of_message(part)


def _of_message(message: object) -> Iterator[Object]:
    listed = objects(member(message, *_LISTS))
    single = objects([member(message, *_SINGLE)])
    blocks = [block for name in ("output", "content") for block in objects(member(message, name))]
    # The same calls may stand in a list of their own and among the blocks that the answer consists of.
    found = listed or single or [block for block in blocks if block.get("type") in _BLOCKS]
    for each in found:
        call = _call(each)
        if call:
            yield call


def _call(value: object) -> Object | None:
    function = member(value, "function")
    name = text_member(value, *_NAMES) or text_member(function, "name")
    if name is None:
        return None
    arguments = member(value, *_ARGUMENTS)
    if arguments is None:
        arguments = member(function, "arguments")
    return {"id": text_member(value, *_IDS), "name": name, "arguments": _unfolded(arguments)}


def _unfolded(arguments: object) -> object:
    """Return arguments that are the text of an object as that object."""
    if isinstance(arguments, str) and arguments.startswith("{"):
        try:
            return orjson.loads(arguments)
        except orjson.JSONDecodeError:
            return arguments
    return arguments
