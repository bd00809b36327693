"""A support agent on the published ``fallom`` 0.2.7: ``session.wrap_openai`` records what the client calls.

Run it in the environment ``fallom-0.2.7`` of ``examples/client_environments.py``. It does not stream: the published
wrapper reads a stream as if it were a plain answer, and fails.
"""

from __future__ import annotations

from typing import Any

from openai import APIStatusError, OpenAI
from sessions import (
    CONFIG_KEY,
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

APP = "fallom-0.2"


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
    join_senders("_record_session", "_send_trace_sync", "_send_span")
    report(APP, sums)


def play_one(client: OpenAI, conversation: Conversation) -> Played:
    """Answer one customer's questions and record how content they were."""
    session = fallom.session(
        config_key=CONFIG_KEY,
        session_id=conversation.session_id,
        customer_id=conversation.customer_id,
        metadata={"channel": "chat"},
        tags=["demo"],
    )
    # Wrapping changes the client it is given: each session gets a copy, on the same connections.
    wrapped = session.wrap_openai(client.with_options())
    model = models.get(CONFIG_KEY, conversation.session_id, customer_id=conversation.customer_id)
    usages = [answer(wrapped, model, question) for question in conversation.questions]
    played = account(model, conversation, usages)
    trace.span(played.metrics, config_key=CONFIG_KEY, session_id=conversation.session_id)
    return played


def answer(client: OpenAI, model: str, question: str) -> Any:
    """Return the usage of one answer, or None where the provider failed."""
    prompt = prompts.get(PROMPT_KEY, {"question": question})
    messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
    try:
        return client.chat.completions.create(model=model, messages=messages).usage
    except APIStatusError:
        return None


if __name__ == "__main__":
    main()
