"""The estimates of the vectors' metrics, from their published moments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from analytics.experiments.statistics import Estimate, RatioSums, estimate_ratio

FOLDER = Path(__file__).parent / "analytics" / "experiments" / "statistics" / "vectors"
MAIN: dict[str, Any] = json.loads((FOLDER / "a_llm_ab" / "main.json").read_text())
METRICS: dict[str, Any] = MAIN["metrics"]


def variants(metric: str) -> tuple[Estimate, Estimate]:
    """Return the control's and the treatment's estimate."""
    control, treatment = (estimate_ratio(sums) for sums in sums_of(metric))
    return control, treatment


def sums_of(metric: str) -> tuple[RatioSums, RatioSums]:
    """Return the control's and the treatment's sums."""
    moments = METRICS[metric]["moments"]
    names = ("k", "sx", "sxx", "sn", "snn", "sxn")
    control, treatment = (RatioSums(*(moments[arm][name] for name in names)) for arm in ("control", "treatment"))
    return control, treatment
