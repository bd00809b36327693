"""What was said in a session, each thing once: calls repeat the conversation so far, as models have no memory.

Theory of operation. The turns so far are a list; the messages of a call are laid along it. A message that stands in the
list, behind the one found before, is a repetition, whether or not the call left some out. The last messages of a call,
behind its last answer of the model, are what is said by this call: they are a repetition only where the same trace said
them (a second call over the same question), or where a later message of the list is in the call too. Else a user who
says "yes" twice would have said it once. What a system says is told once, whoever repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from analytics.traces.messages import Message, messages_of

MESSAGES_MAX = 5_000
_Fingerprint = tuple[object, ...]


class Conversation:
    """The turns of the calls that are added, in the order of time."""

    def __init__(self) -> None:
        self.turns: list[dict[str, Any]] = []
        self.is_truncated = False
        self._places: dict[_Fingerprint, list[int]] = {}

    def add(self, call: Mapping[str, Any], said: Mapping[str, Any]) -> None:
        """Add what a call says and is answered. ``said`` is what each of its turns bears beside the message."""
        asked = messages_of(call["input"], "user") or []
        place = -1
        begins_at = _last_answer(asked) + 1
        for number, message in enumerate(asked):
            fingerprint = _fingerprint(message)
            found = self._next_place(fingerprint, place)
            if message["role"] == "system":
                if not self._places.get(fingerprint):
                    self._append(message, fingerprint, said)
            elif found is None or (number >= begins_at and self._is_said_anew(found, call["trace_id"])):
                self._append(message, fingerprint, said)
                place = len(self.turns) - 1
            else:
                place = found
        for message in messages_of(call["output"], "assistant") or []:
            self._append(message, _fingerprint(message), said)

    def _next_place(self, fingerprint: _Fingerprint, after: int) -> int | None:
        return next((place for place in self._places.get(fingerprint, ()) if place > after), None)

    def _is_said_anew(self, place: int, trace_id: str) -> bool:
        # Where nothing was answered since, it is the same question, asked again.
        was_answered = any(turn["role"] == "assistant" for turn in self.turns[place + 1 :])
        return was_answered and self.turns[place]["trace_id"] != trace_id

    def _append(self, message: Message, fingerprint: _Fingerprint, said: Mapping[str, Any]) -> None:
        if len(self.turns) >= MESSAGES_MAX:
            self.is_truncated = True
            return
        self._places.setdefault(fingerprint, []).append(len(self.turns))
        self.turns.append({**message, **said})


def _last_answer(messages: Sequence[Message]) -> int:
    """Return the place of the last message that is the model's; -1 where there is none."""
    return max((place for place, message in enumerate(messages) if message["role"] == "assistant"), default=-1)


def _fingerprint(message: Message) -> _Fingerprint:
    """Return what two tellings of one message have in common, whoever tells it."""
    calls = [(call.get("name"), _canonical(call.get("arguments"))) for call in message.get("tool_calls") or ()]
    content = (message["content"] or "").strip()
    # Some leave out what was said beside a call of a tool.
    return message["role"], tuple(calls) if calls else content


def _canonical(arguments: str | None) -> str | None:
    """Return a JSON text in one spelling."""
    try:
        return orjson.dumps(orjson.loads(arguments or ""), option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONDecodeError:
        return arguments
