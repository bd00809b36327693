"""Managed prompts, and tests of them."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.api.problems import TEXT_PATTERN, VARIABLE_PATTERN, Problem, refusal
from schemas.api.resource import (
    NAME_CHARS_MAX,
    VARIANTS_MAX,
    Name,
    Part,
    Resource,
    Version,
    Weight,
    repeats,
    weight_problems,
)

TEMPLATE_CHARS_MAX = 1_048_576
VARIABLES_MAX = 1_000

# What the published clients replace.
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def template_variables(text: str) -> list[str]:
    """Return the names of the variables in a template, in their order, each as often as it stands there."""
    return _VARIABLE.findall(text)


Template = Annotated[str, Field(max_length=TEMPLATE_CHARS_MAX, pattern=TEXT_PATTERN)]
VariableName = Annotated[str, Field(max_length=NAME_CHARS_MAX, pattern=VARIABLE_PATTERN)]


class Prompt(Resource):
    """A managed prompt; ``{{name}}`` in either text is replaced by the client.

    Where ``variables`` are listed, the texts may use no other: a misspelt name would reach the model as it is.
    """

    system_prompt: Template
    user_template: Template
    variables: list[VariableName] | None = Field(default=None, max_length=VARIABLES_MAX)

    def used_variables(self) -> list[str]:
        """Return the variables that the texts use, in the order of their first use."""
        return list(dict.fromkeys([*template_variables(self.system_prompt), *template_variables(self.user_template)]))

    @model_validator(mode="after")
    def _variables_are_given(self) -> Self:
        if self.variables is None:
            return self
        known = ", ".join(self.variables) or "none"
        problems = [
            Problem(field, f"variable {{{{{name}}}}} is never given; variables has: {known}")
            for field, text in (("system_prompt", self.system_prompt), ("user_template", self.user_template))
            for name in dict.fromkeys(template_variables(text))
            if name not in self.variables
        ]
        problems += [
            Problem(f"variables[{index}]", f"duplicate variable {name!r}, first in variables[{first}]")
            for index, name, first in repeats(self.variables)
        ]
        if problems:
            raise refusal(*problems)
        return self


class PromptVariant(Part):
    """One arm of a prompt test: a prompt, at a fixed version or at its latest."""

    prompt_key: Name
    prompt_version: Version | None = None
    weight: Weight


class PromptTest(Resource):
    """A prompt A/B test: prompts and their shares of the sessions."""

    variants: list[PromptVariant] = Field(min_length=1, max_length=VARIANTS_MAX)

    def weights(self) -> list[float]:
        """Return the variants' weights, in the order of the walk."""
        return [variant.weight for variant in self.variants]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        prompts = ((variant.prompt_key, variant.prompt_version) for variant in self.variants)
        problems = weight_problems(self.weights()) + [
            Problem(f"variants[{index}].prompt_key", f"duplicate variant {key!r}, first in variants[{first}]")
            for index, (key, _), first in repeats(prompts)
        ]
        if problems:
            raise refusal(*problems)
        return self
