"""An OpenFeature provider: a config is a flag, its value the model. It asks no server: it assigns as ``models`` does.

    from openfeature import api
    from openfeature.evaluation_context import EvaluationContext

    fallom.init()
    api.set_provider(FallomProvider())
    context = EvaluationContext("session-1", {"customerId": "user-42", "plan": "pro"})
    model = api.get_client().get_string_value("my-agent", "gpt-4o-mini", context)

It takes ``openfeature-sdk``: ``pip install 'fallom-sdk[openfeature]'``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagMetadata, FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from fallom import models, runtime

__all__ = ["FallomProvider"]

READY_TIMEOUT_S = 2.0
_REASONS = {
    "weight": Reason.SPLIT,
    "individual_target": Reason.TARGETING_MATCH,
    "rule": Reason.TARGETING_MATCH,
    "outside_traffic": Reason.STATIC,
}
T = TypeVar("T")


class FallomProvider(AbstractProvider):
    """Evaluates configs as flags of texts; the targeting key is the session.

    ``customerId`` of the context is the customer, ``requestId`` the request, and all of it what rules go by. What a
    session is given is reported, and spans that follow in this context belong to the session, as with ``models.get``.

    >>> provider = FallomProvider()
    >>> provider.resolve_string_details("my-agent", "mine", EvaluationContext("session-1")).value
    'mine'
    """

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata("fallom")

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002 - the signature is OpenFeature's
        """Wait for the first configs, READY_TIMEOUT_S at most: OpenFeature calls this once, before it evaluates."""
        models.ready(READY_TIMEOUT_S)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Return the model of the session, else the default and why."""
        context = evaluation_context or EvaluationContext()
        session_id = context.targeting_key
        if not session_id:
            message = "the targeting key, which is the session's id, is missing"
            return FlagResolutionDetails(default_value, ErrorCode.TARGETING_KEY_MISSING, message, Reason.ERROR)
        attributes = dict(context.attributes)
        assignment = models.assign(
            flag_key,
            session_id,
            fallback=default_value,
            customer_id=_text(attributes.get("customerId")),
            context=attributes,
            request_id=_text(attributes.get("requestId")),
        )
        if assignment.reason == "fallback":
            message = f"config {flag_key!r} is not known, {runtime.current().why_unknown()}"
            return FlagResolutionDetails(default_value, ErrorCode.FLAG_NOT_FOUND, message, Reason.ERROR)
        metadata: FlagMetadata = {"variant_index": assignment.variant_index, "reason": assignment.reason}
        reason = _REASONS[assignment.reason]
        return FlagResolutionDetails(
            assignment.model, reason=reason, variant=assignment.variant_key, flag_metadata=metadata
        )

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002 - likewise
    ) -> FlagResolutionDetails[bool]:
        """Return the default: a config's value is a text."""
        return _mismatch(flag_key, default_value)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002 - likewise
    ) -> FlagResolutionDetails[int]:
        """Return the default: a config's value is a text."""
        return _mismatch(flag_key, default_value)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002 - likewise
    ) -> FlagResolutionDetails[float]:
        """Return the default: a config's value is a text."""
        return _mismatch(flag_key, default_value)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002 - likewise
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """Return the default: a config's value is a text."""
        return _mismatch(flag_key, default_value)


def _mismatch(flag_key: str, default_value: T) -> FlagResolutionDetails[T]:
    message = f"config {flag_key!r} is a flag of texts: ask for a string"
    return FlagResolutionDetails(default_value, ErrorCode.TYPE_MISMATCH, message, Reason.ERROR)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
