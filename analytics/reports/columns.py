"""The columns of a comparison, as a file or a data frame has them: names, types and meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from analytics.reports.comparisons import Compared

Kind = Literal["text", "number", "count", "flag", "moment"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: where its value is found in a comparison's row of the results."""

    name: str
    kind: Kind
    meaning: str
    value: Callable[[Compared], Any]


def _of(part: str, path: str) -> Callable[[Compared], Any]:
    """Return what reads a place such as ``lift.ci.0`` of the results, the entry, an arm or the comparison."""
    names = [int(name) if name.isdigit() else name for name in path.split(".")]

    def read(row: Compared) -> Any:
        found: Any = getattr(row, part)
        for name in names:
            if found is None:
                return None
            found = found.get(name) if isinstance(found, Mapping) else found[name]
        return found

    return read


def _column(kind: Kind, name: str, place: str, meaning: str) -> Column:
    part, _, path = place.partition(".")
    return Column(name, kind, meaning, _of(part, path))


COLUMNS: tuple[Column, ...] = (
    _column("text", "experiment", "results.experiment.key", "the experiment's key"),
    _column("moment", "as_of", "results.experiment.as_of", "when the figures were true"),
    Column("segment", "text", "of which sessions, where the results are by segment", lambda row: row.segment),
    _column("text", "role", "entry.role", "`primary`, `guardrail`, `secondary`; empty for a segment"),
    _column("text", "metric", "entry.name", "the metric's name"),
    _column("text", "statistic", "entry.statistic", "`mean`, `ratio`, `proportion`, `p95` …"),
    _column("text", "estimand", "entry.estimand", "`per_call`, `per_session`, `per_successful_session`"),
    _column("text", "category", "entry.category", "the value of a text that is counted"),
    _column("text", "covariate", "entry.covariate", "what CUPED took out of the figure"),
    _column("text", "unit", "entry.unit", "`ms`, `USD`, `tokens`, `ratio` …"),
    _column("text", "direction", "entry.direction", "which way is better"),
    _column("text", "vs", "comparison.vs", "the control"),
    _column("text", "variant", "comparison.variant", "the treatment"),
    _column("text", "status", "comparison.status", "`ok`, or why there is nothing to compare"),
    Column("verdict", "text", "what the comparison says, in a word", lambda row: row.verdict.word),
    _column("number", "control_estimate", "control.estimate", "the control's figure"),
    _column("number", "control_ci_low", "control.ci.0", "the lower end of its interval"),
    _column("number", "control_ci_high", "control.ci.1", "the upper end"),
    _column("count", "control_sessions", "control.sessions", "the sessions that it rests on"),
    _column("number", "control_coverage", "control.coverage", "the share whose value is known"),
    _column("number", "variant_estimate", "treatment.estimate", "the treatment's figure"),
    _column("number", "variant_ci_low", "treatment.ci.0", "the lower end of its interval"),
    _column("number", "variant_ci_high", "treatment.ci.1", "the upper end"),
    _column("count", "variant_sessions", "treatment.sessions", "the sessions that it rests on"),
    _column("number", "variant_coverage", "treatment.coverage", "the share whose value is known"),
    _column("number", "difference", "comparison.difference.estimate", "treatment less control"),
    _column("number", "difference_se", "comparison.difference.se", "its standard error"),
    _column("number", "difference_ci_low", "comparison.difference.ci.0", "the lower end of its interval"),
    _column("number", "difference_ci_high", "comparison.difference.ci.1", "the upper end"),
    _column("number", "lift", "comparison.lift.estimate", "the difference as a share of the control's figure"),
    _column("number", "lift_ci_low", "comparison.lift.ci.0", "the lower end of its interval"),
    _column("number", "lift_ci_high", "comparison.lift.ci.1", "the upper end"),
    _column("number", "p_value", "comparison.p_value", "of the experiment's inference"),
    _column("number", "p_value_adjusted", "comparison.p_value_adjusted", "corrected for the number of comparisons"),
    _column("number", "p_value_fixed", "comparison.p_value_fixed", "of one look at a planned end"),
    _column("flag", "significant", "comparison.significant", "whether a difference is shown"),
    _column("moment", "first_significant_at", "comparison.first_significant_at", "since when"),
    _column("flag", "enough_data", "comparison.enough_data", "whether there are sessions enough to conclude"),
    _column("flag", "coverage_comparable", "comparison.coverage_comparable", "whether values miss alike"),
    _column("number", "chance_to_beat", "comparison.bayes.chance_to_beat", "Bayes: the chance to be better"),
    _column("number", "expected_loss", "comparison.bayes.expected_loss", "Bayes: what shipping loses on average"),
    _column("number", "margin", "comparison.non_inferiority.margin", "of a guardrail: how much worse it may be"),
    _column("number", "non_inferiority_p_value", "comparison.non_inferiority.p_value", "that it is at most that worse"),
    _column("text", "non_inferiority", "comparison.non_inferiority.verdict", "`pass`, `fail`, `inconclusive`"),
    _column("number", "mde", "comparison.mde", "the least lift that such data find"),
    _column("number", "sessions_needed", "comparison.sessions_needed", "of both arms, to find the margin or 5 %"),
    _column("number", "days_remaining", "comparison.days_remaining", "until they are there"),
    _column("text", "method", "comparison.method", "how it was computed"),
)


def row_of(compared: Compared) -> Mapping[str, Any]:
    """Return a comparison's values by column."""
    return {column.name: column.value(compared) for column in COLUMNS}
