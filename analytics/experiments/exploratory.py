"""Figures that nobody planned to decide by: none is a primary or a guardrail, and all are corrected alike."""

from collections.abc import Sequence
from dataclasses import replace

from analytics.experiments.metrics import METRICS, QuantileMetric, RatioMetric
from analytics.experiments.settings import MetricSettings, Settings


def exploratory(settings: Settings, metrics: Sequence[RatioMetric | QuantileMetric] = METRICS) -> Settings:
    """Return the settings with every figure as a secondary one, without a margin."""
    declared = (replace(metric, role="secondary", margin=None) for metric in settings.metrics)
    others = (MetricSettings(name, role="secondary") for name in dict.fromkeys(metric.name for metric in metrics))
    return replace(settings, metrics=(*declared, *others))
