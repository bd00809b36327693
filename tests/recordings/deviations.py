"""What instrumentors do not tell, or tell wrongly: the rows of such calls say no more than they do.

Counts that follow from those named here (of uncached and visible tokens, the cost) are worked out from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest.mock import ANY

from recordings.cases import APIS, CASES, SYSTEM

Facts = Mapping[str, Any]

_USAGE_UNTOLD: Facts = {"input_tokens": None, "output_tokens": None}
_STREAM_UNTOLD: Facts = {"first token": None, "is_streaming": False}
# Its span says nothing of an error's text.
_OWN_ANTHROPIC: Mapping[str, Facts] = {
    "*": {"message told": False},
    # The answer of a stream is left out.
    "*.streamed": {"output lacks": [CASES["streamed"].turns[0].text]},
    "*.streamed_tool": {"tool_calls": None},
}
# The dated name of the model stands where LangChain does not look for it.
_DATED_UNTOLD: Mapping[str, Facts] = {
    "chat.streamed*": {"response_model": APIS["chat"].request_model},
    "responses.*": {"response_model": APIS["responses"].request_model, "finish_reason": None},
    "messages.streamed*": {"response_model": APIS["messages"].request_model},
}

# By run, by pattern of calls, in the form of `expectations.found`.
DEVIATIONS: Mapping[str, Mapping[str, Facts]] = {
    "openllmetry-openai": {
        "*": {"cache_write_tokens": None},
        "chat.streamed": {"reasoning_tokens": None},
        "chat.untold": _USAGE_UNTOLD,
        "responses.streamed*": {"first token": None},
    },
    "genai-openai": {"chat.untold": _USAGE_UNTOLD},
    "openinference-openai": {"chat.untold": _USAGE_UNTOLD, "responses.*": {"finish_reason": None}},
    "anthropic": _OWN_ANTHROPIC,
    "anthropic-twice": _OWN_ANTHROPIC,
    "openllmetry-anthropic": {
        "*": {"reasoning_tokens": None},
        # The first count of output tokens, 1, is a part of the last: it adds them up.
        "*.streamed": {"first token": None, "output_tokens": 80},
        "*.streamed_tool": {"first token": None, "output_tokens": 15},
    },
    "openinference-anthropic": {"*.streamed*": _STREAM_UNTOLD},
    "openinference-google": {"*": {"request_model": None}, "*.streamed*": _STREAM_UNTOLD},
    "openllmetry-langchain": {
        **_DATED_UNTOLD,
        "*": {"reasoning_tokens": None},
        "*.streamed*": _STREAM_UNTOLD,
        "messages.*": {"cache_write_tokens": 0, "finish_reason": None},
    },
    "genai-langchain": {"responses.*": {"finish_reason": "error"}},
    "openinference-langchain": {
        **_DATED_UNTOLD,
        "*.streamed*": _STREAM_UNTOLD,
        "chat.cached": {"cache_write_tokens": None},
        "messages.cached": {"reasoning_tokens": None},
        "messages.streamed": {"cache_write_tokens": None},
    },
    "langsmith": {
        "*": {"response_model": None, "finish_reason": None},
        "*.streamed*": _STREAM_UNTOLD,
        # Its two threads contend for the status: now it is an error, now it is none; the exception is there always.
        **{f"*.{name}": {"error": ANY} for name in ("limited", "failed", "refused", "streamed_failed")},
    },
    "pydantic-ai": {
        # The error of a stream stands on the span of the agent's run alone.
        "*.streamed_failed": {"error": False, "message told": False},
        # What was asked is added once there is an answer.
        **{f"*.{name}": {"input lacks": [SYSTEM, CASES[name].prompt]} for name in ("limited", "failed", "refused")},
        "messages.*": {"reasoning_tokens": None},
        "generate.*": {"reasoning_tokens": None},
        "responses.agent": {"finish_reason": "stopped"},
    },
    "vercel-4": {
        "chat.*": {"cache_write_tokens": None},
        "responses.*": {"cache_write_tokens": None},
        "messages.*": {"reasoning_tokens": None},
    },
    # It counts the details of streams alone.
    "vercel-5": {
        "*.cached": {"cache_read_tokens": None, "reasoning_tokens": None},
        "chat.agent": {"cache_read_tokens": None},
        "messages.cached": {"cache_read_tokens": 800, "reasoning_tokens": 48},
    },
    "vercel-7": {"*": {"reasoning_tokens": None}},
}
