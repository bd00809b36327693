"""Two weight epochs that both count, sent by the public API, against numpy's stratified figures; and a prompt test."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest
from client_messages import PROTOBUF, export_request, exposure, http_client, metrics, span
from experiment_figures import Z, answered_figures, restricted_variance, session_id_in
from numpy.typing import NDArray
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from scipy import stats
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

KEY, TEST_KEY = "reweighted", "tone"
MODELS = ("model-x", "model-y")
WEIGHTS = ((50, 50), (80, 20))
# By epoch and arm: the share of an arm differs between the epochs, and so does the latency.
SIZES = ((40, 45), (70, 20))

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Session:
    """One session, and what its calls should count for."""

    name: str
    epoch: int
    arm: int
    latencies: list[float] = field(default_factory=list)
    errors: list[bool] = field(default_factory=list)
    score: float | None = None


def planned() -> list[Session]:
    rng = np.random.default_rng(6)
    made = []
    for epoch, sizes in enumerate(SIZES):
        for arm, size in enumerate(sizes):
            for place in range(size):
                name = session_id_in(arm, f"epoch-{epoch}-{arm}-{place}", WEIGHTS[epoch])
                session = Session(name, epoch, arm)
                for _ in range(int(rng.integers(0, 5))):
                    # The second epoch is slow, and has more of the first arm: pooled, that would be the arm's doing.
                    session.latencies.append(float(rng.integers(100, 900)) + 2000 * epoch - 30 * arm)
                    session.errors.append(bool(rng.random() < 0.15))
                session.score = None if place % 4 == 0 else float(rng.integers(1, 50)) / 10
                made.append(session)
    return made


@pytest.fixture(scope="module")
def sent() -> list[Session]:
    return planned()


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory, sent: list[Session]) -> dict[str, Any]:
    """The results for one look of sessions that were sent under each version in its turn."""
    server = ServerProcess(tmp_path_factory.mktemp("epochs") / "data", "--flush-interval-s", "3600").start()
    for epoch, weights in enumerate(WEIGHTS):
        variants = [{"model": model, "weight": weight} for model, weight in zip(MODELS, weights, strict=True)]
        server.define({"configs": [{"key": KEY, "variants": variants}]})
        with http_client(server.url) as client:
            for session in (each for each in sent if each.epoch == epoch):
                accepted(client.post("/sessions", json=exposure(KEY, session.name, MODELS[session.arm], epoch + 1)))
                if session.score is not None:
                    accepted(client.post("/spans", json=metrics(KEY, session.name, score=session.score)))
            spans = [call for session in sent if session.epoch == epoch for call in calls(session)]
            accepted(client.post("/v1/traces", content=export_request(spans).SerializeToString(), headers=PROTOBUF))
    status, found = server.get(f"/experiments/{KEY}/results?inference=fixed_horizon")
    server.stop()
    assert status == 200, found
    return found


def calls(session: Session) -> Iterator[Span]:
    for latency, is_error in zip(session.latencies, session.errors, strict=True):
        yield call({"fallom.config_key": KEY}, session.name, MODELS[session.arm], latency, is_error=is_error)


def call(named: dict[str, Any], session: str, model: str, latency_ms: float, *, is_error: bool = False) -> Span:
    start = time.time_ns()
    code = Status.STATUS_CODE_ERROR if is_error else Status.STATUS_CODE_UNSET
    return span(
        "chat",
        {"fallom.session_id": session, "gen_ai.request.model": model, **named},
        start_time_unix_nano=start,
        end_time_unix_nano=start + round(latency_ms * 1e6),
        status=Status(code=code),
    )


def accepted(found: httpx.Response) -> None:
    assert found.status_code == 200, found.text


def stratified(sessions: Sequence[Session], x: Sequence[float], n: Sequence[float]) -> list[tuple[float, float]]:
    """Return by arm R = Σw·x̄/Σw·n̄ and its variance, w an epoch's share of both arms' sessions."""
    epochs, arms = np.array([each.epoch for each in sessions]), np.array([each.arm for each in sessions])
    xs, ns = np.array(x), np.array(n)
    weights = [float(np.mean(epochs == epoch)) for epoch in range(2)]
    found = []
    for arm in range(2):
        of = [(epochs == epoch) & (arms == arm) for epoch in range(2)]
        mean_n = sum(w * ns[its].mean() for w, its in zip(weights, of, strict=True))
        value = sum(w * xs[its].mean() for w, its in zip(weights, of, strict=True)) / mean_n
        residual = xs - value * ns
        variance = sum(w * w * residual[its].var(ddof=1) / its.sum() for w, its in zip(weights, of, strict=True))
        found.append((float(value), float(variance / mean_n**2)))
    return found


def agrees(metric: dict[str, Any], wanted: list[tuple[float, float]]) -> None:
    (compared,), ((first, first_variance), (second, second_variance)) = metric["comparisons"], wanted
    assert [arm["estimate"] for arm in metric["variants"]] == pytest.approx([first, second], rel=1e-9)
    assert compared["difference"]["estimate"] == pytest.approx(second - first, rel=1e-8)
    assert compared["difference"]["se"] == pytest.approx((first_variance + second_variance) ** 0.5, rel=1e-8)
    assert compared["epochs_left_out"] == 0


def test_both_epochs_count_and_each_has_its_own_sample_ratio(answer: dict[str, Any]) -> None:
    assert [variant["sessions"] for variant in answer["variants"]] == [sum(arm) for arm in zip(*SIZES, strict=True)]
    assert [each["observed"] for each in answer["health"]["srm"]["by_epoch"]] == [list(sizes) for sizes in SIZES]
    assert [each["weights"] for each in answer["health"]["srm"]["by_epoch"]] == [[0.5, 0.5], [0.8, 0.2]]
    statistics = [
        stats.chisquare(s, [sum(s) * w / 100 for w in ws]).statistic for s, ws in zip(SIZES, WEIGHTS, strict=True)
    ]
    assert answer["health"]["srm"]["chi2_p"] == pytest.approx(stats.chi2.sf(sum(statistics), 2), rel=1e-8)


def test_means_over_epochs_are_stratified(answer: dict[str, Any], sent: list[Session]) -> None:
    figures = answered_figures(answer)
    counts = [float(len(each.latencies)) for each in sent]
    has_calls = [float(bool(each.latencies)) for each in sent]
    means = [float(np.mean(each.latencies)) if each.latencies else 0.0 for each in sent]
    scored = [each for each in sent if each.score is not None]

    agrees(figures["latency_ms", "mean", "per_call", None], stratified(sent, [sum(s.latencies) for s in sent], counts))
    agrees(figures["latency_ms", "mean", "per_session", None], stratified(sent, means, has_calls))
    agrees(figures["calls_per_session", "mean", "per_session", None], stratified(sent, counts, [1.0] * len(sent)))
    agrees(
        figures["error_rate", "ratio", "per_call", None], stratified(sent, [float(sum(s.errors)) for s in sent], counts)
    )
    scores = [each.score or 0.0 for each in scored]
    agrees(figures["score", "mean", "per_session", None], stratified(scored, scores, [1.0] * len(scored)))


def test_a_share_of_sessions_has_the_stratified_score_test(answer: dict[str, Any], sent: list[Session]) -> None:
    metric = answered_figures(answer)["error_rate", "proportion", "per_session", None]
    (compared,) = metric["comparisons"]
    counts = [
        [(sum(any(s.errors) for s in sent if (s.epoch, s.arm) == (epoch, arm)), SIZES[epoch][arm]) for arm in range(2)]
        for epoch in range(2)
    ]
    weights = [sum(sizes) / sum(map(sum, SIZES)) for sizes in SIZES]

    def error(difference: float) -> float:
        spread = [restricted_variance(*a, *b, difference) for a, b in counts]
        return float(sum(w * w * each for w, each in zip(weights, spread, strict=True)) ** 0.5)

    rates = [
        sum(w * epoch[arm][0] / epoch[arm][1] for w, epoch in zip(weights, counts, strict=True)) for arm in range(2)
    ]
    difference = rates[1] - rates[0]
    assert compared["method"] == "score"
    assert [arm["estimate"] for arm in metric["variants"]] == pytest.approx(rates, rel=1e-9)
    assert compared["difference"]["estimate"] == pytest.approx(difference, rel=1e-8)
    assert compared["difference"]["se"] == pytest.approx(error(0.0), rel=1e-6)
    assert compared["p_value"] == pytest.approx(2 * stats.norm.sf(abs(difference) / error(0.0)), rel=1e-6)
    lower, upper = compared["difference"]["ci"]
    assert (difference - lower) / error(lower) == pytest.approx(Z, rel=1e-5)
    assert (upper - difference) / error(upper) == pytest.approx(Z, rel=1e-5)


@pytest.mark.parametrize("probability", [0.5, 0.9])
def test_a_quantile_weighs_each_call_by_its_epoch(
    probability: float, answer: dict[str, Any], sent: list[Session]
) -> None:
    metric = answered_figures(answer)["latency_ms", f"p{probability * 100:g}", "per_call", None]
    errors, quantiles = [], []
    for arm, told in enumerate(metric["variants"]):
        quantile = weighted_quantile(sent, arm, probability)
        below = [float(sum(latency <= quantile for latency in each.latencies)) for each in sent]
        deviation = stratified(sent, below, [float(len(each.latencies)) for each in sent])[arm][1] ** 0.5
        ends = [weighted_quantile(sent, arm, probability + side * Z * deviation) for side in (-1, 1)]
        assert told["estimate"] == pytest.approx(quantile, rel=1e-9)
        assert told["ci"] == pytest.approx(ends, rel=1e-9)
        quantiles.append(quantile)
        errors.append((ends[1] - ends[0]) / (2 * Z))
    (compared,) = metric["comparisons"]
    assert compared["difference"]["estimate"] == pytest.approx(quantiles[1] - quantiles[0], rel=1e-9)
    assert compared["difference"]["se"] == pytest.approx((errors[0] ** 2 + errors[1] ** 2) ** 0.5, rel=1e-9)


def weighted_quantile(sessions: Sequence[Session], arm: int, probability: float) -> float:
    """Return the least latency that the share of calls at or below it reaches, a call weighing w/K of its epoch."""
    own = [each for each in sessions if each.arm == arm]
    weights = [sum(sizes) / sum(map(sum, SIZES)) for sizes in SIZES]
    found = sorted(
        (latency, weights[each.epoch] / SIZES[each.epoch][arm]) for each in own for latency in each.latencies
    )
    total, reached = sum(weight for _, weight in found), 0.0
    for latency, weight in found:
        reached += weight
        if reached / total >= probability - 1e-12:
            return latency
    raise AssertionError(f"no latency reaches {probability}")


def test_a_prompt_test_counts_the_calls_that_name_it_and_a_config(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A prompt test by the spans that clients send: its sessions are those of its calls, and a call needs a config."""
    server = ServerProcess(tmp_path_factory.mktemp("prompts") / "data", "--flush-interval-s", "3600").start()
    server.define(
        {
            "configs": [{"key": KEY, "variants": [{"model": MODELS[0], "weight": 100}]}],
            "prompts": [{"key": key, "system_prompt": "s", "user_template": "u"} for key in ("formal", "plain")],
            "prompt_ab_tests": [
                {"key": TEST_KEY, "variants": [{"prompt_key": key, "weight": 50} for key in ("formal", "plain")]}
            ],
        }
    )
    spans = []
    for arm, prompt in enumerate(("formal", "plain")):
        for place in range(6 + arm):
            named: dict[str, Any] = {
                "fallom.config_key": KEY,
                "fallom.prompt_key": prompt,
                "fallom.prompt_version": 1,
                "fallom.prompt_ab_test": TEST_KEY,
                "fallom.prompt_variant": arm,
            }
            # What names no config belongs to no experiment, of prompts or models.
            without = {name: value for name, value in named.items() if name != "fallom.config_key"}
            session = session_id_in(arm, f"prompted-{arm}-{place}")
            spans += [
                call(named, session, MODELS[0], 100 * (arm + 1) + place),
                call(without, session, MODELS[0], 9_999),
            ]
    with http_client(server.url) as client:
        accepted(client.post("/v1/traces", content=export_request(spans).SerializeToString(), headers=PROTOBUF))

    status, answer = server.get(f"/experiments/{TEST_KEY}/results?inference=fixed_horizon")
    server.stop()

    assert status == 200, answer
    assert [(each["key"], each["sessions"], each["calls"]) for each in answer["variants"]] == [
        ("formal", 6, 6),
        ("plain", 7, 7),
    ]
    latency = answered_figures(answer)["latency_ms", "mean", "per_call", None]
    assert [arm["estimate"] for arm in latency["variants"]] == pytest.approx([102.5, 203.0])
    assert answer["health"]["srm"]["observed"] == [6, 7]
