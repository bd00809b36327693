"""Who serves a model, told from the address that was called and from the model's name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from collector_inputs import batch, span_row
from genai_prices.data import providers

from collector.processors.columns import FEW
from collector.processors.normalise import normalise
from collector.processors.provider import PROVIDER_PREFIXES, provider_of_address
from schemas.dialects.base_url import BASE_URL_KEYS


def provider_of(**columns: Any) -> str | None:
    (row,) = normalise(batch("spans", [columns])).to_pylist()
    found: str | None = row["provider"]
    return found


def as_json(attributes: dict[str, str]) -> str:
    return json.dumps(attributes, separators=(",", ":"))


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("api.openai.com", "openai"),
        ("https://api.openai.com/v1/", "openai"),
        ("my-resource.openai.azure.com", "azure"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("bedrock-runtime.us-east-1.amazonaws.com", "aws"),
        ("us-central1-aiplatform.googleapis.com", "google"),
        ("api.x.ai", "x-ai"),
        ("localhost:11434", None),
        ("", None),
        ("x" * 100_000, None),
    ],
)
def test_an_address_tells_who_serves_there(address: str, provider: str | None) -> None:
    assert provider_of_address(address) == provider


@pytest.mark.parametrize("key", BASE_URL_KEYS)
def test_each_key_that_has_an_address_is_read(key: str) -> None:
    attributes = as_json({"other": "x", key: "https://api.groq.com/openai/v1"})

    assert provider_of(request_model="m", attributes=attributes) == "groq"


@pytest.mark.parametrize(
    ("attributes", "provider"),
    [
        ({"server.address": "my-resource.openai.azure.com"}, "azure"),
        ({"server.address": "gateway.internal"}, "openai"),
        ({"url.full": "http://gateway.internal/v1", "server.address": "api.anthropic.com"}, "anthropic"),
        ({"server.address": "api.groq.com", "url.full": "https://api.mistral.ai/v1"}, "mistral"),
        ({"note": '{"server.address":"api.groq.com"}'}, "openai"),
    ],
)
def test_the_best_address_that_is_known_goes_before_the_model_s_name(attributes: dict[str, str], provider: str) -> None:
    assert provider_of(request_model="gpt-4o", attributes=as_json(attributes)) == provider


def test_what_is_said_goes_before_what_is_inferred() -> None:
    attributes = as_json({"server.address": "api.openai.com"})

    assert provider_of(request_model="gpt-4o", provider="mine", attributes=attributes) == "mine"


def test_a_span_without_a_model_has_no_provider() -> None:
    assert provider_of(attributes=as_json({"server.address": "api.openai.com"})) is None


def test_each_row_of_a_batch_has_its_own_address() -> None:
    hosts = ["api.openai.com", "api.anthropic.com", "nowhere.example"] * FEW
    rows = [{"request_model": "m", "attributes": as_json({"server.address": host})} for host in hosts]

    found = normalise(batch("spans", rows)).column("provider").to_pylist()

    assert found == ["openai", "anthropic", None] * FEW


def test_the_decoder_writes_addresses_as_they_are_looked_for() -> None:
    row = span_row({"gen_ai.request.model": "m", "server.address": "api.mistral.ai"})

    assert provider_of(**row) == "mistral"


def test_a_model_s_owner_is_named_as_prices_name_it() -> None:
    known = {provider.id for provider in providers}

    assert {provider for _, provider in PROVIDER_PREFIXES} <= known
