"""OpenFeature's remote evaluation protocol, 0.3: its requests and answers (github.com/open-feature/protocol)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

FlagReason = Literal["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"]
ErrorCode = Literal["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL"]
Metadata = dict[str, bool | str | int | float]


class EvaluationContext(BaseModel):
    """Who asks: ``targetingKey`` is the session, ``customerId`` the customer; the rest is what rules go by."""

    model_config = ConfigDict(extra="allow")

    targeting_key: Annotated[str, Field(alias="targetingKey", min_length=1)]


class EvaluationRequest(BaseModel):
    """The body of both calls."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"context": {"targetingKey": "conversation-1", "customerId": "user-42", "plan": "pro"}},
            ]
        }
    )

    context: EvaluationContext


_FLAG: JsonDict = {
    "key": "support-agent",
    "reason": "SPLIT",
    "variant": "challenger",
    "value": "gpt-4o-mini",
    "metadata": {"version": 3, "variant_index": 1, "reason": "weight"},
}


class EvaluationSuccess(BaseModel):
    """One flag: the config of that key, whose value is the session's model."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FLAG]})

    key: str
    reason: FlagReason
    variant: str
    value: str
    metadata: Annotated[Metadata, Field(examples=[{"version": 3, "variant_index": 1, "reason": "weight"}])]


class EvaluationFailure(BaseModel):
    """A flag that can't be evaluated."""

    key: str
    errorCode: ErrorCode  # noqa: N815 # the protocol's name
    errorDetails: str  # noqa: N815 # the protocol's name


class FlagNotFound(BaseModel):
    """There is no config of that key."""

    key: str
    errorCode: Literal["FLAG_NOT_FOUND"]  # noqa: N815 # the protocol's name
    errorDetails: str  # noqa: N815 # the protocol's name


class BulkEvaluationSuccess(BaseModel):
    """All flags."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"flags": [_FLAG], "metadata": {"flags": 1}}]})

    flags: list[EvaluationSuccess | EvaluationFailure]
    metadata: Metadata


class BulkEvaluationFailure(BaseModel):
    """A request that can't be answered as a whole."""

    errorCode: ErrorCode  # noqa: N815 # the protocol's name
    errorDetails: str  # noqa: N815 # the protocol's name


class GeneralError(BaseModel):
    """What is not the request's fault."""

    errorDetails: str  # noqa: N815 # the protocol's name


def request_schema() -> dict[str, Any]:
    """Return the schema of both calls' body, without references."""
    schema = EvaluationRequest.model_json_schema(by_alias=True)
    schema["properties"]["context"] = schema.pop("$defs")["EvaluationContext"]
    return schema
