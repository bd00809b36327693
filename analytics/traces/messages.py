"""Messages in one shape, whatever the provider's or the library's: ``{role, content, tool_calls?, tool_call_id?, …}``.

Theory of operation. A column of content is a text, or JSON in one of some dozen shapes. What is a message is told by
its keys, not by its dialect: a role, or a type that is one; text in ``content``, ``text`` or ``parts``; calls of tools
beside it or among its parts. Flattened keys (``tool_calls.0.name``) are unfolded first. What is none of these is shown
as the text that it is, so that nothing is lost; the raw text stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import orjson

DEPTH_MAX = 12
PREVIEW_CHARACTERS = 200

Message = dict[str, Any]

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "developer": "system", "function": "tool"}
_ROLE_OF_TYPE = {
    "human": "user",
    "HumanMessage": "user",
    "ai": "assistant",
    "AIMessage": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "SystemMessage": "system",
    "tool": "tool",
    "ToolMessage": "tool",
    "FunctionMessage": "tool",
}
# Objects that hold the messages: the first of these keys that is there.
_HOLDERS = ("messages", "input", "contents", "prompt", "choices", "candidates", "generations", "output", "inputs")
# Objects around one message, or around a part.
_WRAPPERS = ("message", "kwargs", "message_content")
_CALL_TYPES = ("tool_use", "tool_call", "tool-call", "function_call")
_RESULT_TYPES = ("tool_result", "tool_call_response", "tool-result", "function_call_output")
_IMAGE_TYPES = ("image", "image_url", "input_image", "file", "audio", "input_audio", "document", "blob", "uri")
_ARGUMENTS = ("arguments", "args", "input", "parameters")
_SYSTEM_KEYS = ("system", "systemInstruction", "system_instruction", "instructions")


def messages_of(text: str | None, role: str) -> list[Message] | None:
    """Return the messages of a column of content; ``role`` is whose they are where they don't say. None for NULL."""
    if text is None:
        return None
    try:
        return _messages(_parsed(text), role, 0)
    except TypeError:
        # What is nested deeper than JSON is written here is shown as it came.
        return [_message(role, text)]


def input_preview(text: str | None) -> str | None:
    """Return the beginning of what the user said last."""
    messages = messages_of(text, "user")
    if not messages:
        return None
    by_user = [message for message in messages if message["role"] == "user" and message["content"]]
    return _shown((by_user or messages)[-1])


def output_preview(text: str | None) -> str | None:
    """Return the beginning of what the model answered."""
    messages = messages_of(text, "assistant")
    return _shown(messages[0]) if messages else None


def cut_preview(text: str) -> str:
    """Return the end of an input of which the beginning is not known, as a preview."""
    return _one_line(text[-PREVIEW_CHARACTERS:])


def _shown(message: Message) -> str:
    if message["content"]:
        return _one_line(message["content"][: 4 * PREVIEW_CHARACTERS])[:PREVIEW_CHARACTERS]
    calls = message.get("tool_calls") or ()
    shown = ", ".join(f"{call.get('name')}({call.get('arguments') or ''})" for call in calls)
    return _one_line(shown)[:PREVIEW_CHARACTERS]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _parsed(text: str) -> Any:
    if text[:1] not in '[{"':
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _messages(value: Any, role: str, depth: int) -> list[Message]:
    if depth > DEPTH_MAX:
        return [_message(role, _json(value))]
    if isinstance(value, str):
        return [_message(role, value)]
    if isinstance(value, list):
        if value and all(isinstance(item, dict) and _is_part(item) for item in value):
            return _of_object({"role": role, "content": value}, role, depth)
        return [message for item in value for message in _messages(item, role, depth + 1)]
    if isinstance(value, dict):
        return _of_object(_unfolded(value), role, depth)
    return [] if value is None else [_message(role, _json(value))]


def _of_object(value: Mapping[str, Any], role: str, depth: int) -> list[Message]:
    before = [_message("system", _text(value[key])) for key in _SYSTEM_KEYS if "role" not in value and value.get(key)]
    inner = _inner(value)
    if inner is not None:
        return _of_object(inner, role, depth + 1) if depth < DEPTH_MAX else [_message(role, _json(value))]
    if _is_message(value):
        return _of_message(value, role)
    for key in _HOLDERS:
        if value.get(key):
            return before + _messages(value[key], "assistant" if key == "choices" else role, depth + 1)
    if isinstance(value.get("content"), dict):
        # A candidate of Google's.
        return _messages(value["content"], role, depth + 1)
    if "text" in value or "content" in value or "toolCalls" in value:
        return before + _of_message(value, role)
    return before or [_message(role, _json(value))]


def _inner(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the message that an object is wrapped around."""
    for key in _WRAPPERS:
        if isinstance(value.get(key), dict):
            inner = dict(value[key])
            if "role" in value:
                inner.setdefault("role", value["role"])
            if isinstance(value.get("id"), list) and value["id"]:
                # LangChain names the class of a message so.
                inner.setdefault("type", value["id"][-1])
            return _unfolded(inner)
    return None


def _is_message(value: Mapping[str, Any]) -> bool:
    return (
        isinstance(value.get("role"), str)
        or value.get("type") in _ROLE_OF_TYPE
        or value.get("type") in (*_CALL_TYPES, *_RESULT_TYPES, "message", "reasoning")
        or (isinstance(value.get("parts"), list))
    )


def _of_message(value: Mapping[str, Any], role: str) -> list[Message]:
    kind = value.get("type")
    named = value.get("role") or _ROLE_OF_TYPE.get(str(kind)) or role
    named = _ROLES.get(str(named), str(named))
    if kind in _CALL_TYPES:
        return [_message("assistant", None, [_call(value)])]
    if kind in _RESULT_TYPES:
        return [_result(value)]
    body = next((value[key] for key in ("content", "parts", "contents", "text", "summary") if value.get(key)), None)
    texts, calls, results = _parts(body)
    for listed in (value.get("tool_calls"), value.get("toolCalls"), _additional_calls(value)):
        if not calls and isinstance(listed, list):
            calls = [_call(call) for call in listed if isinstance(call, dict)]
    if not calls and isinstance(value.get("function_call"), dict):
        calls = [_call(value["function_call"])]
    found = []
    if texts or calls or not results:
        message = _message(named, "\n".join(texts) if texts else None, calls)
        message |= {
            name: str(value[key])
            for name, key in (("tool_call_id", "tool_call_id"), ("name", "name"), ("finish_reason", "finish_reason"))
            if isinstance(value.get(key), str)
        }
        found.append(message)
    # What tools gave stands before what is said to it.
    return results + found


def _additional_calls(value: Mapping[str, Any]) -> Any:
    additional = value.get("additional_kwargs")
    return additional.get("tool_calls") if isinstance(additional, dict) else None


def _parts(body: Any) -> tuple[list[str], list[Message], list[Message]]:
    """Return the texts of a message's content, the calls of tools among its parts, and the results of such."""
    if body is None:
        return [], [], []
    if not isinstance(body, list):
        return [_text(body)], [], []
    texts: list[str] = []
    calls: list[Message] = []
    results: list[Message] = []
    for item in body:
        part = _unfolded(item) if isinstance(item, dict) else item
        if isinstance(part, dict) and isinstance(part.get("message_content"), dict):
            part = part["message_content"]
        if not isinstance(part, dict):
            texts.append(_text(part))
        elif part.get("type") in _CALL_TYPES or isinstance(part.get("functionCall"), dict):
            calls.append(_call(part.get("functionCall") or part))
        elif part.get("type") in _RESULT_TYPES or isinstance(part.get("functionResponse"), dict):
            results.append(_result(part.get("functionResponse") or part))
        elif part.get("type") in _IMAGE_TYPES or "inlineData" in part:
            texts.append(f"[{part.get('type') or 'data'}]")
        else:
            texts.append(_text(part))
    return texts, calls, results


def _is_part(value: Mapping[str, Any]) -> bool:
    return "role" not in value and value.get("type") in ("text", "input_text", "output_text", *_IMAGE_TYPES)


def _call(value: Mapping[str, Any]) -> Message:
    call = _unfolded(value)
    for key in ("tool_call", "function"):
        if isinstance(call.get(key), dict):
            call = {"id": call.get("id")} | call[key]
            if isinstance(call.get("function"), dict):
                call |= call["function"]
    arguments = next(
        (call[key] for key in ("arguments", "args", "input", "parameters") if call.get(key) is not None), None
    )
    identity = next((call[key] for key in ("id", "call_id", "toolCallId", "tool_call_id") if call.get(key)), None)
    return {
        "id": None if identity is None else str(identity),
        "name": str(call.get("name") or call.get("toolName") or ""),
        "arguments": None if arguments is None else _text(arguments),
    }


def _result(value: Mapping[str, Any]) -> Message:
    body = next((value[key] for key in ("content", "output", "response", "result") if value.get(key) is not None), None)
    texts, _, _ = _parts(body)
    message = _message("tool", "\n".join(texts))
    identity = next(
        (value[key] for key in ("tool_use_id", "tool_call_id", "toolCallId", "call_id", "id") if value.get(key)), None
    )
    return message if identity is None else message | {"tool_call_id": str(identity)}


def _message(role: str, content: str | None, calls: Sequence[Message] = ()) -> Message:
    message: Message = {"role": role, "content": content}
    return message | {"tool_calls": list(calls)} if calls else message


def _text(value: Any) -> str:
    """Return what a part says: its text, else all of it as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for key in ("text", "content", "thinking", "refusal", "parts"):
            inner = value.get(key)
            if isinstance(inner, str):
                return inner
            if _are_texts(inner):
                return "\n".join(item["text"] for item in inner)
    if _are_texts(value):
        return "\n".join(item["text"] for item in value)
    return _json(value)


def _are_texts(value: Any) -> TypeGuard[list[dict[str, str]]]:
    return isinstance(value, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in value
    )


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _unfolded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object whose flattened keys, ``a.0.b``, are objects and lists in it."""
    if not any("." in key for key in value):
        return value
    tree: dict[str, Any] = {}
    for key, item in value.items():
        _put(tree, key.split(".")[:DEPTH_MAX], item)
    return {key: _lists(item) for key, item in tree.items()}


def _put(tree: dict[str, Any], path: Sequence[str], item: Any) -> None:
    for step in path[:-1]:
        inner = tree.get(step)
        if not isinstance(inner, dict):
            inner = tree[step] = {}
        tree = inner
    tree.setdefault(path[-1], item)


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(item) for key, item in value.items()}
    if inner and all(key.isdecimal() and len(key) < 10 for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
