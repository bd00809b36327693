"""What is asked and what is answered: the cases that every instrumentor is run through."""

from __future__ import annotations

from dataclasses import dataclass, replace

SYSTEM = "You are terse."
TOOL_NAME = "get_weather"
TOOL_ARGUMENTS = {"city": "Oslo"}
TOOL_RESULT = "4 degrees and rain"
# A stream's first chunk comes after the one, its last after the other.
FIRST_TOKEN_MS = 60
REST_OF_STREAM_MS = 400


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens in disjoint buckets, whatever a provider's way to report them."""

    uncached: int
    visible: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def input(self) -> int:
        return self.uncached + self.cache_read + self.cache_write

    @property
    def output(self) -> int:
        return self.visible + self.reasoning


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: a text or a call of the tool."""

    usage: Usage
    text: str = ""

    @property
    def calls_tool(self) -> bool:
        return not self.text


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation: ``turns`` answers, or an error where the status is not 200."""

    name: str
    prompt: str
    turns: tuple[Turn, ...] = ()
    streamed: bool = False
    tool: bool = False
    status: int = 200
    # Whether the client asks for the usage of a stream, which OpenAI's chat completions tell on demand only.
    usage_told: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    """One API of a provider, with the model that is asked for and the one that answers."""

    name: str
    provider: str
    request_model: str
    response_model: str
    # How this API says why the model stopped: after a text, after a call of a tool.
    finish_reasons: tuple[str, str]
    tells_cache_writes: bool = True

    def told(self, usage: Usage) -> Usage:
        """Return the usage as far as this API tells it."""
        if self.tells_cache_writes:
            return usage
        return replace(usage, uncached=usage.uncached + usage.cache_write, cache_write=0)


APIS = {
    api.name: api
    for api in (
        Api("chat", "openai", "gpt-5-mini", "gpt-5-mini-2025-08-07", ("stop", "tool_calls")),
        Api("responses", "openai", "gpt-5-mini", "gpt-5-mini-2025-08-07", ("stop", "tool_calls")),
        Api("messages", "anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", ("end_turn", "tool_use")),
        Api("generate", "google", "gemini-2.5-flash", "gemini-2.5-flash", ("STOP", "STOP"), False),
    )
}

_EVERY_BUCKET = Usage(uncached=120, cache_read=800, cache_write=64, visible=31, reasoning=48)
_TOOL_CALL = Turn(Usage(uncached=57, visible=14))

CASES = {
    case.name: case
    for case in (
        Case("plain", "What is the capital of Norway?", (Turn(Usage(uncached=21, visible=9), "Oslo, since 1814."),)),
        Case("cached", "Sum up the long document.", (Turn(_EVERY_BUCKET, "It is long, and says little."),)),
        Case("streamed", "Tell me of fjords.", (Turn(_EVERY_BUCKET, "Fjords are deep, and cold."),), streamed=True),
        Case(
            "untold",
            "Tell me of trolls.",
            (Turn(Usage(uncached=18, visible=11), "Trolls are large, and slow."),),
            streamed=True,
            usage_told=False,
        ),
        Case("tool", "How is the weather?", (_TOOL_CALL,), tool=True),
        Case("streamed_tool", "How is the weather there?", (_TOOL_CALL,), streamed=True, tool=True),
        Case(
            "agent",
            "Is it raining in Oslo?",
            (_TOOL_CALL, Turn(Usage(uncached=93, cache_read=40, visible=12), "Yes: it rains, at 4 degrees.")),
            tool=True,
        ),
        Case("limited", "Answer at once!", status=429, error="Too many requests for now."),
        Case("failed", "Answer, please.", status=500, error="The server fell over."),
        Case("refused", "Answer a wrong question.", status=400, error="This can't be asked."),
        Case("streamed_failed", "Answer in a stream.", status=500, error="The stream fell over.", streamed=True),
    )
}
