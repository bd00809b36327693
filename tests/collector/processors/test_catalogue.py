"""Models by name: those that genai-prices itself finds."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import MatchLogic, ModelInfo
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.processors.catalogue import NAME_CHARS_MAX, find_model

PROVIDERS = get_snapshot().providers


def theirs(provider: str | None, model: str) -> ModelInfo | None:
    try:
        return DataSnapshot(PROVIDERS, from_auto_update=False).find_provider_model(model, None, provider, None)[1]
    except LookupError:
        return None


def texts_of(clause: MatchLogic) -> Iterator[str]:
    """Yield the texts that a clause looks for."""
    for value in vars(clause).values():
        if isinstance(value, str):
            yield value
        else:
            for each in value:
                yield from texts_of(each)


def compact(name: str) -> str:
    """Return the name with its date, as in -2024-08-06, written -20240806."""
    return re.sub(r"-(20\d\d)-(\d\d)-(\d\d)", r"-\1\2\3", name)


TEXTS = [(provider, text) for provider in PROVIDERS for model in provider.models for text in texts_of(model.match)]
NAMES = sorted({text for _, text in TEXTS})
IDS = [None, "litellm", "LiteLLM", "nobody", " OpenAI ", "gcp.gemini", *(provider.id for provider in PROVIDERS)]
ENDINGS = ["", "-20251211", "-20251341", "-2024-08-06", ":free", ":batch", "-preview", "x"]


def test_every_name_that_is_shipped_leads_to_the_model_that_genai_prices_finds() -> None:
    chosen = random.Random(7)
    asked = [
        *((provider.id, text) for provider, text in TEXTS),
        *((provider.id, compact(text)) for provider, text in TEXTS),
        *((None, name) for name in NAMES),
        *((chosen.choice(IDS), name.upper() + chosen.choice(ENDINGS)) for name in NAMES),
        *(("litellm", f"{chosen.choice(IDS)}/{name}") for name in NAMES),
    ]

    differing = [names for names in asked if find_model(*names) is not theirs(*names)]

    assert differing == []


@settings(deadline=None)
@given(
    st.sampled_from(IDS) | st.text(max_size=12),
    st.lists(st.sampled_from(NAMES) | st.text(max_size=4) | st.sampled_from(["/", "", *ENDINGS]), max_size=3),
)
def test_any_name_leads_to_the_model_that_genai_prices_finds(provider: str | None, parts: list[str]) -> None:
    name = "".join(parts)[:NAME_CHARS_MAX]

    assert find_model(provider, name) is theirs(provider, name)


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "gpt-4o" + "o" * NAME_CHARS_MAX), ("openai" * NAME_CHARS_MAX, "gpt-4o")],
    ids=["model", "provider"],
)
def test_a_name_that_is_too_long_is_nobody_s(provider: str, model: str) -> None:
    assert find_model(provider, model) is None


def test_a_name_is_not_remembered() -> None:
    find_model("nobody-of-note", "a-model-of-note")

    assert "of-note" not in f"{vars(get_snapshot())}"
