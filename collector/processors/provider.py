"""Who serves a model, where no attribute says it: told from the address that was called, else from the model's name.

The address goes first: Azure and OpenRouter serve models of OpenAI's too. Names are those of `genai-prices`.
"""

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from genai_prices.data import providers

from collector.processors.columns import Coded
from schemas.dialects.base_url import BASE_URL_KEYS

# What a model's name says of who serves it, where nothing else does.
PROVIDER_PREFIXES = (
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "google"),
    ("models/gemini-", "google"),
    ("mistral-", "mistral"),
    ("command-", "cohere"),
    ("deepseek-", "deepseek"),
    ("grok-", "x-ai"),
)
_URL_CHARACTERS_MAX = 256
_IDS = [provider.id for provider in providers]
# A group of its own a provider, whose number is that of its id.
_PATTERNS = re.compile("|".join(f"(?P<p{place}>{each.api_pattern})" for place, each in enumerate(providers)))
_ANY = f'"(?:{"|".join(map(re.escape, BASE_URL_KEYS))})":"'
_IN_JSON = {key: f'"{re.escape(key)}":"(?P<url>[^"\\\\]+)"' for key in BASE_URL_KEYS}


def inferred(spans: pa.RecordBatch, rows: npt.NDArray[np.int64]) -> list[str | None]:
    """Return who serves the model of each of these rows, where that can be told."""
    picked = pa.array(rows)
    found = _by_address(spans["attributes"].take(picked))
    if None not in found:
        return found
    model = Coded.of(pc.coalesce(spans["response_model"].take(picked), spans["request_model"].take(picked)))
    by_model = [provider_of_model(text) for text in model.texts]
    return [by_address or by_model[code] for by_address, code in zip(found, model.codes.tolist(), strict=True)]


def _by_address(attributes: pa.Array) -> list[str | None]:
    found: list[str | None] = [None] * len(attributes)
    # One search of all; the keys of a batch's spans are mostly the same.
    rows = np.flatnonzero(pc.match_substring_regex(attributes, _ANY).fill_null(False).to_numpy(zero_copy_only=False))
    if not len(rows):
        return found
    with_address = attributes.take(pa.array(rows))
    for expression in _IN_JSON.values():
        urls = pc.struct_field(pc.extract_regex(with_address, expression), "url")
        for row, url in zip(rows.tolist(), urls.to_pylist(), strict=True):
            if url is not None and found[row] is None:
                found[row] = provider_of_address(url)
    return found


@lru_cache(4096)
def provider_of_address(address: str) -> str | None:
    """Return who serves models at a URL or a host."""
    url = address[:_URL_CHARACTERS_MAX]
    match = _PATTERNS.match(url if "://" in url else f"https://{url}/")
    return None if match is None else _IDS[int(str(match.lastgroup)[1:])]


def provider_of_model(model: str | None) -> str | None:
    """Return whose model this is, by its name."""
    return next((provider for prefix, provider in PROVIDER_PREFIXES if model and model.startswith(prefix)), None)
