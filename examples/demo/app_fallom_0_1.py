"""A support agent on the published ``fallom`` 0.1.3: OpenTelemetry's instrumentation records what the client calls.

Run it in the environment ``fallom-0.1.3`` of ``examples/client_environments.py``.
"""

from __future__ import annotations

from typing import Any

from openai import APIStatusError, OpenAI
from opentelemetry.trace import get_tracer_provider
from sessions import (
    CONFIG_KEY,
    DELIVERY_SECONDS_MAX,
    PROMPT_KEY,
    Conversation,
    Played,
    account,
    join_senders,
    play,
    read_options,
    report,
)

import fallom
from fallom import models, prompts, trace

APP = "fallom-0.1"


def main() -> None:
    """Play the sessions, wait until all is delivered, report."""
    options = read_options(APP)
    fallom.init(
        api_key=options.api_key,
        traces_url=options.traces_url,
        configs_url=options.configs_url,
        prompts_url=options.prompts_url,
    )
    join_senders("_fetch_configs", "_fetch_all")
    client = OpenAI(base_url=f"{options.provider_url}/v1", api_key="none", max_retries=0)
    sums = play(APP, options, lambda conversation: play_one(client, conversation))
    join_senders("_record_session", "_send_span")
    get_tracer_provider().force_flush(int(DELIVERY_SECONDS_MAX * 1000))
    report(APP, sums)


def play_one(client: OpenAI, conversation: Conversation) -> Played:
    """Answer one customer's questions, streaming every second answer, and record how content they were."""
    model = models.get(CONFIG_KEY, conversation.session_id)
    # get() has set the session, but knows no customer.
    trace.set_session(CONFIG_KEY, conversation.session_id, customer_id=conversation.customer_id)
    usages = [
        answer(client, model, question, stream=turn % 2 == 1) for turn, question in enumerate(conversation.questions)
    ]
    played = account(model, conversation, usages)
    trace.span(played.metrics)
    return played


def answer(client: OpenAI, model: str, question: str, *, stream: bool) -> Any:
    """Return the usage of one answer, or None where the provider failed."""
    prompt = prompts.get(PROMPT_KEY, {"question": question})
    messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
    try:
        if not stream:
            return client.chat.completions.create(model=model, messages=messages).usage
        chunks = client.chat.completions.create(
            model=model, messages=messages, stream=True, stream_options={"include_usage": True}
        )
        return [chunk.usage for chunk in chunks][-1]
    except APIStatusError:
        return None


if __name__ == "__main__":
    main()
