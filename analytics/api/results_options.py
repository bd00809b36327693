"""What a question for results may choose, and the answer to a choice of what there is not: a list of what there is."""

from typing import Any

from analytics.api.errors import ApiError

_LISTED_MAX = 50


def chosen(results: dict[str, Any], metrics: str | None) -> dict[str, Any]:
    """Return the results with the metrics of these names, comma-separated; with all where None.

    Which of them are shown changes nothing of what they say: what is corrected for their number is corrected for all.
    """
    if metrics is None:
        return results
    names = dict.fromkeys(entry["name"] for entry in results["metrics"])
    wanted = {name.strip() for name in metrics.split(",")}
    for name in sorted(wanted - names.keys()):
        raise ApiError(
            400, "invalid_argument", f"metrics: {name!r} is none of this experiment's: {_listed(names)}", "metrics"
        )
    return {**results, "metrics": [entry for entry in results["metrics"] if entry["name"] in wanted]}


def _listed(names: dict[str, None]) -> str:
    shown = ", ".join(list(names)[:_LISTED_MAX])
    return shown if len(names) <= _LISTED_MAX else f"{shown} and {len(names) - _LISTED_MAX} more"
