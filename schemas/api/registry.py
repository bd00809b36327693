"""The registry's document: model configs, prompts, prompt tests, prices; as YAML files and ``POST /apply`` have it.

The models hold what a client is served, under its wire names, and refuse what a client would trip over: an unknown
key, a value of another type (never coerced in silence), a weight that is no share, an index beyond the variants.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    model_validator,
)

from schemas.api.price import Day, TokenPrices, Usd
from schemas.api.problems import (
    LIST_FORM,
    NAME_PATTERN,
    OBJECT_FORM,
    TEXT_PATTERN,
    VARIABLE_PATTERN,
    Problem,
    refusal,
    shown,
)
from schemas.api.rollout import Rollout

NAME_CHARS_MAX = 256
VALUE_CHARS_MAX = 4_096
TEMPLATE_CHARS_MAX = 1_048_576
DESCRIPTION_CHARS_MAX = 4_096
TAGS_MAX = 100
VARIABLES_MAX = 1_000
VARIANTS_MAX = 1_000
RESOURCES_MAX = 10_000
PRICES_MAX = 1_000  # each of them may be asked about every new name of a model
TARGETS_MAX = 10_000
RULES_MAX = 1_000
CONDITIONS_MAX = 100
VALUES_MAX = 10_000
WEIGHT_MAX = 1_000_000_000
INTEGER_MAX = 2**53 - 1  # beyond it JavaScript clients would compare rounded numbers
VERSION_MAX = 2**31 - 1

T = TypeVar("T")

Operator = Literal["eq", "neq", "in", "nin", "contains", "startsWith", "endsWith"]
LIST_OPERATORS = frozenset({"in", "nin"})
TEXT_OPERATORS = frozenset({"contains", "startsWith", "endsWith"})
HashVersion = Literal[1, 2]
StickyBy = Literal["session", "customer", "request"]

# What the published clients replace.
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def _form(variants: object) -> str | None:
    if isinstance(variants, list):
        return LIST_FORM
    return OBJECT_FORM if isinstance(variants, dict) else None


def _comparable(value: object) -> object:
    """Refuse what no context value can equal; done here, so that one wrong value gives one problem, not one a type."""
    if isinstance(value, list):
        problems = [
            Problem(f"[{index}]", message) for index, item in enumerate(value) if (message := _scalar_problem(item))
        ]
    else:
        message = _scalar_problem(value)
        problems = [Problem("", message)] if message else []
    if problems:
        raise refusal(*problems)
    return value


def _single(value: object) -> object:
    message = _scalar_problem(value)
    if message:
        raise refusal(Problem("", message))
    return value


def _scalar_problem(value: object) -> str | None:
    if isinstance(value, str):
        too_long = len(value) > VALUE_CHARS_MAX
        return f"must be at most {VALUE_CHARS_MAX} characters long, got {shown(value)}" if too_long else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        # Written so that a NaN, which compares with nothing, is refused too.
        within = -INTEGER_MAX <= value <= INTEGER_MAX
        return None if within else f"must be between -{INTEGER_MAX} and {INTEGER_MAX}, got {shown(value)}"
    return f"must be a string, a number, or true or false, got {shown(value)}"


def template_variables(text: str) -> list[str]:
    """Return the names of the variables in a template, in their order, each as often as it stands there."""
    return _VARIABLE.findall(text)


# What a default is left out by: a body that spells it out is the same body.
def _is_empty(value: object) -> bool:
    return not value


def _is_false(value: object) -> bool:
    return value is False


def _is_one(value: object) -> bool:
    return value == 1


def _is_all(value: object) -> bool:
    return value == 100


def _is_session(value: object) -> bool:
    return value == "session"


def _share(weight: float) -> int | float:
    return int(weight) if weight.is_integer() else weight


Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=NAME_PATTERN)]
Template = Annotated[str, Field(max_length=TEMPLATE_CHARS_MAX, pattern=TEXT_PATTERN)]
Scalar = str | bool | int | float
Value = Annotated[
    Scalar | Annotated[list[Scalar], Field(min_length=1, max_length=VALUES_MAX)], BeforeValidator(_comparable)
]
VariantIndex = Annotated[int, Field(ge=0)]
Description = Annotated[str, Field(max_length=DESCRIPTION_CHARS_MAX, pattern=TEXT_PATTERN)]
VariableName = Annotated[str, Field(max_length=NAME_CHARS_MAX, pattern=VARIABLE_PATTERN)]
Weight = Annotated[
    float,
    Field(ge=0, le=WEIGHT_MAX, allow_inf_nan=False, description="Share of the sessions, of any sum; 0 is off."),
    # 50 and 50.0 are one weight: an identical body must not become a new version.
    PlainSerializer(_share),
]
Seed = Annotated[
    str, Field(max_length=NAME_CHARS_MAX, pattern=TEXT_PATTERN, description="Hashed with the key; hash_version 2 only.")
]
Traffic = Annotated[
    float,
    Field(
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="Percent of the sessions that take part, the rest get the first variant; hash_version 2 only.",
    ),
    PlainSerializer(_share),
]


class Part(BaseModel):
    """A part of the document: immutable, of exact types, without unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Variant(Part):
    """One arm of a config: the model to use, and its share of the sessions."""

    model: Name
    weight: Weight


class IndividualTarget(Part):
    """Sends the sessions whose context has exactly ``value`` in ``field`` to one variant."""

    field: Name
    value: Annotated[Scalar, BeforeValidator(_single)]
    variant_index: VariantIndex = Field(alias="variantIndex")


class Condition(Part):
    """One comparison of a context field; a session without the field fails it."""

    field: Name
    operator: Operator
    value: Value

    @model_validator(mode="after")
    def _value_fits_operator(self) -> Self:
        is_list = isinstance(self.value, list)
        if self.operator in LIST_OPERATORS:
            fits, wanted = is_list, "a list"
        elif self.operator in TEXT_OPERATORS:
            fits, wanted = isinstance(self.value, str), "a string"
        else:
            fits, wanted = not is_list, "a single value"
        if not fits:
            raise refusal(Problem("value", f"operator {self.operator} needs {wanted}, got {shown(self.value)}"))
        return self


class Rule(Part):
    """Sends the sessions that meet every condition to one variant."""

    conditions: list[Condition] = Field(max_length=CONDITIONS_MAX)
    variant_index: VariantIndex = Field(alias="variantIndex")


class Targeting(Part):
    """Who gets a given variant whatever the weights say: individual targets first, then rules, each in order."""

    enabled: bool = True
    individual_targets: list[IndividualTarget] = Field(alias="individualTargets", default=[], max_length=TARGETS_MAX)
    rules: list[Rule] = Field(default=[], max_length=RULES_MAX)

    def variant_indexes(self) -> list[tuple[str, int]]:
        """Return every variant index named here, each with the path to it."""
        named: list[tuple[str, Sequence[IndividualTarget | Rule]]] = [
            ("individualTargets", self.individual_targets),
            ("rules", self.rules),
        ]
        return [
            (f"{field}[{position}].variantIndex", entry.variant_index)
            for field, entries in named
            for position, entry in enumerate(entries)
        ]


VariantList = Annotated[list[Variant], Field(min_length=1, max_length=VARIANTS_MAX)]
VariantObject = Annotated[dict[Name, Variant], Field(min_length=1, max_length=VARIANTS_MAX)]
Variants = Annotated[
    Annotated[VariantList, Tag(LIST_FORM)] | Annotated[VariantObject, Tag(OBJECT_FORM)], Discriminator(_form)
]


class Resource(Part):
    """What has a key, and versions that the server counts: one that is given, as in a served config, is not obeyed.

    ``description`` and ``tags`` are for people: clients are not served them.
    """

    key: Name
    version: Annotated[int, Field(ge=1, le=VERSION_MAX)] | None = None
    description: Description = Field(default="", exclude_if=_is_empty)
    tags: list[Name] = Field(default=[], max_length=TAGS_MAX, exclude_if=_is_empty)

    @model_validator(mode="after")
    def _tags_differ(self) -> Self:
        problems = [
            Problem(f"tags[{index}]", f"duplicate tag {tag!r}, first in tags[{first}]")
            for index, tag, first in _repeats(self.tags)
        ]
        if problems:
            raise refusal(*problems)
        return self


class Config(Resource):
    """A model experiment: its variants, in the form and order given, who is targeted, and how sessions are dealt.

    ``hash_version`` 2 makes tests independent of each other; only with it ``seed`` (another one deals anew) and
    ``traffic`` (the percent of sessions that take part; the rest get the first variant) can be given, since published
    clients know neither. ``sticky_by`` says what keeps its variant. ``rollout`` has the weights that are still to come.
    """

    variants: Variants
    targeting: Targeting | None = None
    hash_version: HashVersion = Field(default=1, exclude_if=_is_one)
    seed: Seed = Field(default="", exclude_if=_is_empty)
    traffic: Traffic = Field(default=100.0, exclude_if=_is_all)
    sticky_by: StickyBy = Field(default="session", exclude_if=_is_session)
    rollout: Rollout | None = None

    def weights(self) -> list[float]:
        """Return the variants' weights, in the order of the walk."""
        variants = self.variants.values() if isinstance(self.variants, dict) else self.variants
        return [variant.weight for variant in variants]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        problems = [
            *_weight_problems(self.weights()),
            *self._duplicate_models(),
            *self._stray_indexes(),
            *self._unknown_to_version_1(),
            *self._misfit_steps(),
        ]
        if problems:
            raise refusal(*problems)
        return self

    def _misfit_steps(self) -> list[Problem]:
        found = self.rollout.problems(len(self.variants)) if self.rollout else []
        return [Problem(f"rollout.{problem.path}", problem.message) for problem in found]

    def _unknown_to_version_1(self) -> list[Problem]:
        if self.hash_version != 1:
            return []
        given = {"seed": (self.seed, ""), "traffic": (_share(self.traffic), 100)}
        return [
            Problem(field, f"needs hash_version: 2, since hash_version 1 knows no {field}; got {shown(value)}")
            for field, (value, default) in given.items()
            if value != default
        ]

    def _duplicate_models(self) -> list[Problem]:
        if isinstance(self.variants, dict):
            return []
        advice = (
            "in list form the model is the variant's key, so give the variants names: variants: {name: {model, weight}}"
        )
        return [
            Problem(f"variants[{index}].model", f"duplicate variant {model!r}, first in variants[{first}]; {advice}")
            for index, model, first in _repeats(variant.model for variant in self.variants)
        ]

    def _stray_indexes(self) -> list[Problem]:
        count = len(self.variants)
        return [
            Problem(f"targeting.{path}", f"must be < {count}, the number of variants, got {index}")
            for path, index in (self.targeting.variant_indexes() if self.targeting else ())
            if index >= count
        ]


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
            for index, name, first in _repeats(self.variables)
        ]
        if problems:
            raise refusal(*problems)
        return self


class PromptVariant(Part):
    """One arm of a prompt test: a prompt, at a fixed version or at its latest."""

    prompt_key: Name
    prompt_version: Annotated[int, Field(ge=1, le=VERSION_MAX)] | None = None
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
        problems = _weight_problems(self.weights()) + [
            Problem(f"variants[{index}].prompt_key", f"duplicate variant {key!r}, first in variants[{first}]")
            for index, (key, _), first in _repeats(prompts)
        ]
        if problems:
            raise refusal(*problems)
        return self


class Price(Resource):
    """What calls to a model cost this project, in the place of public prices: from one day (UTC) through another.

    ``model`` and ``provider`` are names, whatever their case, in which ``*`` stands for any text and ``?`` for any
    character; without a provider it is any. ``replaces_reported``: it goes before a cost that the client reports, too.
    """

    model: Name
    provider: Name | None = None
    from_day: Day = Field(alias="from")
    to_day: Day | None = Field(alias="to", default=None)
    usd_per_million: TokenPrices | None = None
    usd_per_request: Usd | None = None
    replaces_reported: bool = Field(default=False, exclude_if=_is_false)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        problems = []
        if self.usd_per_million is None and self.usd_per_request is None:
            problems.append(Problem("", "needs usd_per_million, usd_per_request, or both"))
        if self.to_day is not None and self.to_day < self.from_day:
            problems.append(Problem("to", f"must not be before from ({self.from_day}), got {self.to_day}"))
        if problems:
            raise refusal(*problems)
        return self


class RegistryDocument(Part):
    """What one ``apply`` defines; what it does not name stays as it is."""

    configs: list[Config] = Field(default=[], max_length=RESOURCES_MAX)
    prompts: list[Prompt] = Field(default=[], max_length=RESOURCES_MAX)
    prompt_ab_tests: list[PromptTest] = Field(default=[], max_length=RESOURCES_MAX)
    prices: list[Price] = Field(default=[], max_length=PRICES_MAX)

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Self:
        lists: dict[str, Sequence[Resource]] = {
            "configs": self.configs,
            "prompts": self.prompts,
            "prompt_ab_tests": self.prompt_ab_tests,
            "prices": self.prices,
        }
        problems = [
            Problem(f"{name}[{index}].key", f"duplicate key {key!r}, first in {name}[{first}]")
            for name, resources in lists.items()
            for index, key, first in _repeats(resource.key for resource in resources)
        ]
        if problems:
            raise refusal(*problems)
        return self


def _weight_problems(weights: Sequence[float]) -> list[Problem]:
    if any(weights):
        return []
    return [Problem("variants", f"at least one weight must be > 0, got 0 for {_all(len(weights))}")]


def _all(count: int) -> str:
    return "the only variant" if count == 1 else f"all {count} variants"


def _repeats(items: Iterable[T]) -> list[tuple[int, T, int]]:
    """Return each item seen before: its place, itself, and the place where it stood first."""
    first: dict[T, int] = {}
    repeats = []
    for index, item in enumerate(items):
        if item in first:
            repeats.append((index, item, first[item]))
        else:
            first[item] = index
    return repeats
