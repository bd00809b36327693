"""An experiment: the config or prompt test that it looks at, how it is judged, its plan, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.api.covariate import FIRST_MESSAGE_LENGTH, Covariate
from schemas.api.problems import TEXT_PATTERN, Problem, refusal, shown
from schemas.api.resource import Name, Part, Resource, is_empty
from schemas.api.rollout import Moment, moment_text

TEXT_CHARS_MAX = 65_536
METRICS_MAX = 200
N_STAR_MAX = 1_000_000_000
ALPHA, POWER, N_STAR = 0.05, 0.8, 5_000

Inference = Literal["sequential", "fixed_horizon", "bayesian"]
MetricType = Literal["number", "proportion", "category"]
Statistic = Literal["mean", "ratio", "proportion", "p50", "p90", "p95", "p99", "capped_mean"]
Estimand = Literal["per_call", "per_session", "per_successful_session"]
Role = Literal["primary", "secondary", "guardrail"]
Direction = Literal["lower_is_better", "higher_is_better", "neutral"]
Missing = Literal["exclude", "zero"]
Status = Literal["planned", "running", "ended"]
Outcome = Literal["ship", "rollback", "no_difference", "inconclusive", "invalid"]

DIRECTIONS: Mapping[str, Direction] = {
    "latency_ms": "lower_is_better",
    "time_to_first_token_ms": "lower_is_better",
    "error_rate": "lower_is_better",
    "fallback_rate": "lower_is_better",
    "cost_usd": "lower_is_better",
    "input_tokens": "neutral",
    "output_tokens": "neutral",
    "total_tokens": "neutral",
    "calls_per_session": "neutral",
}
"""What is measured of every experiment, and which way is better where nothing is declared."""

GUARDRAILS = frozenset({"latency_ms", "error_rate", "fallback_rate"})
"""Those of which a figure is a guardrail where no role is declared."""


def _is_exclude(value: object) -> bool:
    return value == "exclude"


def _is_sequential(value: object) -> bool:
    return value == "sequential"


def _is_alpha(value: object) -> bool:
    return value == ALPHA


def _is_power(value: object) -> bool:
    return value == POWER


def _is_n_star(value: object) -> bool:
    return value == N_STAR


Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX, pattern=TEXT_PATTERN)]
Category = Annotated[str, Field(min_length=1, max_length=4_096, pattern=TEXT_PATTERN)]


class MetricDeclaration(Part):
    """What is declared of a metric's figures: all of the name, or those of one statistic, estimand or category.

    ``margin`` is relative to the control: 0.05 lets a guardrail be 5 % worse. ``cap`` is the quantile at which a
    session's value is cut for the capped mean. ``covariate`` is known of a session before it is assigned.
    """

    name: Name
    type: MetricType | None = None
    statistic: Statistic | None = None
    estimand: Estimand | None = None
    category: Category | None = None
    role: Role | None = None
    direction: Direction | None = None
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    cap: Annotated[float, Field(gt=0, lt=1)] | None = None
    missing: Missing = Field(default="exclude", exclude_if=_is_exclude)
    covariate: Covariate | None = None

    def covers(self, other: MetricDeclaration) -> bool:
        """Return whether each figure that ``other`` means is meant by this one."""
        mine = (self.statistic, self.estimand, self.category)
        others = (other.statistic, other.estimand, other.category)
        return self.name == other.name and all(own in (None, its) for own, its in zip(mine, others, strict=True))

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        problems = [
            *self._role_problems(),
            *self._margin_problems(),
            *self._type_problems(),
            *self._covariate_problems(),
        ]
        if self.cap is not None and self.statistic not in (None, "mean", "capped_mean"):
            problems.append(Problem("cap", f"is for means, and the statistic is {self.statistic}: leave it out"))
        if problems:
            raise refusal(*problems)
        return self

    def _role_problems(self) -> Iterator[Problem]:
        direction = self.direction or DIRECTIONS.get(self.name)
        if self.role in ("primary", "guardrail") and direction == "neutral":
            advice = "give it the direction lower_is_better or higher_is_better, or the role secondary"
            yield Problem("role", f"a {self.role} needs a better and a worse, and {self.name} is neutral: {advice}")

    def _margin_problems(self) -> Iterator[Problem]:
        if self.margin is None:
            return
        if self.margin > 1:
            yield Problem(
                "margin", f"must be <= 1, relative to the control (0.05: 5 % worse); got {shown(self.margin)}"
            )
        if self.role in ("primary", "secondary"):
            yield Problem("margin", f"is for guardrails, and the role is {self.role}: leave one of them out")
        elif self.role is None and self.name not in GUARDRAILS:
            yield Problem("margin", "is for guardrails: give the role guardrail, too")

    def _type_problems(self) -> Iterator[Problem]:
        if self.type is not None and self.name in DIRECTIONS:
            yield Problem("type", f"is for custom metrics, and {self.name} is measured: leave it out")
        if self.category is not None and self.type not in (None, "category"):
            yield Problem("category", f"is a value of a text, and the type is {self.type}: leave one of them out")
        if self.type in ("proportion", "category") and self.statistic not in (None, "proportion"):
            yield Problem(
                "statistic", f"must be proportion, or left out, for the type {self.type}; got {self.statistic}"
            )

    def _covariate_problems(self) -> Iterator[Problem]:
        if self.covariate is None:
            return
        if self.statistic not in (None, "mean", "ratio", "proportion"):
            yield Problem("covariate", f"is for means and shares, and the statistic is {self.statistic}: leave it out")
        if self.category is not None or self.type == "category":
            yield Problem("covariate", "is for numbers and shares, and this is a text: leave it out")


class Decision(Part):
    """What was decided at the end, and what was learnt."""

    action: Outcome
    variant: Name | None = None
    reason: Text = Field(default="", exclude_if=is_empty)
    learnt: Text = Field(default="", exclude_if=is_empty)
    decided_at: Moment | None = None
    by: Name | None = None

    @model_validator(mode="after")
    def _names_what_is_shipped(self) -> Self:
        if self.action == "ship" and self.variant is None:
            raise refusal(Problem("variant", "is required to ship: the key of the variant"))
        return self


class Experiment(Resource):
    """A config, or a prompt test, under test: without either the config of the same key.

    ``control`` is a variant's key, the first if absent. ``n_star`` is the number of sessions at which the sequences are
    tightest; it can't be changed once the experiment runs. ``success`` names the custom metric that says whether a
    session succeeded; without, one of calls none of which failed. Sessions count from ``start`` to ``ended_at``.
    """

    config: Name | None = None
    prompt_ab_test: Name | None = None
    hypothesis: Text = Field(default="", exclude_if=is_empty)
    owner: Name | None = None
    control: Name | None = None
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(default=ALPHA, exclude_if=_is_alpha)
    inference: Inference = Field(default="sequential", exclude_if=_is_sequential)
    n_star: Annotated[int, Field(ge=2, le=N_STAR_MAX)] = Field(default=N_STAR, exclude_if=_is_n_star)
    power: Annotated[float, Field(ge=0.5, lt=1)] = Field(default=POWER, exclude_if=_is_power)
    metrics: list[MetricDeclaration] = Field(default=[], max_length=METRICS_MAX, exclude_if=is_empty)
    success: Name | None = None
    status: Status | None = None
    start: Moment | None = None
    planned_end: Moment | None = None
    ended_at: Moment | None = None
    notes: Text = Field(default="", exclude_if=is_empty)
    decision: Decision | None = None

    @property
    def looks_at(self) -> tuple[Literal["config", "prompt_ab_test"], str]:
        """Return the kind and the key of what is under test."""
        if self.prompt_ab_test is not None:
            return "prompt_ab_test", self.prompt_ab_test
        return "config", self.config or self.key

    def status_at(self, now: datetime) -> Status:
        """Return whether it is planned, runs, or has ended: a start that is given decides when it begins."""
        if self.ended_at is not None:
            return "ended"
        if self.start is not None:
            return "planned" if now < self.start else "running"
        return self.status or "running"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        problems = [
            *self._time_problems(),
            *self._end_problems(),
            *self._unreached(),
            *self._covariate_problems(),
        ]
        if self.config is not None and self.prompt_ab_test is not None:
            problems.append(Problem("prompt_ab_test", "an experiment looks at one of them: leave it or config out"))
        if problems:
            raise refusal(*problems)
        return self

    def _time_problems(self) -> Iterator[Problem]:
        for field, moment in (("planned_end", self.planned_end), ("ended_at", self.ended_at)):
            if self.start is not None and moment is not None and moment <= self.start:
                start = moment_text(self.start)
                yield Problem(field, f"must be later than start ({start}), got {moment_text(moment)}")

    def _end_problems(self) -> Iterator[Problem]:
        if self.ended_at is not None and self.status not in (None, "ended"):
            yield Problem("status", f"must be ended, or left out, where there is ended_at; got {self.status}")
        if self.ended_at is None and self.status == "ended":
            yield Problem("status", "ended needs ended_at, the time; `fallom-server end` and POST …/end give both")
        if self.ended_at is None and self.decision is not None:
            yield Problem("decision", "needs ended_at, the time; `fallom-server end` and POST …/end give both")

    def _unreached(self) -> Iterator[Problem]:
        for index, metric in enumerate(self.metrics):
            for first, earlier in enumerate(self.metrics[:index]):
                if earlier.covers(metric):
                    advice = "declare it once" if metric.covers(earlier) else "put the narrower one first"
                    message = f"metrics[{first}] means the same figures already, and the first holds: {advice}"
                    yield Problem(f"metrics[{index}]", message)
                    break

    def _covariate_problems(self) -> Iterator[Problem]:
        for index, metric in enumerate(self.metrics if self.prompt_ab_test is not None else ()):
            if metric.covariate == FIRST_MESSAGE_LENGTH:
                message = "a prompt's template is in the message, so that the variant changes its length: leave it out"
                yield Problem(f"metrics[{index}].covariate", message)
