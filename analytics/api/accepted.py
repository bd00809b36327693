"""Which of several media types an ``Accept`` header prefers."""

from collections.abc import Sequence

from analytics.api.errors import ApiError


def accepted(header: str | None, offered: Sequence[str]) -> str:
    """Return the one of highest weight, of several the first that is offered; the first without a header.

    Raises ApiError, 406, where none is accepted.
    """
    ranges = [_range(part) for part in (header or "*/*").split(",") if part.strip()]
    weights = {media_type: _weight(media_type, ranges) for media_type in offered}
    best = max(offered, key=lambda media_type: weights[media_type])
    if weights[best] <= 0:
        raise ApiError(
            406, "not_acceptable", f"Accept must allow one of {', '.join(offered)}, got {header!r}", "Accept"
        )
    return best


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weight = 1.0
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                weight = float(parameter.removeprefix("q="))
            except ValueError:
                weight = 0.0
    return name, weight


def _weight(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of the narrowest range that has the type."""
    of_kind = media_type.partition("/")[0] + "/*"
    for wanted in (media_type, of_kind, "*/*"):
        weights = [weight for name, weight in ranges if name == wanted]
        if weights:
            return max(weights)
    return 0.0
