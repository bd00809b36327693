"""Run in the environment of fallom 0.2.x: sessions of two calls through ``session.wrap_openai``, with metrics.

Reads and prints what ``traffic_0_1.py`` does; where ``has_responses`` is true, the second call is of the Responses API.
"""

import contextlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from openai import APIStatusError, OpenAI
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
    wrapped = fallom.session(config_key=config_key, session_id=session_id).wrap_openai(client.with_options())
    model = models.get(config_key, session_id)
    early = {name: type(value)() for name, value in session["metrics"].items()}
    trace.span(early, config_key=config_key, session_id=session_id)
    chat(wrapped, model, f"first {session_id}")
    if plan["has_responses"]:
        with contextlib.suppress(APIStatusError):
            wrapped.responses.create(model=model, input=f"second {session_id}")
    else:
        chat(wrapped, model, f"second {session_id}")
    return session_id, model


def chat(wrapped: OpenAI, model: str, content: str) -> None:
    """Make one call; the provider counts those that it fails."""
    with contextlib.suppress(APIStatusError):
        wrapped.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])


with ThreadPoolExecutor(4) as pool:
    played = dict(pool.map(play, plan["sessions"]))
join_senders("_record_session", "_send_trace_sync", "_send_span")
for session in plan["sessions"]:
    trace.span(session["metrics"], config_key=config_key, session_id=session["session_id"])
join_senders("_send_span")
json.dump({"models": played, "delivered_at": time.time()}, sys.stdout)
