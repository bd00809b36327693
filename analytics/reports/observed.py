"""A comparison without an experiment in the shape of results, so that all that tells of these tells of it, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def as_results(compared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of ``GET /compare`` as results: nobody was assigned anything, so that arms have no weight."""
    of_config = "" if compared["config"] is None else f", calls of {compared['config']}"
    return {
        **compared,
        "experiment": {
            "key": f"compare by {compared['by']}{of_config}",
            "status": "observational",
            "hypothesis": None,
            "control": compared["control"],
            "started_at": compared["from"],
            "ended_at": compared["to"],
            "as_of": compared["as_of"],
        },
        "variants": [{"model": None, "weight": None, **arm} for arm in compared["variants"]],
    }
