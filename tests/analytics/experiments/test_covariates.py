"""Covariates as they are read of sessions, and the figures that they adjust, over two weight epochs, against numpy."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lake_parts import TODAY, Parts, span_rows

from analytics.experiments.arms import Experiment, experiment_of
from analytics.experiments.results import results
from analytics.experiments.settings import MetricSettings, Settings
from fallom.assignment import bucket
from schemas.exposures import EXPOSURES
from schemas.metrics import METRICS
from storage.registry.resources import ConfigVersion

MODELS = ("gpt-4o", "gpt-4o-mini")
WEIGHTS = ((50, 50), (80, 20))
# From midnight: the hours of the calls, which their latencies go by, are the same whenever this is run.
_MIDNIGHT = TODAY.replace(hour=0, minute=0, second=0, microsecond=0)
STARTS = (_MIDNIGHT - timedelta(days=9), _MIDNIGHT - timedelta(days=4))
CUSTOMERS = 9
SESSIONS = 120


@dataclass(slots=True)
class Session:
    """One session as it was sent: its arm and epoch, and what is known of it."""

    name: str
    customer: str | None
    arm: int
    epoch: int
    exposed_at: datetime
    latencies: list[float] = field(default_factory=list)
    last_call_at: datetime | None = None
    message: str = ""
    plan: object = None
    before: float | None = None
    score: float | None = None


def sessions() -> list[Session]:
    rng = np.random.default_rng(11)
    made = []
    for place in range(SESSIONS):
        name, epoch = f"session-{place}", int(place >= SESSIONS // 2)
        habit = place % CUSTOMERS
        exposed_at = STARTS[epoch] + timedelta(hours=1 + place % (SESSIONS // 2), minutes=7 * habit)
        session = Session(
            name,
            # Some are of nobody that is known.
            f"customer-{habit}" if place % 10 else None,
            int(bucket(name) >= WEIGHTS[epoch][0] * 10_000),
            epoch,
            exposed_at,
            message="x" * int(rng.integers(1, 400)),
            plan=[float(rng.integers(1, 9)), "7", None, True][0 if place % 6 else place % 4],
            before=float(rng.normal(3, 1)) if place % 5 else None,
        )
        calls = int(rng.integers(0, 4))
        session.latencies = [
            100.0 + 40 * habit + len(session.message) + 9 * exposed_at.hour + float(rng.integers(0, 50))
            for _ in range(calls)
        ]
        session.last_call_at = exposed_at + timedelta(minutes=calls) if calls else None
        session.score = None if place % 7 == 0 else float((session.before or 3) + habit + rng.normal())
        made.append(session)
    return made


def _variants(weights: tuple[int, ...]) -> list[dict[str, object]]:
    return [{"model": model, "weight": weight} for model, weight in zip(MODELS, weights, strict=True)]


def experiment() -> Experiment:
    versions = [
        ConfigVersion(number, start, {"variants": _variants(weights)})
        for number, (start, weights) in enumerate(zip(STARTS, WEIGHTS, strict=True), 1)
    ]
    made = experiment_of("config", versions)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def sent() -> list[Session]:
    return sessions()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, sent: list[Session]) -> Iterator[Parts]:
    made = Parts(tmp_path_factory.mktemp("covariates"))
    exporter = made.exporter()
    exporter.start()
    exporter.consume("exposures", pa.RecordBatch.from_pylist([exposed(each) for each in sent], EXPOSURES.schema))
    exporter.consume("metrics", pa.RecordBatch.from_pylist([row for s in sent for row in values(s)], METRICS.schema))
    calls = [call(session, place, latency) for session in sent for place, latency in enumerate(session.latencies)]
    spans = [span_rows(number, **columns) for number, columns in enumerate(calls)]
    exporter.consume("spans", pa.Table.from_batches(spans).combine_chunks().to_batches()[0])
    yield made
    exporter.stop()
    made.engine.close()


def exposed(session: Session) -> dict[str, Any]:
    return {
        "project": "p",
        "config_key": "config",
        "config_version": session.epoch + 1,
        "session_id": session.name,
        "customer_id": session.customer,
        "assigned_model": MODELS[session.arm],
        "event_time": session.exposed_at,
        "content_hash": hash(session.name) & 0xFFFF,
    }


def values(session: Session) -> Iterator[dict[str, Any]]:
    given = [("score", session.score, session.exposed_at + timedelta(minutes=30))]
    if session.before is not None:
        given += [
            ("before", -50.0, session.exposed_at - timedelta(hours=2)),
            ("before", session.before, session.exposed_at),
            # What came after the assignment is not to be known.
            ("before", 1e6, session.exposed_at + timedelta(seconds=1)),
        ]
    for name, value, at in given:
        if value is not None:
            yield {
                "project": "p",
                "config_key": "config",
                "session_id": session.name,
                "name": name,
                "value_type": "number",
                "value_double": value,
                "event_time": at,
                "received_at": TODAY,
            }


def call(session: Session, place: int, latency: float) -> dict[str, Any]:
    at = session.exposed_at + timedelta(minutes=place + 1)
    messages = [{"role": "system", "content": "y" * 900 * (place + 1)}, {"role": "user", "content": session.message}]
    return {
        "session_id": session.name,
        "customer_id": session.customer,
        "response_model": MODELS[session.arm],
        "start_time": at,
        "start_time_unix_nano": int(at.timestamp()) * 10**9,
        "duration_ns": round(latency * 1e6),
        "input": json.dumps(messages if place == 0 else [*messages, {"role": "user", "content": "and?"}]),
        # The first span's counts.
        "metadata": json.dumps({"plan/size": session.plan if place == 0 else 1000}),
    }


def entries(parts: Parts, *declared: MetricSettings) -> list[dict[str, Any]]:
    settings = Settings(metrics=declared, inference="fixed_horizon")
    found: list[dict[str, Any]] = results(parts.engine, "p", experiment(), settings)["metrics"]
    return found


def adjusted(parts: Parts, name: str, covariate: str, estimand: str = "per_session") -> dict[str, Any]:
    found = entries(parts, MetricSettings(name, covariate=covariate))
    (entry,) = [each for each in found if each.get("covariate") == covariate and each["estimand"] == estimand]
    return entry


def oracle(
    counted: list[Session], x: list[float], n: list[float], p: list[float | None], known: list[float] | None = None
) -> tuple[list[float], list[float]]:
    """Return by arm the adjusted figure and its variance, from sessions one by one; ``known`` have the figure."""
    arm, epoch = np.array([s.arm for s in counted]), np.array([s.epoch for s in counted])
    xs, ns, ps = np.array(x), np.array(n), np.array([math.nan if each is None else each for each in p])
    is_known = np.ones(len(xs)) if known is None else np.array(known)
    for place in range(2):
        its = epoch == place
        # One of which it is not known has the mean of those of which it is.
        mean = np.nanmean(ps[its & (is_known == 1)])
        ps[its] = np.where(np.isnan(ps[its]), 0.0, ps[its] - mean) * is_known[its]
    y = xs - xs.sum() / ns.sum() * ns
    moved = xs - float(y @ ps) / float(ps @ ps) * ps
    weights = [float(np.mean(epoch == place)) for place in range(2)]
    estimates, variances = [], []
    for of_arm in range(2):
        of = [(arm == of_arm) & (epoch == place) for place in range(2)]
        mean_n = sum(w * ns[its].mean() for w, its in zip(weights, of, strict=True))
        value = sum(w * moved[its].mean() for w, its in zip(weights, of, strict=True)) / mean_n
        residual = moved - value * ns
        spread = sum(w * w * residual[its].var(ddof=1) / its.sum() for w, its in zip(weights, of, strict=True))
        estimates.append(float(value))
        variances.append(float(spread / mean_n**2))
    return estimates, variances


def agrees(entry: dict[str, Any], wanted: tuple[list[float], list[float]]) -> None:
    estimates, variances = wanted
    (compared,) = entry["comparisons"]
    assert [arm["estimate"] for arm in entry["variants"]] == pytest.approx(estimates, rel=1e-9)
    assert compared["difference"]["estimate"] == pytest.approx(estimates[1] - estimates[0], rel=1e-8)
    assert compared["difference"]["se"] == pytest.approx(math.sqrt(sum(variances)), rel=1e-9)
    assert (compared["method"], entry["role"]) == ("cuped", "secondary")


COVARIATES: dict[str, Callable[[Session], float | None]] = {
    "hour_of_day": lambda session: float(session.exposed_at.hour),
    "metric.before": lambda session: session.before,
    "metadata.plan/size": lambda session: (
        session.plan if isinstance(session.plan, float) and session.latencies else None
    ),
    "first_message_length": lambda session: float(len(session.message)) if session.latencies else None,
}


@pytest.mark.parametrize("covariate", COVARIATES)
def test_a_session_s_mean_is_adjusted_by(covariate: str, parts: Parts, sent: list[Session]) -> None:
    entry = adjusted(parts, "latency_ms", covariate)

    # Sessions without a call have no mean latency, and no part in it.
    is_known = [float(bool(each.latencies)) for each in sent]
    x = [float(np.mean(each.latencies)) if each.latencies else 0.0 for each in sent]
    given = [COVARIATES[covariate](each) for each in sent]
    agrees(entry, oracle(sent, x, is_known, given, is_known))
    covered = [p is not None for p, is_there in zip(given, is_known, strict=True) if is_there]
    assert entry["covariate_coverage"] == pytest.approx(sum(covered) / len(covered))
    assert 0 < entry["variance_reduction"] < 1 or covariate == "metadata.plan/size"


def test_a_mean_a_call_is_adjusted_by_what_is_known_of_its_session(parts: Parts, sent: list[Session]) -> None:
    entry = adjusted(parts, "latency_ms", "first_message_length", "per_call")

    x, n = [sum(each.latencies) for each in sent], [float(len(each.latencies)) for each in sent]
    agrees(entry, oracle(sent, x, n, [COVARIATES["first_message_length"](each) for each in sent]))


def test_a_custom_metric_is_adjusted_in_the_sessions_that_have_it(parts: Parts, sent: list[Session]) -> None:
    entry = adjusted(parts, "score", "metric.before")

    scored = [each for each in sent if each.score is not None]
    agrees(
        entry, oracle(scored, [each.score or 0.0 for each in scored], [1.0] * len(scored), [s.before for s in scored])
    )
    assert entry["custom"] is True


def test_where_missing_counts_as_zero_all_sessions_are_adjusted(parts: Parts, sent: list[Session]) -> None:
    declared = MetricSettings("score", covariate="metric.before", missing="zero")
    (entry,) = [each for each in entries(parts, declared) if "covariate" in each]

    agrees(entry, oracle(sent, [each.score or 0.0 for each in sent], [1.0] * len(sent), [s.before for s in sent]))


def history(
    session: Session, of: list[Session], value: Callable[[Session], tuple[float, float, datetime] | None]
) -> Any:
    """Return the mean over the customer's other sessions that were over when this one began."""
    found = [
        one[:2]
        for other in of
        if other is not session and other.customer is not None and other.customer == session.customer
        if (one := value(other)) is not None and one[2] < session.exposed_at
    ]
    return sum(x for x, _ in found) / sum(n for _, n in found) if found else None


def test_a_customer_s_history_is_the_same_metric_over_the_sessions_before(parts: Parts, sent: list[Session]) -> None:
    entry = adjusted(parts, "latency_ms", "customer_history", "per_call")

    def value(other: Session) -> tuple[float, float, datetime] | None:
        last = other.last_call_at
        return None if last is None else (sum(other.latencies), float(len(other.latencies)), last)

    x, n = [sum(each.latencies) for each in sent], [float(len(each.latencies)) for each in sent]
    past = [history(each, sent, value) for each in sent]
    agrees(entry, oracle(sent, x, n, past))
    assert entry["covariate_coverage"] == pytest.approx(sum(each is not None for each in past) / len(past))
    assert entry["variance_reduction"] > 0.05


def test_a_customer_s_history_of_a_custom_metric_is_that_of_its_values(parts: Parts, sent: list[Session]) -> None:
    entry = adjusted(parts, "score", "customer_history")

    def value(other: Session) -> tuple[float, float, datetime] | None:
        return None if other.score is None else (other.score, 1.0, other.exposed_at + timedelta(minutes=30))

    scored = [each for each in sent if each.score is not None]
    past = [history(each, scored, value) for each in scored]
    agrees(entry, oracle(scored, [each.score or 0.0 for each in scored], [1.0] * len(scored), past))


@pytest.mark.parametrize("covariate", ["metric.nothing", "metadata.nothing"])
def test_a_covariate_that_no_session_has_is_warned_of(covariate: str, parts: Parts) -> None:
    settings = Settings(metrics=(MetricSettings("latency_ms", covariate=covariate),))

    found = results(parts.engine, "p", experiment(), settings)

    assert not [each for each in found["metrics"] if "covariate" in each]
    (told,) = [each for each in found["health"]["warnings"] if each["code"] == "covariate_unused"]
    assert (told["metric"], told["covariate"]) == ("latency_ms", covariate)


def test_where_customers_are_dealt_their_history_ends_at_their_first_exposure(parts: Parts) -> None:
    """Each customer has a session before the test, of a latency by which all its others differ but for some noise."""
    rng = np.random.default_rng(2)
    exporter = parts.exporter()
    exporter.start()
    exposures, spans, habits = [], [], {}
    for place in range(60):
        customer = f"dealt-{place}"
        arm, habits[customer] = int(bucket(customer) >= 500_000), float(rng.integers(100, 900))
        for session in range(3):
            at = STARTS[0] + timedelta(hours=10 * session + 1)
            name = f"{customer}-{session}"
            exposures.append(
                exposed(Session(name, customer, arm, 0, at)) | {"config_key": "dealt"} if session else None
            )
            # What the arm does must not be taken for the customer's habit.
            latency = habits[customer] + 500 * arm * bool(session) + float(rng.integers(0, 20))
            spans.append(span_rows(
                100_000 + 3 * place + session, session_id=name, customer_id=customer, config_key="dealt",
                response_model=MODELS[arm], start_time=at, start_time_unix_nano=int(at.timestamp()) * 10**9,
                duration_ns=round(latency * 1e6),
            ))  # fmt: skip
    exporter.consume("exposures", pa.RecordBatch.from_pylist([e for e in exposures if e], EXPOSURES.schema))
    exporter.consume("spans", pa.Table.from_batches(spans).combine_chunks().to_batches()[0])
    variants = [{"model": model, "weight": 50} for model in MODELS]
    made = experiment_of("dealt", [ConfigVersion(1, STARTS[0], {"variants": variants, "sticky_by": "customer"})])
    assert made is not None

    settings = Settings(metrics=(MetricSettings("latency_ms", covariate="customer_history"),))
    found = results(parts.engine, "p", made, settings)["metrics"]
    exporter.stop()

    (entry,) = [each for each in found if "covariate" in each and each["estimand"] == "per_session"]
    (compared,) = entry["comparisons"]
    assert entry["covariate_coverage"] == 1.0
    assert compared["difference"]["estimate"] == pytest.approx(500, abs=25)
    assert entry["variance_reduction"] > 0.9
