"""The registry's document: configs, prompts, prompt tests, prices, experiments, alerts: in files, in ``POST /apply``.

The models hold what a client is served, under its wire names, and refuse what a client would trip over: an unknown
key, a value of another type (never coerced in silence), a weight that is no share, an index beyond the variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from schemas.api.alert import ALERTS_MAX, Alert
from schemas.api.config import Config
from schemas.api.experiment import Experiment
from schemas.api.price import Price
from schemas.api.problems import Problem, refusal
from schemas.api.prompt import Prompt, PromptTest
from schemas.api.resource import Part, Resource, repeats

RESOURCES_MAX = 10_000
PRICES_MAX = 1_000  # each of them may be asked about every new name of a model


class RegistryDocument(Part):
    """What one ``apply`` defines; what it does not name stays as it is."""

    configs: list[Config] = Field(default=[], max_length=RESOURCES_MAX)
    prompts: list[Prompt] = Field(default=[], max_length=RESOURCES_MAX)
    prompt_ab_tests: list[PromptTest] = Field(default=[], max_length=RESOURCES_MAX)
    prices: list[Price] = Field(default=[], max_length=PRICES_MAX)
    experiments: list[Experiment] = Field(default=[], max_length=RESOURCES_MAX)
    alerts: list[Alert] = Field(default=[], max_length=ALERTS_MAX)

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Self:
        lists: dict[str, Sequence[Resource]] = {
            "configs": self.configs,
            "prompts": self.prompts,
            "prompt_ab_tests": self.prompt_ab_tests,
            "prices": self.prices,
            "experiments": self.experiments,
            "alerts": self.alerts,
        }
        problems = [
            Problem(f"{name}[{index}].key", f"duplicate key {key!r}, first in {name}[{first}]")
            for name, resources in lists.items()
            for index, key, first in repeats(resource.key for resource in resources)
        ]
        if problems:
            raise refusal(*problems)
        return self
