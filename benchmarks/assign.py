"""Assignments a second of one core: one by one, as a client makes them, and many at once, as the analysis does.

    python -m benchmarks.assign [--sessions 200000] [--rounds 5]

CPU time of the best of several rounds counts: the rest is other programs' doing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from analytics.experiments.assignments import assign_many
from fallom.assignment import assign

EVEN = {"key": "agent", "version": 1, "variants": [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}]}
NAMED = {**EVEN, "variants": {f"arm-{number}": {"model": f"m{number}", "weight": 20} for number in range(5)}}
RULE = {"conditions": [{"field": "plan", "operator": "eq", "value": "enterprise"}], "variantIndex": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    "two variants": EVEN,
    "two variants, hash_version 2": {**EVEN, "hash_version": 2},
    "five named variants": NAMED,
    "a rule by plan": {**EVEN, "targeting": {"individualTargets": [], "rules": [RULE]}},
}


def rate(work: Callable[[], object], count: int, rounds: int) -> float:
    """Return the most that was done in a CPU second."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return count / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    names = [f"session-{number}" for number in range(arguments.sessions)]
    context = {"plan": "pro"}
    columns = {"plan": ["pro"] * len(names)}
    print(f"{'config':32} {'assign':>12} {'assign_many':>12}   assignments/s of a core")
    for name, config in CONFIGS.items():

        def one_by_one(config: dict[str, Any] = config) -> None:
            for session_id in names:
                assign(config, session_id, context=context)

        def at_once(config: dict[str, Any] = config) -> None:
            assign_many(config, names, context=columns)

        rates = [rate(work, len(names), arguments.rounds) for work in (one_by_one, at_once)]
        print(f"{name:32} {rates[0]:12,.0f} {rates[1]:12,.0f}")


if __name__ == "__main__":
    main()
