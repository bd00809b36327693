"""Makes flat Fallom traces, as the published clients post them: one JSON object a call, new in each post."""

from __future__ import annotations

import json
import os
import random
import time
from datetime import UTC, datetime

from spans import CUSTOMERS, MODEL_WEIGHTS, MODELS, SESSION_NS, SESSIONS, TOKENS_MAX, corpus_bytes

TEMPLATES = 200
BARE_BYTES = 1_000


class Traces:
    """An endless supply of traces of about ``trace_bytes`` each."""

    def __init__(self, trace_bytes: int, seed: int) -> None:
        self._source = random.Random(seed)
        content_bytes = max(trace_bytes - BARE_BYTES, 40)
        self._input_bytes = content_bytes * 3 // 5
        self._output_bytes = content_bytes - self._input_bytes
        # Words and blanks: nothing that JSON would escape.
        self._prose = corpus_bytes().tobytes()
        self._templates = [self._template() for _ in range(TEMPLATES)]
        self._number = 0

    def renewed(self) -> bytes:
        """Return a trace with ids, times, a session, a customer and counts of its own."""
        self._number += 1
        session = time.time_ns() // SESSION_NS - self._source.randrange(SESSIONS)
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").encode()
        tokens = self._source.randrange(20, TOKENS_MAX), self._source.randrange(5, TOKENS_MAX)
        ids = os.urandom(24).hex().encode()
        values = (session, session * 7919 % CUSTOMERS, ids[:32], ids[32:], moment, moment)
        values += (self._text(self._input_bytes), self._text(self._output_bytes), *tokens, sum(tokens))
        return self._templates[self._number % TEMPLATES] % values

    def _text(self, size: int) -> bytes:
        start = self._source.randrange(len(self._prose) - size)
        return self._prose[start : start + size]

    def _template(self) -> bytes:
        provider, asked, answered = self._source.choices(MODELS, MODEL_WEIGHTS)[0]
        messages = [{"role": "user", "content": "%s"}]
        usage = '{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}'
        trace = {
            "config_key": "support-agent",
            "session_id": "session-%d",
            "customer_id": "customer-%d",
            "trace_id": "%s",
            "span_id": "%s",
            "name": "chat.completions.create",
            "kind": "llm",
            "model": answered,
            "start_time": "%s",
            "end_time": "%s",
            "duration_ms": self._source.randrange(100, 3_000),
            "status": "OK",
            "time_to_first_token_ms": self._source.randrange(50, 400),
            "is_streaming": True,
            "attributes": {
                "fallom.sdk_version": "2",
                "fallom.method": "chat.completions.create",
                "gen_ai.provider.name": provider,
                "fallom.raw.request": json.dumps({"model": asked, "messages": messages}),
                "fallom.raw.response": json.dumps({"text": "%s", "finishReason": "stop"}),
                "fallom.raw.usage": usage,
            },
        }
        return json.dumps(trace).encode()
