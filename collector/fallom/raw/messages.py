"""What was sent to the model and what it answered: a list of messages as JSON, or a text."""

from collector.fallom.raw.body import member, objects
from collector.promote import as_text

_SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction")
_MESSAGES = ("messages", "input", "contents", "prompt", "prompts")
_ANSWERS = ("text", "output_text", "outputText", "object", "message")
_PARTS = ("toolCalls", "tool_calls", "functionCall", "output", "content")


def input_of(request: object) -> str | None:
    """Return the messages, the system's before the others; a prompt alone as it is."""
    if not isinstance(request, dict):
        return as_text(request) if isinstance(request, str) or _are_messages(request) else None
    messages = member(request, *_MESSAGES)
    system = member(request, *_SYSTEM) or member(request.get("config"), *_SYSTEM)
    if system is None:
        return as_text(messages)
    said = messages if isinstance(messages, list) else [{"role": "user", "content": messages}] if messages else []
    if isinstance(system, str) and any(each.get("content") == system for each in objects(said[:1])):
        return as_text(said)
    return as_text([{"role": "system", "content": system}, *said])


def output_of(response: object) -> str | None:
    """Return the answer's text, else its calls of tools, else whatever it consists of."""
    if not isinstance(response, dict):
        return as_text(response) if isinstance(response, str) or _are_messages(response) else None
    answer = member(response, *_ANSWERS)
    for choice in objects(response.get("choices"))[:1]:
        message = member(choice, "message", "text")
        answer = answer or member(message, "content") or message
    for candidate in objects(response.get("candidates"))[:1]:
        answer = answer or member(candidate, "content")
    answer = answer or member(response, *_PARTS)
    for step in reversed(objects(response.get("steps"))):
        answer = answer or member(step, "text")
    return as_text(answer)


def _are_messages(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str | dict) for item in value)
