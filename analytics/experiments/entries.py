"""All entries of an experiment's results: every metric's figures by variant, compared, corrected for their number."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from analytics.experiments.adjusted_entries import adjusted_entry
from analytics.experiments.call_quantiles import CallQuantiles
from analytics.experiments.corrections import conclude
from analytics.experiments.covariates import Covariates
from analytics.experiments.custom_metrics import CustomKey, CustomMetric, CustomMetrics
from analytics.experiments.estimates import (
    custom_entries,
    custom_figure,
    quantile_entries,
    quantile_figures,
    ratio_entry,
    ratio_figure,
)
from analytics.experiments.figures import Figure
from analytics.experiments.measures import SessionMeasures, capped
from analytics.experiments.metrics import METRICS, QuantileMetric, RatioMetric
from analytics.experiments.settings import Settings
from analytics.experiments.statistics import arm_weights
from analytics.experiments.sums import ArmSums
from analytics.experiments.verdicts import Verdicts

_Metrics = Sequence[RatioMetric | QuantileMetric]


class Entries:
    """Makes the entries of one experiment from its measures; ``keys`` are those of the variants.

    Without ``covariates`` none of those that are declared is looked at.
    """

    def __init__(
        self,
        measures: SessionMeasures,
        keys: Sequence[str],
        calls: Sequence[int],
        verdicts: Verdicts,
        *,
        metrics: _Metrics = METRICS,
        covariates: Covariates | None = None,
    ) -> None:
        self._measures = measures
        self._keys = keys
        self._metrics = metrics
        ratios = (metric for metric in metrics if isinstance(metric, RatioMetric))
        self._ratios = tuple(_with_declared_cap(metric, verdicts.settings) for metric in ratios)
        self._quantiles = CallQuantiles(measures, calls)
        self._custom = CustomMetrics(measures, verdicts.settings.metrics)
        self._covariates = covariates
        self._customs = [*self._custom.numbers(), *self._custom.categories()]
        # Known before the first interval is made, since its level depends on it.
        primaries = sum(
            figure.role == "primary" and figure.direction != "neutral" for figure in self._figures(verdicts.settings)
        )
        self._verdicts = replace(verdicts, primaries=max(1, primaries))

    def all(self) -> list[dict[str, Any]]:
        """Return all entries in the order of the metrics, then those of custom metrics, with their conclusions."""
        ratios = self._ratio_entries()
        made: list[dict[str, Any]] = []
        for metric in self._metrics:
            if isinstance(metric, QuantileMetric):
                made += quantile_entries(metric, self._quantiles, self._keys, self._verdicts)
            else:
                made += next(ratios)
        for custom in self._customs:
            made += custom_entries(custom, self._custom, self._keys, self._verdicts)
            made += self._adjusted_custom(custom)
        conclude(made, self._verdicts)
        return made

    def custom_weights(self) -> dict[CustomKey, list[list[float]]]:
        """Return the weights of the epochs in each custom metric, or value of one, by arm."""
        return {
            (custom.name, custom.category): arm_weights(
                [[sums.sessions for sums in arm.epochs] for arm in self._custom.arms(custom)], self._verdicts.control
            )
            for custom in self._customs
        }

    def _ratio_entries(self) -> Iterator[list[dict[str, Any]]]:
        """Yield for each ratio metric its entry and, where it has a cap, that of its capped mean."""
        with_cap = [metric for metric in self._ratios if metric.cap is not None]
        caps = dict(zip(with_cap, self._measures.caps(with_cap), strict=True))
        cut = {metric: capped(metric, cap) for metric, cap in caps.items() if cap is not None}
        wanted = [*self._ratios, *cut.values()]
        sums = dict(zip(wanted, self._measures.ratios(wanted), strict=True))
        for metric in self._ratios:
            made = [ratio_entry(metric, sums[metric], self._keys, self._verdicts)]
            made += self._adjusted_ratio(metric, sums[metric])
            if metric in cut:
                cap = {"quantile": metric.cap, "value": caps[metric]}
                made.append(ratio_entry(cut[metric], sums[cut[metric]], self._keys, self._verdicts, cap=cap))
            yield made

    def _adjusted_ratio(self, metric: RatioMetric, sums: Sequence[ArmSums]) -> Iterator[dict[str, Any]]:
        """Yield the entry beside a ratio's, less what the declared covariate foresaw."""
        figure = ratio_figure(metric, self._verdicts.settings)
        covariate = self._verdicts.settings.of(metric.name, metric.statistic, metric.estimand).covariate
        if covariate is None or self._covariates is None:
            return
        values = self._covariates.of_ratio(metric, covariate)
        made = adjusted_entry(figure, metric.unit, sums, values, self._keys, self._verdicts)
        if made is not None:
            yield made

    def _adjusted_custom(self, metric: CustomMetric) -> Iterator[dict[str, Any]]:
        """Yield likewise that beside a custom metric's of numbers, or a share's."""
        figure = custom_figure(metric, self._verdicts.settings)
        declared = self._verdicts.settings.of(*figure.identity)
        if declared.covariate is None or metric.category is not None or self._covariates is None:
            return
        missing_is_zero = self._custom.counts_missing_as_zero(metric.name)
        values = self._covariates.of_custom(
            metric.name, declared.covariate, is_share=declared.type == "proportion", missing_is_zero=missing_is_zero
        )
        unit = "ratio" if metric.is_share else None
        arms = self._custom.arms(metric)
        made = adjusted_entry(figure, unit, arms, values, self._keys, self._verdicts, custom=True)
        if made is not None:
            yield made

    def _figures(self, settings: Settings) -> Iterator[Figure]:
        for ratio in self._ratios:
            yield ratio_figure(ratio, settings)
        for metric in self._metrics:
            if isinstance(metric, QuantileMetric):
                yield from quantile_figures(metric, settings)
        for custom in self._customs:
            yield custom_figure(custom, settings)


def _with_declared_cap(metric: RatioMetric, settings: Settings) -> RatioMetric:
    """Return the metric with the cap that the experiment declares; one a call, or of a share, can have none."""
    if metric.estimand != "per_session" or metric.statistic != "mean":
        return metric
    declared = settings.of(metric.name, metric.statistic, metric.estimand).cap
    return metric if declared is None else replace(metric, cap=declared)
