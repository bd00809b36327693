"""An answer of ``GET /experiments/{key}/results`` for tests of how results are told: a server's, for the vectors."""

import copy
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "analytics" / "reports" / "results.json"
HOSTILE = '=HYPERLINK("x")\n\x1b[31m<script>|`é\u202e'


def results() -> dict[str, Any]:
    """Return the answer, which may be changed."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def entry(of: dict[str, Any], name: str, statistic: str = "mean", estimand: str = "per_call") -> dict[str, Any]:
    """Return the entry of a figure."""
    return next(
        each
        for each in of["metrics"]
        if (each["name"], each["statistic"], each["estimand"]) == (name, statistic, estimand)
    )


def with_verdicts() -> dict[str, Any]:
    """Return the answer with one figure of each verdict."""
    found = results()
    better = entry(found, "latency_ms")["comparisons"][0]
    better["significant"] = True
    better["lift"] = {"estimate": -0.12, "ci": [-0.2, -0.04], "ci_method": "fieller"}
    holds = entry(found, "latency_ms", "p95")["comparisons"][0]
    holds["non_inferiority"]["verdict"] = "pass"
    breached = entry(found, "error_rate", "ratio")["comparisons"][0]
    breached["non_inferiority"]["verdict"] = "fail"
    return found


def with_three_arms() -> dict[str, Any]:
    """Return the answer with the treatment twice, the second time under another key."""
    found = results()
    for of in (found, *found["metrics"]):
        second = copy.deepcopy(of["variants"][1])
        second["key"] = "third"
        of["variants"].append(second)
    for each in found["metrics"]:
        again = copy.deepcopy(each["comparisons"][0])
        again["variant"] = "third"
        each["comparisons"].append(again)
    return found


def with_hostile_names() -> dict[str, Any]:
    """Return the answer with names that do harm where they are not escaped."""
    found = results()
    found["experiment"]["key"] = HOSTILE
    entry(found, "user_satisfaction", "mean", "per_session")["name"] = HOSTILE
    found["health"]["warnings"] = [{"code": "crossover", "message": f"{HOSTILE} is odd"}]
    for of in (found, *found["metrics"]):
        of["variants"][1]["key"] = HOSTILE
    for each in found["metrics"]:
        each["comparisons"][0]["variant"] = HOSTILE
    return found


def with_segments() -> dict[str, Any]:
    """Return the answer with one segment of a value and that of the rest, as ``?segment=customer`` gives them."""
    found = results()
    told = ("variant", "vs", "status", "difference", "lift", "p_value", "p_value_adjusted", "p_value_fixed", "method")
    metrics = [
        {name: value for name, value in each.items() if name != "role"}
        | {"comparisons": [{name: each["comparisons"][0][name] for name in told}]}
        for each in found["metrics"][:2]
    ]
    segment = {"is_rest": False, "values": 1, "variants": found["variants"], "metrics": metrics}
    found["segments"] = {
        "by": "customer",
        "exploratory": True,
        "segments": [segment | {"value": "acme"}, segment | {"value": None, "is_rest": True, "values": 7}],
    }
    return found
