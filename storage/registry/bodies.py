"""The three forms of a resource: the author's document, the text that is stored, and what a client is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from schemas.api.alert import Alert
from schemas.api.config import Config
from schemas.api.experiment import Experiment
from schemas.api.price import Price
from schemas.api.problems import Problem, problems_of
from schemas.api.prompt import Prompt, PromptTest
from storage.registry.errors import DocumentError
from storage.registry.percentages import served_variants
from storage.registry.resources import Kind

AnyResource = Config | Prompt | PromptTest | Price | Experiment | Alert
MODELS: Mapping[Kind, type[AnyResource]] = {
    "config": Config,
    "prompt": Prompt,
    "prompt_ab_test": PromptTest,
    "price": Price,
    "experiment": Experiment,
    "alert": Alert,
}
LISTS: Mapping[Kind, str] = {
    "config": "configs",
    "prompt": "prompts",
    "prompt_ab_test": "prompt_ab_tests",
    "price": "prices",
    "experiment": "experiments",
    "alert": "alerts",
}
"""The list of a document in which a kind stands."""

# For people, for the author's checks, and for the server itself.
_UNSERVED = frozenset({"description", "tags", "variables", "rollout"})


def stored(resource: AnyResource) -> str:
    """Return the resource's one text form: defaults left out, variants in the form and order given."""
    return orjson.dumps(resource.model_dump(by_alias=True, exclude={"key", "version"}, exclude_none=True)).decode()


def served(text: str) -> dict[str, Any]:
    """Return the body that a client is served: weights in percent, and nothing that is for people."""
    body = {name: value for name, value in orjson.loads(text).items() if name not in _UNSERVED}
    return {**body, "variants": served_variants(body["variants"])} if "variants" in body else body


def resource_of(kind: Kind, key: str, body: Mapping[str, Any]) -> AnyResource:
    """Return the resource of a body, which may have the key too. Raises DocumentError."""
    if body.get("key", key) != key:
        raise DocumentError([Problem("key", f"must be {key!r}, as in the path, or left out; got {body['key']!r}")])
    model = MODELS[kind]
    try:
        return model.model_validate({**body, "key": key})
    except ValidationError as err:
        raise DocumentError(problems_of(err.errors(include_url=False), model=model)) from err
