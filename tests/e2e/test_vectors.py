"""The published vectors through the public API: sent as OTLP, exposures and metrics, figures read back from results.

Sessions are renamed so that the hash gives each its arm. What the vectors call ``session_mean`` is the mean over
sessions of a session's mean latency: ``latency_ms`` ``mean`` ``per_session`` here. ``per_session`` of costs, tokens and
calls is the session's total. Their ``se`` of a share of sessions is a mean's; here it is the score test's.
"""

import csv
import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_messages import PROTOBUF, export_request, exposure, http_client, metrics, span
from experiment_figures import answered_figures, session_id_in
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

KEY = "vectors"
MODELS = {"control": "model-x", "treatment": "model-y"}
VECTORS = Path(__file__).parents[1] / "analytics" / "experiments" / "statistics" / "vectors" / "a_llm_ab"
TRUTH: dict[str, Any] = json.loads((VECTORS / "main.json").read_text())
MEANS = {
    "latency_ms.mean_per_call": ("latency_ms", "mean", "per_call", None),
    "latency_ms.session_mean": ("latency_ms", "mean", "per_session", None),
    "ttft_ms.mean_per_call": ("time_to_first_token_ms", "mean", "per_call", None),
    "error_rate.per_call": ("error_rate", "ratio", "per_call", None),
    "cost_usd.per_call": ("cost_usd", "mean", "per_call", None),
    "cost_usd.per_session": ("cost_usd", "mean", "per_session", None),
    "output_tokens.per_call": ("output_tokens", "mean", "per_call", None),
    "total_tokens.per_session": ("total_tokens", "mean", "per_session", None),
    "calls.per_session": ("calls_per_session", "mean", "per_session", None),
    "user_satisfaction.mean": ("user_satisfaction", "mean", "per_session", None),
}
QUANTILES = {
    f"{column}.{statistic}": (name, statistic, "per_call", None)
    for column, name in (("latency_ms", "latency_ms"), ("ttft_ms", "time_to_first_token_ms"))
    for statistic in ("p50", "p90", "p95", "p99")
}
LOWER_IS_BETTER = {"latency_ms", "time_to_first_token_ms", "error_rate", "cost_usd"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that was sent the vectors, shuffled by their own order: spans before exposures."""
    running = ServerProcess(tmp_path_factory.mktemp("vectors") / "data", "--flush-interval-s", "3600").start()
    variants = {arm: {"model": model, "weight": 50} for arm, model in MODELS.items()}
    adjusted = {"name": "latency_ms", "estimand": "per_session", "covariate": "metric.pre_latency_ms"}
    experiment = {"key": KEY, "metrics": [adjusted]}
    running.define({"configs": [{"key": KEY, "variants": variants}], "experiments": [experiment]})
    send(running)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def fixed(server: ServerProcess) -> dict[Any, dict[str, Any]]:
    """The figures for one look at a planned end."""
    return answered(server, "?inference=fixed_horizon")


@pytest.fixture(scope="module")
def sequential(server: ServerProcess) -> dict[Any, dict[str, Any]]:
    """The figures as they are by default: to be looked at any time."""
    return answered(server, "")


def answered(server: ServerProcess, options: str) -> dict[Any, dict[str, Any]]:
    status, answer = server.get(f"/experiments/{KEY}/results{options}")
    assert status == 200, answer
    assert [(arm["sessions"], arm["calls"]) for arm in answer["variants"]] == [(404, 2643), (396, 2332)]
    plain = [metric for metric in answer["metrics"] if "covariate" not in metric]
    return answered_figures({"metrics": plain})


def send(server: ServerProcess) -> None:
    """Send the vectors' sessions under names that the hash gives the same arm. On return all is acknowledged."""
    sessions = list(rows("sessions.csv"))
    names = {
        row["session_id"]: session_id_in(list(MODELS).index(row["variant"]), row["session_id"]) for row in sessions
    }
    spans = [call(names[row["session_id"]], row) for row in rows("spans.csv")]
    with http_client(server.url) as client:
        for first in range(0, len(spans), 1000):
            body = export_request(spans[first : first + 1000]).SerializeToString()
            accepted(client.post("/v1/traces", content=body, headers=PROTOBUF))
        # A request at a time would wait for the disk thousands of times; those of one session keep their order.
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda row: send_session(client, names[row["session_id"]], row), sessions))


def send_session(client: httpx.Client, name: str, row: dict[str, str]) -> None:
    accepted(client.post("/spans", json=metrics(KEY, name, pre_latency_ms=float(row["pre_latency_ms"]))))
    accepted(client.post("/sessions", json=exposure(KEY, name, MODELS[row["variant"]], 1)))
    values: dict[str, float | bool] = {"conversion": row["conversion"] == "1"}
    if row["user_satisfaction"]:
        values["user_satisfaction"] = float(row["user_satisfaction"])
    accepted(client.post("/spans", json=metrics(KEY, name, **values)))


def call(session_id: str, row: dict[str, str]) -> Span:
    attributes: dict[str, Any] = {
        "fallom.config_key": KEY,
        "fallom.session_id": session_id,
        "gen_ai.request.model": MODELS[row["variant"]],
        "gen_ai.usage.input_tokens": int(row["input_tokens"]),
        "gen_ai.usage.output_tokens": int(row["output_tokens"]),
        "gen_ai.usage.cost": float(row["cost_usd"]),
    }
    if row["ttft_ms"]:
        attributes["fallom.time_to_first_token_ms"] = float(row["ttft_ms"])
    start = time.time_ns()
    code = Status.STATUS_CODE_ERROR if row["error"] == "1" else Status.STATUS_CODE_UNSET
    end = start + round(float(row["latency_ms"]) * 1e6)
    return span("chat", attributes, start_time_unix_nano=start, end_time_unix_nano=end, status=Status(code=code))


def rows(name: str) -> Iterable[dict[str, str]]:
    with (VECTORS / name).open() as file:
        yield from csv.DictReader(file)


def accepted(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text


def close(value: Any) -> Any:
    """Equal within what a closed form may differ by."""
    return pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_at_one_look_is_the_published_one(name: str, fixed: dict[Any, dict[str, Any]]) -> None:
    metric, published = fixed[MEANS[name]], TRUTH["metrics"][name]
    (compared,), absolute = metric["comparisons"], published["abs"]

    assert [arm["estimate"] for arm in metric["variants"]] == close(list(published["estimate"].values()))
    assert compared["status"] == "ok"
    assert compared["method"] == "delta_cluster"
    assert compared["difference"]["estimate"] == close(absolute["diff"])
    assert compared["difference"]["se"] == close(absolute["se"])
    assert compared["difference"]["ci"] == close(absolute["ci"])
    assert compared["p_value"] == compared["p_value_fixed"] == close(absolute["p"])
    assert compared["lift"]["estimate"] == close(published["rel"]["lift"])
    assert compared["lift"]["ci"] == close(published["rel"]["fieller_ci_t"])


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_at_any_look_is_the_published_one(name: str, sequential: dict[Any, dict[str, Any]]) -> None:
    metric, published = sequential[MEANS[name]], TRUTH["metrics"][name]
    (compared,), at_any_look, bayes = metric["comparisons"], published["sequential"], published["bayes_prior_rel"]
    turned = metric["name"] in LOWER_IS_BETTER

    assert compared["p_value"] == close(at_any_look["p"])
    assert compared["p_value_fixed"] == close(published["abs"]["p"])
    assert compared["difference"]["ci"] == close(at_any_look["ci_abs"])
    assert compared["lift"]["ci"] == close(at_any_look["fieller_ci_rel"])
    half = at_any_look["multiplier"] * published["var_of_estimate"]["control"] ** 0.5
    control = metric["variants"][0]
    assert control["ci"] == close([control["estimate"] - half, control["estimate"] + half])
    chance = bayes["chance_to_beat"]
    assert compared["bayes"]["chance_to_beat"] == close(1 - chance if turned else chance)
    # Where lower is better, what is lost by shipping is what the vectors, which maximise, lose by keeping.
    lost = bayes["loss_keep" if turned else "loss_ship"]
    assert compared["bayes"]["expected_loss"] == pytest.approx(lost, rel=1e-7)


def test_the_mean_that_is_adjusted_by_what_was_known_before_is_the_published_one(server: ServerProcess) -> None:
    status, answer = server.get(f"/experiments/{KEY}/results?inference=fixed_horizon&metrics=latency_ms")
    (metric,) = [metric for metric in answer["metrics"] if "covariate" in metric]
    published, (compared,) = TRUTH["cuped_latency_session_mean"], metric["comparisons"]

    assert status == 200
    assert (metric["statistic"], metric["estimand"], metric["role"]) == ("mean", "per_session", "secondary")
    assert (metric["covariate"], metric["covariate_coverage"]) == ("metric.pre_latency_ms", 1.0)
    # At the mean of the covariate, as tea-tasting has it; the vectors' own means are at 0.
    assert [arm["estimate"] for arm in metric["variants"]] == close(
        [published["tea_tasting"][arm] for arm in ("control", "treatment")]
    )
    assert compared["method"] == "cuped"
    assert compared["difference"]["estimate"] == close(published["abs"]["diff"])
    assert compared["difference"]["se"] == close(published["abs"]["se"])
    assert compared["difference"]["ci"] == close(published["abs"]["ci"])
    assert compared["p_value"] == close(published["abs"]["p"])
    assert metric["variance_reduction"] == close(published["variance_reduction"])
    assert not [each for each in answer["health"]["warnings"] if each["code"] == "covariate_unused"]


@pytest.mark.parametrize("name", QUANTILES)
def test_a_quantile_is_the_published_one(
    name: str, fixed: dict[Any, dict[str, Any]], sequential: dict[Any, dict[str, Any]]
) -> None:
    metric, published = fixed[QUANTILES[name]], TRUTH["quantiles"][name]
    arms, effect, (compared,) = published["arms"].values(), published["effect"], metric["comparisons"]

    assert [arm["estimate"] for arm in metric["variants"]] == close([arm["q"] for arm in arms])
    assert [arm["ci"] for arm in metric["variants"]] == [close([arm["lo"], arm["hi"]]) for arm in arms]
    assert [arm["observations"] for arm in metric["variants"]] == [arm["n_calls"] for arm in arms]
    assert [arm["effective_observations"] for arm in metric["variants"]] == close([arm["n_eff"] for arm in arms])
    assert compared["difference"]["estimate"] == close(effect["diff"])
    assert compared["difference"]["se"] == close(effect["se"])
    assert compared["difference"]["ci"] == close(effect["ci_z"])
    assert compared["p_value"] == close(effect["p"])
    assert compared["lift"]["estimate"] == close(effect["rel"])
    assert compared["lift"]["ci"] == close(effect["rel_fieller_ci_z"])
    at_any_look, wanted = sequential[QUANTILES[name]]["comparisons"][0]["difference"]["ci"], effect["sequential"]["ci"]
    # Of few calls beyond it, the bounds of a quantile at any look leave what there is.
    assert at_any_look == (None if wanted is None else close(wanted))


@pytest.mark.parametrize("name", ["latency_ms.p50", "latency_ms.p90", "ttft_ms.p50"])
def test_the_error_of_a_quantile_is_near_the_bootstrap_s(name: str, fixed: dict[Any, dict[str, Any]]) -> None:
    (compared,) = fixed[QUANTILES[name]]["comparisons"]

    assert compared["difference"]["se"] == pytest.approx(TRUTH["quantiles"][name]["effect"]["bootstrap_se"], rel=0.1)


def test_shares_of_sessions_are_the_published_ones(fixed: dict[Any, dict[str, Any]]) -> None:
    for name, metric in {
        "conversion.rate": fixed["conversion", "proportion", "per_session", None],
        "user_satisfaction.response_rate": fixed["user_satisfaction", "mean", "per_session", None]["response_rate"],
    }.items():
        published, (compared,) = TRUTH["proportions"][name], metric["comparisons"]
        rates = [published["x"][arm] / published["n"][arm] for arm in MODELS]
        assert [arm["estimate"] for arm in metric["variants"]] == close(rates)
        assert compared["method"] == "score"
        assert compared["difference"]["ci"] == pytest.approx(published["ci_miettinen_nurminen_own"], rel=1e-6)
        assert compared["p_value"] == pytest.approx(published["mn_score_p_own"], rel=1e-6)


def test_the_figures_stay_the_same_when_everything_is_committed(
    server: ServerProcess, sequential: dict[Any, dict[str, Any]]
) -> None:
    assert server.segments()

    assert server.terminate() == 0
    committed = answered(server.start(), "")

    for key, metric in sequential.items():
        assert [arm["estimate"] for arm in committed[key]["variants"]] == pytest.approx(
            [arm["estimate"] for arm in metric["variants"]], rel=1e-12
        )
