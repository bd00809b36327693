"""What a wrapped call adds, in CPU time of the caller's thread: OpenAI's client, a chat of four messages.

The client's `post` answers at once with what was parsed before: what is left is the wrapper. (Over the whole client,
whose own call takes a millisecond, the difference drowns in the noise of a busy machine.) The spans go to a server that
is not there, as in an outage. `python benchmarks/sdk_calls.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import fallom

CALLS = 200
ROUNDS = 15
CHUNKS = 50
MODEL = "gpt-5-mini"
MESSAGES: Any = [
    {"role": "system", "content": "You are terse. " * 20},
    {"role": "user", "content": "Where is Oslo?"},
    {"role": "assistant", "content": "In Norway."},
    {"role": "user", "content": "And Bergen? " * 30},
]
USAGE = {"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 260}
MESSAGE = {"role": "assistant", "content": "In Norway too. " * 20}
CHOICE = {"index": 0, "message": MESSAGE, "finish_reason": "stop"}
COMMON = {"id": "1", "created": 1, "model": MODEL}
ANSWER = ChatCompletion.model_validate({**COMMON, "object": "chat.completion", "choices": [CHOICE], "usage": USAGE})
DELTA = {"index": 0, "delta": {"content": "In Norway. "}}
CHUNK = ChatCompletionChunk.model_validate({**COMMON, "object": "chat.completion.chunk", "choices": [DELTA]})
LAST = ChatCompletionChunk.model_validate({**COMMON, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})


class Stream(openai.Stream[Any]):
    """A stream whose chunks are there."""

    def __init__(self) -> None:
        self.response = httpx2.Response(200)
        self._iterator = iter([*[CHUNK] * CHUNKS, LAST])


class Client(openai.OpenAI):
    """A client that answers itself."""

    def post(self, _path: str, **options: Any) -> Any:  # type: ignore[override]  # of its overloads this is all
        return Stream() if options.get("stream") else ANSWER


def cpu_us(call: Callable[[], Any]) -> float:
    """Return the least CPU time of a call, of some rounds, in microseconds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.thread_time()
        for _ in range(CALLS):
            call()
        best = min(best, (time.thread_time() - start) / CALLS * 1e6)
    return best


def main() -> None:
    fallom.init("key", base_url="http://127.0.0.1:9", cache_dir=False)
    bare = Client(api_key="k", base_url="http://127.0.0.1:9")
    wrapped = fallom.session("my-agent", "session-1").wrap_openai(bare)
    body = {"model": MODEL, "messages": MESSAGES}

    def whole(client: Client) -> Callable[[], Any]:
        return lambda: client.post("/chat/completions", body=body)

    def streamed(client: Client) -> Callable[[], Any]:
        return lambda: list(client.post("/chat/completions", body=body, stream=True))

    for name, made in (("a chat", whole), (f"a stream of {CHUNKS} chunks", streamed)):
        print(f"{name}: {cpu_us(made(wrapped)) - cpu_us(made(bare)):.0f} µs added")
    fallom.shutdown(0)


if __name__ == "__main__":
    main()
