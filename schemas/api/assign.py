"""``POST /assign``: its request and its answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schemas.api.problems import Problem, refusal, shown

Identifier = Annotated[str, Field(min_length=1, max_length=10_000)]


def is_comparable(value: object) -> bool:
    """Return whether a condition can hold for the value: a scalar, or a list of them. Nothing deeper is looked into."""
    if isinstance(value, list):
        return all(isinstance(item, str | int | float) for item in value)
    return isinstance(value, str | int | float)


def _comparable(context: dict[str, Any]) -> dict[str, Any]:
    problems = [
        Problem(name, f"must be a string, a number, true or false, or a list of these, got {shown(value)}")
        for name, value in context.items()
        if value is not None and not is_comparable(value)
    ]
    if problems:
        raise refusal(*problems)
    return context


Context = Annotated[dict[str, Any], AfterValidator(_comparable)]


class AssignRequest(BaseModel):
    """Whose variant is asked for, and of which config."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "config_key": "support-agent",
                    "session_id": "conversation-1",
                    "customer_id": "user-42",
                    "context": {"plan": "pro"},
                }
            ]
        },
    )

    config_key: Identifier
    session_id: Identifier
    customer_id: Annotated[Identifier | None, Field(description="The end user, for targeting and for stickiness.")] = (
        None
    )
    context: Annotated[
        Context | None,
        Field(description="What targeting rules go by. It goes before the headers X-Fallom-Context-*."),
    ] = None
    request_id: Annotated[
        Identifier | None,
        Field(
            description="Of a config that is sticky by request: the same id gets the same variant; a new one if absent."
        ),
    ] = None
    version: Annotated[
        int | None, Field(ge=1, le=2**31 - 1, description="A version of the config; the latest if absent.")
    ] = None
    record: Annotated[bool, Field(description="Store that the session was given this variant: an exposure.")] = True


class AssignAnswer(BaseModel):
    """The variant of one session, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "config_key": "support-agent",
                    "config_version": 3,
                    "variant_index": 1,
                    "variant_key": "gpt-4o-mini",
                    "model": "gpt-4o-mini",
                    "reason": "weight",
                    "recorded": True,
                }
            ]
        }
    )

    config_key: str
    config_version: int
    variant_index: Annotated[int, Field(ge=0, description="The variant's place in the config.")]
    variant_key: Annotated[str, Field(description="Its name, or its model where the variants have none.")]
    model: str
    reason: Literal["individual_target", "rule", "weight", "outside_traffic"]
    recorded: Annotated[
        bool, Field(description="Whether the exposure is on disk; false where it was not asked for or can't be now.")
    ]
    request_id: Annotated[
        str | None, Field(description="Of a config that is sticky by request: what the variant goes by.")
    ] = None
