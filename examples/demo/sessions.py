"""The support sessions that every demo app plays, how they are run, and what is reported of them.

The apps run in interpreters of different environments, so this needs the standard library alone. What a customer asks
is drawn from a generator seeded by the app and the session's number; how content they are depends on the model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

CONFIG_KEY = "support-agent"
PROMPT_KEY = "support-reply"
TURNS_MAX = 4
TOPICS = ("the delivery", "a refund", "the invoice", "an exchange", "the warranty")
DELIVERY_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """Where the server and the provider are, and how much to do."""

    traces_url: str
    configs_url: str
    prompts_url: str
    grpc: str
    api_key: str
    provider_url: str
    sessions: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """One customer's session: who asks, and what in each turn."""

    session_id: str
    customer_id: str
    questions: tuple[str, ...]
    mood: float


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one session, as its app saw it."""

    model: str
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    metrics: Mapping[str, int | bool]


def read_options(app: str) -> Options:
    """Return the options from the command line, whose defaults come from the environment."""
    parser = argparse.ArgumentParser(description=f"Play support sessions as {app}.")
    for flag, variable in (
        ("--traces-url", "FALLOM_TRACES_URL"),
        ("--configs-url", "FALLOM_CONFIGS_URL"),
        ("--prompts-url", "FALLOM_PROMPTS_URL"),
        ("--grpc", "FALLOM_GRPC"),
        ("--api-key", "FALLOM_API_KEY"),
        ("--provider-url", "DEMO_PROVIDER_URL"),
    ):
        default = os.environ.get(variable)
        required = default is None and flag != "--grpc"
        parser.add_argument(flag, default=default or "", required=required, help=f"default: {variable}")
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=8)
    return Options(**vars(parser.parse_args()))


def play(app: str, options: Options, play_one: Callable[[Conversation], Played]) -> dict[str, Counter[str]]:
    """Play the sessions on threads; print ``session N`` as each ends; return the sums by model."""
    run = secrets.token_hex(4)
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with ThreadPoolExecutor(options.concurrency) as pool:
        sessions = [pool.submit(play_one, conversation(app, run, number)) for number in range(options.sessions)]
        try:
            for count, session in enumerate(as_completed(sessions), start=1):
                _add(sums, session.result())
                print(f"session {count}", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return sums


def report(app: str, sums: Mapping[str, Mapping[str, int]]) -> None:
    """Print the last line: what was done, by model, as JSON."""
    print(json.dumps({"app": app, "models": sums}), flush=True)


def join_senders(*targets: str) -> None:
    """Wait until no thread that runs one of these functions is left: the published clients have no flush."""
    deadline = time.monotonic() + DELIVERY_SECONDS_MAX
    for thread in threading.enumerate():
        # A thread is named "Thread-7 (target)" unless its maker names it.
        if thread.name.endswith(tuple(f"({target})" for target in targets)):
            thread.join(max(0.0, deadline - time.monotonic()))


def conversation(app: str, run: str, number: int) -> Conversation:
    """Return session ``number`` of an app; only its id differs from run to run."""
    draw = random.Random(f"{app}/{number}")
    turns = range(draw.randint(1, TURNS_MAX))
    return Conversation(
        session_id=f"{app}-{run}-{number:05}",
        customer_id=f"customer-{draw.randrange(1000):03}",
        questions=tuple(f"What about {draw.choice(TOPICS)} of order {draw.randrange(10**6):06}?" for _ in turns),
        mood=draw.random(),
    )


def account(model: str, conversation: Conversation, usages: Sequence[Any]) -> Played:
    """Return what became of a session whose calls used so many tokens; None stands for a call that failed."""
    served = [usage for usage in usages if usage is not None]
    errors = len(usages) - len(served)
    return Played(
        model=model,
        calls=len(usages),
        errors=errors,
        input_tokens=sum(usage.prompt_tokens for usage in served),
        output_tokens=sum(usage.completion_tokens for usage in served),
        metrics=scores(model, conversation.mood, errors),
    )


def scores(model: str, mood: float, errors: int) -> dict[str, int | bool]:
    """Return the session's custom metrics: the larger model's customers are more content, failed calls annoy all."""
    content = {"gpt-4o": 0.75, "gpt-4o-mini": 0.6}.get(model, 0.5) - 0.2 * errors
    satisfaction = 1 + round(4 * min(1.0, max(0.0, content + 0.6 * (mood - 0.5))))
    return {"satisfaction": satisfaction, "resolved": mood < content}


def _add(sums: defaultdict[str, Counter[str]], played: Played) -> None:
    sums[played.model].update(
        sessions=1,
        calls=played.calls,
        errors=played.errors,
        input_tokens=played.input_tokens,
        output_tokens=played.output_tokens,
        **{name: int(value) for name, value in played.metrics.items()},
    )
