"""A model config: its variants, who is targeted, and how sessions are dealt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, Tag, model_validator

from schemas.api.problems import LIST_FORM, OBJECT_FORM, TEXT_PATTERN, Problem, refusal, shown
from schemas.api.resource import (
    NAME_CHARS_MAX,
    VARIANTS_MAX,
    Name,
    Part,
    Resource,
    Weight,
    is_empty,
    repeats,
    share,
    weight_problems,
)
from schemas.api.rollout import Rollout

VALUE_CHARS_MAX = 4_096
TARGETS_MAX = 10_000
RULES_MAX = 1_000
CONDITIONS_MAX = 100
VALUES_MAX = 10_000
INTEGER_MAX = 2**53 - 1  # beyond it JavaScript clients would compare rounded numbers

Operator = Literal["eq", "neq", "in", "nin", "contains", "startsWith", "endsWith"]
LIST_OPERATORS = frozenset({"in", "nin"})
TEXT_OPERATORS = frozenset({"contains", "startsWith", "endsWith"})
HashVersion = Literal[1, 2]
StickyBy = Literal["session", "customer", "request"]


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


# What a default is left out by: a body that spells it out is the same body.
def _is_one(value: object) -> bool:
    return value == 1


def _is_all(value: object) -> bool:
    return value == 100


def _is_session(value: object) -> bool:
    return value == "session"


Scalar = str | bool | int | float
Value = Annotated[
    Scalar | Annotated[list[Scalar], Field(min_length=1, max_length=VALUES_MAX)], BeforeValidator(_comparable)
]
VariantIndex = Annotated[int, Field(ge=0)]
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
    PlainSerializer(share),
]


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


class Config(Resource):
    """A model experiment: its variants, in the form and order given, who is targeted, and how sessions are dealt.

    ``hash_version`` 2 makes tests independent of each other; only with it ``seed`` (another one deals anew) and
    ``traffic`` (the percent of sessions that take part; the rest get the first variant) can be given, since published
    clients know neither. ``sticky_by`` says what keeps its variant. ``rollout`` has the weights that are still to come.
    """

    variants: Variants
    targeting: Targeting | None = None
    hash_version: HashVersion = Field(default=1, exclude_if=_is_one)
    seed: Seed = Field(default="", exclude_if=is_empty)
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
            *weight_problems(self.weights()),
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
        given = {"seed": (self.seed, ""), "traffic": (share(self.traffic), 100)}
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
            for index, model, first in repeats(variant.model for variant in self.variants)
        ]

    def _stray_indexes(self) -> list[Problem]:
        count = len(self.variants)
        return [
            Problem(f"targeting.{path}", f"must be < {count}, the number of variants, got {index}")
            for path, index in (self.targeting.variant_indexes() if self.targeting else ())
            if index >= count
        ]
