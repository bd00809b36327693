"""Results of an experiment, as the product computes them from sums, for tests of what is told of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from analytics.experiments.comparisons import ArmEstimate, compare
from analytics.experiments.corrections import conclude
from analytics.experiments.figures import Figure, figure_of
from analytics.experiments.recommendation import recommend
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import RatioSums, estimate_ratio
from analytics.experiments.verdicts import Traffic, Verdicts

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD = Traffic(sessions=4000, sessions_per_day=100.0, calls_per_day=700.0, elapsed_days=40.0)
NO_MISMATCH = {"sequential_p": 1.0, "chi2_p": 0.4, "observed": [2000, 2000], "expected": [2000.0, 2000.0]}
RUNNING = Settings(n_star=100_000)


def results_of(
    *,
    latency: tuple[float, ...] = (1000, 1000),
    errors: tuple[float, ...] = (0.05, 0.05),
    settings: Settings = RUNNING,
    sessions: int = 2000,
    srm: dict[str, Any] | None = None,
    warnings: tuple[dict[str, Any], ...] = (),
    versions: tuple[int, ...] = (1,),
) -> dict[str, Any]:
    """Return the results of arms with these means, the control first."""
    ratio = {**NO_MISMATCH, "by_epoch": [], **(srm or {})}
    is_invalid = ratio["sequential_p"] < 0.01
    verdicts = Verdicts(settings, allowed=not is_invalid, traffic=OLD)
    figures = (
        (figure_of(settings, "latency_ms", "mean", "per_call", "lower_is_better"), latency),
        (figure_of(settings, "error_rate", "ratio", "per_call", "lower_is_better"), errors),
    )
    # Latencies vary so that arms that are alike can't be told to be so yet.
    spreads = (1.0, 0.2)
    entries = [_entry(*each, spread, sessions, verdicts) for each, spread in zip(figures, spreads, strict=True)]
    conclude(entries, verdicts)
    health = {"status": "invalid" if is_invalid else "ok", "srm": ratio, "warnings": list(warnings)}
    keys = "abcdefgh"[: len(latency)]
    return {
        "experiment": {
            "key": "checkout",
            "control": "a",
            "as_of": NOW.isoformat(),
            "config_version": max(versions),
            "config_versions": list(versions),
        },
        "health": health,
        "variants": [{"key": key, "weight": 1 / len(keys), "sessions": sessions} for key in keys],
        "metrics": entries,
        "recommendation": recommend(entries, health, verdicts),
    }


def _entry(
    figure: Figure, means: tuple[float, ...], spread: float, sessions: int, verdicts: Verdicts
) -> dict[str, Any]:
    arms = []
    for mean in means:
        squares = sessions * mean * mean + (sessions - 1) * (spread * means[0]) ** 2
        sums = RatioSums.for_mean(sessions, sessions * mean, squares)
        arms.append(ArmEstimate(estimate_ratio(sums), None, sessions, sessions, float(sessions), coverage=1.0))
    return {
        "name": figure.name,
        "statistic": figure.statistic,
        "estimand": figure.estimand,
        "role": figure.role,
        "direction": figure.direction,
        "unit": None,
        "comparisons": compare("abcdefgh"[: len(means)], arms, figure, verdicts, method="delta_cluster"),
    }
