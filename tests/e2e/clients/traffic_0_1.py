"""Run in the environment of fallom 0.1.x: sessions of two calls, one of them streamed, with metrics.

Reads ``{"urls": arguments of fallom.init, "provider_url", "config_key", "sessions": [{"session_id", "metrics"}]}`` from
standard input; prints ``{"models": {session_id: model}, "delivered_at": seconds since 1970}`` once all is delivered.
"""

import contextlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from openai import APIStatusError, OpenAI
from opentelemetry.trace import get_tracer_provider
from sessions import join_senders

import fallom
from fallom import models, trace

plan = json.load(sys.stdin)
config_key = plan["config_key"]
fallom.init(api_key=plan.get("api_key", "test"), **plan["urls"])
join_senders("_fetch_configs", "_fetch_all")
client = OpenAI(base_url=f"{plan['provider_url']}/v1", api_key="none", max_retries=0)


def play(session: dict[str, Any]) -> tuple[str, str]:
    """Play one session: an early value of each metric is sent too, which the last must replace."""
    session_id = session["session_id"]
    model = models.get(config_key, session_id)
    trace.span({name: type(value)() for name, value in session["metrics"].items()})
    call(model, f"plain {session_id}")
    call(model, f"streamed {session_id}", stream=True, stream_options={"include_usage": True})
    return session_id, model


def call(model: str, content: str, **options: Any) -> None:
    """Make one call and read its answer to the end; the provider counts those that it fails."""
    with contextlib.suppress(APIStatusError):
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}], **options)
        list(answer)


with ThreadPoolExecutor(4) as pool:
    played = dict(pool.map(play, plan["sessions"]))
join_senders("_record_session", "_send_span")
for session in plan["sessions"]:
    trace.span(session["metrics"], config_key=config_key, session_id=session["session_id"])
join_senders("_send_span")
get_tracer_provider().force_flush()
json.dump({"models": played, "delivered_at": time.time()}, sys.stdout)
