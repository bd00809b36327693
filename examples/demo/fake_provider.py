"""A small OpenAI-compatible provider that costs nothing: for the demo, the tests and a first look without a key.

It serves ``POST /v1/chat/completions`` (plain and streamed), ``POST /v1/responses`` (plain) and ``GET /served``, which
tells what it has served so far. Latency, first-token delay, token counts and errors depend on the model and are drawn
from a generator that the request body seeds: the same request always gets the same answer, in every run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import signal
import socket
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

CHARACTERS_PER_TOKEN = 4
CHUNKS_PER_STREAM = 6
REPLY = "The order was found and the refund is on its way to your card within three working days."


@dataclass(frozen=True, slots=True)
class Profile:
    """How a model behaves: medians of lognormal draws, and the shares of calls and tokens."""

    served_name: str
    first_token_ms: float
    generation_ms: float
    sigma: float
    rate_limited_share: float
    failed_share: float
    output_tokens: float
    cached_share: float
    reasoning_share: float


PROFILES = {
    "gpt-4o": Profile(
        served_name="gpt-4o-2024-08-06",
        first_token_ms=24.0,
        generation_ms=48.0,
        sigma=0.35,
        rate_limited_share=0.02,
        failed_share=0.01,
        output_tokens=120.0,
        cached_share=0.5,
        reasoning_share=0.25,
    ),
    "gpt-4o-mini": Profile(
        served_name="gpt-4o-mini-2024-07-18",
        first_token_ms=10.0,
        generation_ms=20.0,
        sigma=0.45,
        rate_limited_share=0.05,
        failed_share=0.03,
        output_tokens=90.0,
        cached_share=0.25,
        reasoning_share=0.1,
    ),
}

ERRORS = {
    400: ("invalid_request_error", "The body is not a JSON object: send one with a model."),
    404: ("invalid_request_error", f"The model does not exist here: use one of {', '.join(PROFILES)}."),
    429: ("rate_limit_error", "Rate limit reached (simulated): try again later."),
    500: ("server_error", "The server had an error while processing the request (simulated)."),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one request gets, settled before any of it is sent."""

    status: int
    first_token_ms: float
    latency_ms: float
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int


class Ledger:
    """What was served, by requested model: the truth that a trace pipeline's numbers can be compared with."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def enter(self, model: str, outcome: Outcome) -> None:
        """Count one call; a failed one has no tokens."""
        failed = outcome.status != 200
        self._counts[model].update(calls=1, errors=int(failed))
        if not failed:
            self._counts[model].update(
                input_tokens=outcome.input_tokens,
                cached_tokens=outcome.cached_tokens,
                output_tokens=outcome.output_tokens,
                reasoning_tokens=outcome.reasoning_tokens,
            )

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the counts by model so far."""
        return {model: dict(counts) for model, counts in self._counts.items()}


def outcome_of(profile: Profile, body: Mapping[str, Any]) -> Outcome:
    """Draw what this request gets; the same body draws the same."""
    draw = random.Random(json.dumps(body, sort_keys=True))
    first_token_ms = profile.first_token_ms * draw.lognormvariate(0.0, profile.sigma)
    latency_ms = first_token_ms + profile.generation_ms * draw.lognormvariate(0.0, profile.sigma)
    input_tokens = _prompt_tokens(body)
    output_tokens = max(1, round(profile.output_tokens * draw.lognormvariate(0.0, profile.sigma)))
    return Outcome(
        status=_status(profile, draw.random()),
        first_token_ms=first_token_ms,
        latency_ms=latency_ms,
        input_tokens=input_tokens,
        cached_tokens=math.floor(input_tokens * profile.cached_share * draw.random()),
        output_tokens=output_tokens,
        reasoning_tokens=math.floor(output_tokens * profile.reasoning_share),
    )


def application() -> Starlette:
    """Return the provider, with a ledger of its own."""
    ledger = Ledger()

    async def chat_completions(request: Request) -> Response:
        return await _answer(request, ledger, streamable=True)

    async def responses(request: Request) -> Response:
        return await _answer(request, ledger, streamable=False)

    async def served(_request: Request) -> Response:
        return JSONResponse(ledger.counts())

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat_completions, methods=["POST"]),
            Route("/v1/responses", responses, methods=["POST"]),
            Route("/served", served),
        ]
    )


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; print ``ready url=…`` once the port accepts."""
    parser = argparse.ArgumentParser(description="Serve a fake, OpenAI-compatible provider on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (default)")
    arguments = parser.parse_args()
    # uvicorn raises the signal that stopped it once more when it has drained: leave with 0 then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    with _listen(arguments.port) as listener:
        print(f"ready url=http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        server = uvicorn.Server(uvicorn.Config(application(), log_level="warning", timeout_graceful_shutdown=2))
        server.run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        sys.exit(f"fake_provider: port {port} of 127.0.0.1 cannot be used ({error.strerror}): give another, or 0.")
    listener.listen(256)
    return listener


async def _answer(request: Request, ledger: Ledger, *, streamable: bool) -> Response:
    started = time.perf_counter()
    try:
        body = await request.json()
    except ValueError:
        return _error(400)
    if not isinstance(body, dict):
        return _error(400)
    model = str(body.get("model"))
    profile = PROFILES.get(model)
    if profile is None:
        return _error(404)
    outcome = outcome_of(profile, body)
    ledger.enter(model, outcome)
    if outcome.status != 200:
        await _wait_until(started, outcome.first_token_ms)
        return _error(outcome.status)
    if streamable and body.get("stream"):
        return StreamingResponse(_chunks(profile, body, outcome, started), media_type="text/event-stream")
    await _wait_until(started, outcome.latency_ms)
    return JSONResponse((_completion if streamable else _response)(profile, outcome))


async def _wait_until(started: float, elapsed_ms: float) -> None:
    await asyncio.sleep(max(0.0, elapsed_ms / 1000 - (time.perf_counter() - started)))


def _error(status: int) -> Response:
    kind, message = ERRORS[status]
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": None}}, status)


def _status(profile: Profile, fraction: float) -> int:
    if fraction < profile.rate_limited_share:
        return 429
    return 500 if fraction < profile.rate_limited_share + profile.failed_share else 200


def _prompt_tokens(body: Mapping[str, Any]) -> int:
    text = json.dumps([body.get("messages"), body.get("input"), body.get("instructions")], ensure_ascii=False)
    return max(1, len(text) // CHARACTERS_PER_TOKEN)


def _text(outcome: Outcome) -> str:
    return REPLY[: CHUNKS_PER_STREAM + outcome.output_tokens]


def _completion(profile: Profile, outcome: Outcome) -> dict[str, Any]:
    message = {"role": "assistant", "content": _text(outcome), "refusal": None}
    return {
        **_envelope(profile, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(outcome),
    }


async def _chunks(profile: Profile, body: Mapping[str, Any], outcome: Outcome, started: float) -> AsyncIterator[str]:
    envelope = _envelope(profile, "chat.completion.chunk")
    pieces = _pieces(_text(outcome))
    for index, piece in enumerate(pieces):
        progress = index / len(pieces)
        await _wait_until(started, outcome.first_token_ms + progress * (outcome.latency_ms - outcome.first_token_ms))
        delta = {"role": "assistant", "content": piece} if index == 0 else {"content": piece}
        yield _event({**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    await _wait_until(started, outcome.latency_ms)
    yield _event({**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _event({**envelope, "choices": [], "usage": _usage(outcome)})
    yield "data: [DONE]\n\n"


def _pieces(text: str) -> list[str]:
    size = math.ceil(len(text) / CHUNKS_PER_STREAM)
    return [text[start : start + size] for start in range(0, len(text), size)]


def _event(chunk: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"


def _response(profile: Profile, outcome: Outcome) -> dict[str, Any]:
    content = [{"type": "output_text", "text": _text(outcome), "annotations": []}]
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": content}
    return {
        "id": f"resp_{_identifier()}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": profile.served_name,
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": outcome.input_tokens,
            "input_tokens_details": {"cached_tokens": outcome.cached_tokens},
            "output_tokens": outcome.output_tokens,
            "output_tokens_details": {"reasoning_tokens": outcome.reasoning_tokens},
            "total_tokens": outcome.input_tokens + outcome.output_tokens,
        },
    }


def _envelope(profile: Profile, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{_identifier()}",
        "object": kind,
        "created": int(time.time()),
        "model": profile.served_name,
        "system_fingerprint": "fp_fake",
    }


def _usage(outcome: Outcome) -> dict[str, Any]:
    return {
        "prompt_tokens": outcome.input_tokens,
        "completion_tokens": outcome.output_tokens,
        "total_tokens": outcome.input_tokens + outcome.output_tokens,
        "prompt_tokens_details": {"cached_tokens": outcome.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": outcome.reasoning_tokens},
    }


def _identifier() -> str:
    return f"{random.getrandbits(96):024x}"


if __name__ == "__main__":
    main()
