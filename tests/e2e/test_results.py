"""``GET /experiments/{key}/results`` of known traffic, figure by figure, against numpy and the published vectors."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from client_messages import PROTOBUF, export_request, exposure, flat_trace, http_client, metrics, span
from experiment_figures import (
    Call,
    Figure,
    Session,
    answered_figures,
    arm_of_hash,
    comparison_of,
    figures_of,
    session_id_in,
)
from genai_prices import Usage, calc_price
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

KEY = "known"
MODELS = ("gpt-4o", "gpt-4o-mini")
SESSIONS_AN_ARM = 60
VISIBLE_SECONDS_MAX = 2.0
VECTOR_MODELS = {"control": "model-x", "treatment": "model-y"}
TARGETING = {"individualTargets": [{"field": "customerId", "value": "vip", "variantIndex": 1}]}
VECTORS = Path(__file__).parents[1] / "analytics" / "experiments" / "statistics" / "vectors" / "a_llm_ab"


@dataclass(slots=True)
class Traffic:
    """What clients send for one experiment, and what it should count for."""

    key: str
    spans: list[Span] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def expose(self, session_id: str, model: str, version: int = 1) -> None:
        self.requests.append(("/sessions", exposure(self.key, session_id, model, version)))

    def measure(self, session_id: str, **values: float | bool | str) -> None:
        self.requests.append(("/spans", metrics(self.key, session_id, **values)))

    def trace(self, session_id: str, **fields: Any) -> None:
        self.requests.append(("/v1/traces", flat_trace(self.key, session_id, **fields)))

    def call(self, session_id: str, latency_ms: float, attributes: dict[str, Any], *, is_error: bool = False) -> None:
        own = {"fallom.config_key": self.key, "fallom.session_id": session_id}
        start = time.time_ns()
        self.spans.append(
            span(
                "chat",
                own | attributes,
                start_time_unix_nano=start,
                end_time_unix_nano=start + round(latency_ms * 1e6),
                status=Status(code=Status.STATUS_CODE_ERROR if is_error else Status.STATUS_CODE_UNSET),
            )
        )

    def send(self, server: ServerProcess) -> None:
        """Send everything; spans in batches. On return all is acknowledged."""
        with http_client(server.url) as client:
            for path, document in self.requests:
                accepted(client.post(path, json=document))
            for first in range(0, len(self.spans), 250):
                body = export_request(self.spans[first : first + 250]).SerializeToString()
                accepted(client.post("/v1/traces", content=body, headers=PROTOBUF))


def accepted(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def results_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that commits nothing before it stops: what it answers comes from its log."""
    server = ServerProcess(tmp_path_factory.mktemp("results") / "data", "--flush-interval-s", "3600").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def known(results_server: ServerProcess) -> list[list[Session]]:
    """The sessions of each arm of the known experiment, sent and acknowledged."""
    variants = [{"model": model, "weight": 50} for model in MODELS]
    results_server.define({"configs": [{"key": KEY, "variants": variants, "targeting": TARGETING}]})
    traffic = Traffic(KEY)
    chance = np.random.default_rng(4)
    arms = [
        [random_session(traffic, chance, arm, f"session-{arm}-{number}") for number in range(SESSIONS_AN_ARM)]
        for arm in range(len(MODELS))
    ]
    add_sessions_that_do_not_count(traffic)
    traffic.send(results_server)
    return arms


def random_session(traffic: Traffic, chance: np.random.Generator, arm: int, name: str) -> Session:
    """Add one session of an arm to the traffic; return what it should count for."""
    session_id = session_id_in(arm, name)
    session = Session(session_id)
    for _ in range(1 + int(chance.random() < 0.2)):
        traffic.expose(session_id, MODELS[arm])
    for _ in range(min(12, int(chance.geometric(0.25)) - 1)):
        add = add_flat_call if chance.random() < 0.5 else add_otlp_call
        session.calls.append(add(traffic, chance, session_id, MODELS[arm]))
    traffic.trace(session_id, kind="tool", model=None, duration_ms=999_999)
    if chance.random() < 0.9:
        session.metrics = {
            "score": round(float(chance.normal(3.5 + arm, 1)), 3),
            "solved": bool(chance.random() < 0.6),
            "channel": str(chance.choice(["chat", "mail", "phone"])),
        }
        traffic.measure(session_id, score=-1_000, solved=not session.metrics["solved"], channel="first")
        traffic.measure(session_id, **session.metrics)
    return session


def random_call(chance: np.random.Generator, model: str) -> Call:
    latency_ms = round(float(chance.lognormal(6, 1)), 3)
    if chance.random() < 0.1:
        return Call(latency_ms, is_error=True)
    input_tokens, output_tokens = (int(count) for count in chance.integers(1, 3_000, 2))
    if chance.random() < 0.15:
        return Call(latency_ms, is_error=False)
    return Call(
        latency_ms,
        is_error=False,
        time_to_first_token_ms=round(latency_ms / 4, 3) if chance.random() < 0.6 else None,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost=price(model, input_tokens, output_tokens),
    )


def price(model: str, input_tokens: int, output_tokens: int) -> float:
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    priced = calc_price(usage, model, provider_id="openai", genai_request_timestamp=datetime.now(UTC))
    return float(priced.total_price)


def add_flat_call(traffic: Traffic, chance: np.random.Generator, session_id: str, model: str) -> Call:
    call = random_call(chance, model)
    attributes: dict[str, Any] = {"fallom.method": "chat.completions.create"}
    if call.input_tokens is not None:
        usage = {"prompt_tokens": call.input_tokens, "completion_tokens": call.output_tokens}
        attributes["fallom.raw.usage"] = json.dumps(usage)
    traffic.trace(
        session_id,
        model=model,
        start_time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        end_time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        duration_ms=call.latency_ms,
        status="ERROR" if call.is_error else "OK",
        time_to_first_token_ms=call.time_to_first_token_ms,
        attributes=attributes,
    )
    return call


def add_otlp_call(traffic: Traffic, chance: np.random.Generator, session_id: str, model: str) -> Call:
    call = random_call(chance, model)
    attributes: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
    if call.input_tokens is not None:
        attributes |= {
            "gen_ai.response.model": model,
            "gen_ai.usage.input_tokens": call.input_tokens,
            "gen_ai.usage.output_tokens": call.output_tokens,
        }
    if call.time_to_first_token_ms is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = call.time_to_first_token_ms / 1e3
    if not call.is_error and chance.random() < 0.2:
        reported = round(float(chance.uniform(0, 0.01)), 6)
        attributes["gen_ai.usage.cost"] = reported
        call = Call(
            call.latency_ms, False, call.time_to_first_token_ms, call.input_tokens, call.output_tokens, reported
        )
    traffic.call(session_id, call.latency_ms, attributes, is_error=call.is_error)
    return call


def add_sessions_that_do_not_count(traffic: Traffic) -> None:
    """Add four targeted sessions, two that were seen in both arms, one of another model, four without exposure.

    The customer of the first is targeted at the arm that the hash gives too: chance did not put it there.
    """
    traffic.call(session_id_in(1, "targeted-by-customer"), 1, {"fallom.customer_id": "vip"})
    exposed: dict[str, Sequence[str]] = {
        session_id_in(1, "targeted-by-customer"): MODELS[1:],
        **{session_id_in(0, f"targeted-{number}"): MODELS[1:] for number in range(3)},
        **{session_id_in(number, f"crossover-{number}"): MODELS for number in range(2)},
        "forced": ["some-other-model"],
        **{f"unexposed-{number}": () for number in range(4)},
    }
    for session_id, models in exposed.items():
        for model in models:
            traffic.expose(session_id, model)
        traffic.call(session_id, 1e7, {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.cost": 1e6}, is_error=True)
        traffic.measure(session_id, score=1e6, solved=True, channel="none")


def test_every_figure_is_that_of_numpy(results_server: ServerProcess, known: list[list[Session]]) -> None:
    answer = strict_results(results_server, KEY)

    assert_figures(answer, known, MODELS)
    assert [(variant["key"], variant["model"], variant["weight"]) for variant in answer["variants"]] == [
        (model, model, 0.5) for model in MODELS
    ]
    assert [(variant["sessions"], variant["calls"]) for variant in answer["variants"]] == [
        (len(arm), sum(len(session.calls) for session in arm)) for arm in known
    ]


def test_sessions_that_chance_did_not_place_are_left_out_and_counted(
    results_server: ServerProcess, known: list[list[Session]]
) -> None:
    health = strict_results(results_server, KEY)["health"]

    assert {label: count for label, count in health["excluded"].items() if count} == {
        "targeted": 4,
        "forced": 1,
        "crossover": 2,
        "missing_exposure": 4,
    }
    assert health["multiple_exposures"]["count"] == 2
    assert health["srm"]["observed"] == [SESSIONS_AN_ARM] * 2
    assert health["srm"]["chi2_p"] == pytest.approx(1.0)
    assert {warning["code"] for warning in health["warnings"]} >= {"low_sample", "crossover", "missing_exposure"}


def test_a_choice_of_metrics_and_of_a_version_is_answered(
    results_server: ServerProcess, known: list[list[Session]]
) -> None:
    whole = strict_results(results_server, KEY)

    status, chosen = results_server.get(
        f"/experiments/{KEY}/results?inference=fixed_horizon&metrics=latency_ms,score&version=1"
    )

    assert status == 200
    assert {metric["name"] for metric in chosen["metrics"]} == {"latency_ms", "score"}
    assert chosen["metrics"] == nearly(
        [metric for metric in whole["metrics"] if metric["name"] in ("latency_ms", "score")]
    )


def test_the_figures_stay_through_a_commit_a_restart_and_a_kill(
    results_server: ServerProcess, known: list[list[Session]]
) -> None:
    assert results_server.segments()
    hot = strict_results(results_server, KEY)

    assert results_server.terminate() == 0
    assert results_server.segments() == []
    committed = strict_results(results_server.start(), KEY)
    results_server.kill()
    after_kill = strict_results(results_server.start(), KEY)

    assert_same_figures(committed, hot)
    assert_same_figures(after_kill, hot)
    assert_figures(committed, known, MODELS)


def test_figures_over_committed_and_hot_rows_are_one(results_server: ServerProcess) -> None:
    variants = {"first": {"model": "gpt-4o", "weight": 50}, "second": {"model": "gpt-4o-mini", "weight": 50}}
    results_server.define({"configs": [{"key": "half-committed", "variants": variants}]})
    traffic = Traffic("half-committed")
    chance = np.random.default_rng(5)
    arms = [[random_session(traffic, chance, arm, f"half-{arm}-{n}") for n in range(10)] for arm in range(2)]
    early, late = Traffic(traffic.key), Traffic(traffic.key)
    early.spans, late.spans = traffic.spans[::2], traffic.spans[1::2]
    # In the order of the traffic, so that the latest value of a metric stays the latest.
    half = len(traffic.requests) // 2
    early.requests, late.requests = traffic.requests[:half], traffic.requests[half:]

    early.send(results_server)
    assert results_server.terminate() == 0
    results_server.start()
    late.send(results_server)

    assert results_server.segments()
    assert_figures(strict_results(results_server, "half-committed"), arms, ("first", "second"))


def test_what_is_acknowledged_shows_in_the_results_within_two_seconds(results_server: ServerProcess) -> None:
    define_models(results_server, "visible", ["gpt-4o", "gpt-4o-mini"])
    seconds = []
    for number in range(3):
        traffic = Traffic("visible")
        session_id = session_id_in(0, f"visible-{number}")
        traffic.expose(session_id, "gpt-4o")
        traffic.measure(session_id, score=number)
        traffic.trace(session_id, duration_ms=100 * (number + 1))
        traffic.send(results_server)
        acknowledged = time.monotonic()

        answer = strict_results(results_server, "visible")
        seconds.append(time.monotonic() - acknowledged)
        arm = answer["variants"][0]
        assert (arm["sessions"], arm["calls"]) == (number + 1, number + 1)
        assert estimate(answer, "score", "mean") == pytest.approx(number / 2)

    assert max(seconds) < VISIBLE_SECONDS_MAX


def test_the_key_of_a_variant_is_its_name_where_variants_are_an_object(results_server: ServerProcess) -> None:
    variants = {"control": {"model": "gpt-4o", "weight": 33.3}, "same model": {"model": "gpt-4o", "weight": 66.7}}
    results_server.define({"configs": [{"key": "named", "variants": variants}]})
    traffic = Traffic("named")
    for arm, count in ((0, 2), (1, 3)):
        for number in range(count):
            session_id = session_id_in(arm, f"named-{arm}-{number}", weights=(33.3, 66.7))
            traffic.expose(session_id, "gpt-4o")
            traffic.trace(session_id, duration_ms=100 + arm)
    traffic.send(results_server)

    answer = strict_results(results_server, "named")

    assert [(arm["key"], arm["model"], arm["sessions"], arm["calls"]) for arm in answer["variants"]] == [
        ("control", "gpt-4o", 2, 2),
        ("same model", "gpt-4o", 3, 3),
    ]
    assert [arm["weight"] for arm in answer["variants"]] == pytest.approx([0.333, 0.667])
    latency = answered_figures(answer)["latency_ms", "mean", "per_call", None]
    assert [(arm["key"], arm["estimate"]) for arm in latency["variants"]] == [("control", 100), ("same model", 101)]
    assert (latency["comparisons"][0]["variant"], latency["comparisons"][0]["vs"]) == ("same model", "control")
    assert answer["experiment"]["control"] == "control"


def test_an_experiment_without_traffic_has_nulls_and_a_status(results_server: ServerProcess) -> None:
    define_models(results_server, "empty", ["gpt-4o", "gpt-4o-mini"])

    answer = strict_results(results_server, "empty")

    assert_figures(answer, [[], []], MODELS)
    assert [(arm["sessions"], arm["calls"]) for arm in answer["variants"]] == [(0, 0), (0, 0)]
    assert answer["recommendation"]["action"] in ("keep_running", "invalid")


def test_an_arm_without_traffic_has_nulls_and_a_status(results_server: ServerProcess) -> None:
    define_models(results_server, "one-arm", list(MODELS))
    traffic = Traffic("one-arm")
    chance = np.random.default_rng(6)
    sessions = [random_session(traffic, chance, 0, f"one-arm-{number}") for number in range(8)]
    traffic.send(results_server)

    answer = strict_results(results_server, "one-arm")

    assert_figures(answer, [sessions, []], MODELS)
    statuses = {found["status"] for metric in answer["metrics"] for found in metric["comparisons"]}
    assert statuses == {"no_data"}


def test_sessions_without_a_call_count_as_sessions(results_server: ServerProcess) -> None:
    define_models(results_server, "silent", list(MODELS))
    traffic = Traffic("silent")
    arms = [[Session(session_id_in(arm, f"silent-{arm}-{number}")) for number in range(3)] for arm in range(2)]
    for arm, sessions in enumerate(arms):
        for session in sessions:
            traffic.expose(session.session_id, MODELS[arm])
    traffic.send(results_server)

    answer = strict_results(results_server, "silent")

    assert_figures(answer, arms, MODELS)
    assert estimate(answer, "calls_per_session", "mean") == 0.0


def test_an_unknown_cost_is_null_and_never_zero(results_server: ServerProcess) -> None:
    define_models(results_server, "priceless", ["in-house-a", "in-house-b"])
    traffic = Traffic("priceless")
    arms = [[Session(session_id_in(arm, f"priceless-{arm}-{number}")) for number in range(3)] for arm in range(2)]
    for arm, sessions in enumerate(arms):
        for session in sessions:
            model = f"in-house-{'ab'[arm]}"
            traffic.expose(session.session_id, model)
            usage = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
            traffic.call(session.session_id, 100, {"gen_ai.request.model": model, **usage})
            session.calls.append(Call(100.0, is_error=False, input_tokens=10, output_tokens=5))
    traffic.send(results_server)

    answer = strict_results(results_server, "priceless")

    assert_figures(answer, arms, ("in-house-a", "in-house-b"))
    for estimand in ("per_call", "per_session"):
        cost = answered_figures(answer)["cost_usd", "mean", estimand, None]
        assert [arm["estimate"] for arm in cost["variants"]] == [None, None]
        assert [arm["coverage"] for arm in cost["variants"]] == [0.0, 0.0]
        assert cost["comparisons"][0]["status"] == "no_data"


def test_new_weights_in_the_middle_begin_a_new_epoch(results_server: ServerProcess) -> None:
    define_models(results_server, "changed", list(MODELS))
    traffic = Traffic("changed")
    before = [session_id_in(arm, f"before-{arm}-{number}") for arm in range(2) for number in range(5)]
    for session_id in before:
        traffic.expose(session_id, MODELS[arm_of_hash(session_id, (50, 50))], version=1)
        traffic.trace(session_id, duration_ms=100)
    variants = [{"model": "gpt-4o", "weight": 80}, {"model": "gpt-4o-mini", "weight": 20}]
    results_server.define({"configs": [{"key": "changed", "variants": variants}]})
    for number in range(4):
        session_id = session_id_in(0, f"after-{number}", weights=(80, 20))
        traffic.expose(session_id, "gpt-4o", version=2)
        traffic.trace(session_id, duration_ms=300)
    moved = next(name for name in before if (arm_of_hash(name, (50, 50)), arm_of_hash(name, (80, 20))) == (1, 0))
    traffic.expose(moved, "gpt-4o", version=2)
    traffic.send(results_server)

    whole = strict_results(results_server, "changed")
    _, latest = results_server.get("/experiments/changed/results?version=2")
    _, of_epoch = results_server.get("/experiments/changed/results?epoch=2")
    status, first = results_server.get("/experiments/changed/results?version=1")

    assert status == 200
    assert whole["experiment"]["config_versions"] == [1, 2]
    assert [arm["sessions"] for arm in whole["variants"]] == [9, 5]
    assert [arm["weight"] for arm in whole["variants"]] == pytest.approx([0.8, 0.2])
    assert (whole["health"]["excluded"]["stale_version"], whole["health"]["excluded"]["crossover"]) == (0, 0)
    by_epoch = whole["health"]["srm"]["by_epoch"]
    assert [(each["epoch"], each["versions"], each["observed"]) for each in by_epoch] == [
        (1, [1], [5, 5]),
        (2, [2], [4, 0]),
    ]
    assert whole["health"]["srm"]["expected"] == pytest.approx([8.2, 5.8])
    # Of the one variant there is nothing to compare in the second epoch.
    assert "epoch_left_out" in {warning["code"] for warning in whole["health"]["warnings"]}
    # So it has no part in what is compared, nor in either variant's figure.
    latency = answered_figures(whole)["latency_ms", "mean", "per_call", None]
    assert [arm["estimate"] for arm in latency["variants"]] == [100, 100]
    assert latency["comparisons"][0]["epochs_left_out"] == 1
    assert of_epoch["metrics"] == nearly(latest["metrics"])
    assert latest["experiment"]["config_version"] == 2
    assert [arm["weight"] for arm in latest["variants"]] == pytest.approx([0.8, 0.2])
    assert [arm["sessions"] for arm in latest["variants"]] == [4, 0]
    # A session that lives across the change is of the version that it began with.
    assert latest["health"]["excluded"]["stale_version"] == 10
    assert "config_changed" in {warning["code"] for warning in latest["health"]["warnings"]}
    assert estimate(latest, "latency_ms", "mean") == 300
    assert [arm["sessions"] for arm in first["variants"]] == [5, 5]
    assert first["health"]["excluded"]["stale_version"] == 4
    assert estimate(first, "latency_ms", "mean") == 100
    assert latest["health"]["excluded"]["crossover"] == first["health"]["excluded"]["crossover"] == 0


def test_what_there_is_not_is_refused_with_what_there_is(
    results_server: ServerProcess, known: list[list[Session]]
) -> None:
    options = ("metrics=latency_ms,latncy", "version=9", "epoch=9", "inference=often")

    answers = [results_server.get(f"/experiments/{KEY}/results?{option}") for option in options]

    assert [status for status, _ in answers] == [400, 404, 404, 400]
    told = [answer["error"]["message"] for _, answer in answers]
    assert "'latncy' is no metric of this experiment, which has: latency_ms, " in told[0]
    assert "versions 1 to 1, not 9" in told[1]
    assert "weight epochs 1 to 1, not 9" in told[2]
    assert "fixed_horizon" in told[3]


def test_all_experiments_are_listed_with_their_traffic(
    results_server: ServerProcess, known: list[list[Session]]
) -> None:
    define_models(results_server, "listed", list(MODELS))
    began = datetime.now(UTC)
    traffic = Traffic("listed")
    traffic.expose(session_id_in(0, "listed"), "gpt-4o")
    traffic.trace(session_id_in(0, "listed"))
    traffic.send(results_server)

    status, answer = results_server.get("/experiments")
    listed = {entry["key"]: entry for entry in answer["experiments"]}

    assert status == 200
    entry = listed["listed"]
    assert {name: entry[name] for name in ("status", "config_version", "variants", "sessions", "calls")} == {
        "status": "running",
        "config_version": 1,
        "variants": list(MODELS),
        "sessions": 1,
        "calls": 1,
    }
    assert datetime.fromisoformat(entry["first_exposure_at"]) >= began
    assert listed[KEY]["sessions"] == 2 * SESSIONS_AN_ARM + 7
    define_models(results_server, "waiting", list(MODELS))
    waiting = next(e for e in results_server.get("/experiments")[1]["experiments"] if e["key"] == "waiting")
    assert (waiting["status"], waiting["sessions"], waiting["last_seen_at"]) == ("waiting", 0, None)


def test_sql_s_sessions_of_an_experiment_add_up_to_its_results(
    results_server: ServerProcess, known: list[list[Session]]
) -> None:
    """The very statement of docs/sql.md; beside it, why sessions do not count."""
    statement = f"""
        SELECT variant, count(*) AS sessions, sum(calls) AS calls,
            sum(latency_ms_sum) / sum(latency_count) AS latency_ms,
            sum(time_to_first_token_ms_sum) / sum(time_to_first_token_count) AS time_to_first_token_ms,
            sum(errors) / sum(calls) AS error_rate, sum(cost_sum) / sum(cost_count) AS cost_per_call,
            avg(cost_sum) FILTER (is_cost_known) AS cost_per_session,
            sum(output_tokens) / sum(tokens_count) AS output_tokens, avg(calls) AS calls_per_session
        FROM experiment_sessions WHERE config_key = '{KEY}' AND is_counted
        GROUP BY variant, variant_index ORDER BY variant_index
    """
    labels = f"SELECT label, count(*) AS n FROM experiment_sessions WHERE config_key = '{KEY}' GROUP BY label"

    found = results_server.sql(statement)
    answer = strict_results(results_server, KEY)

    figures = answered_figures(answer)
    by_name = {
        "latency_ms": ("latency_ms", "mean", "per_call", None),
        "time_to_first_token_ms": ("time_to_first_token_ms", "mean", "per_call", None),
        "error_rate": ("error_rate", "ratio", "per_call", None),
        "cost_per_call": ("cost_usd", "mean", "per_call", None),
        "cost_per_session": ("cost_usd", "mean", "per_session", None),
        "output_tokens": ("output_tokens", "mean", "per_call", None),
        "calls_per_session": ("calls_per_session", "mean", "per_session", None),
    }
    for place, row in enumerate(found):
        arm = answer["variants"][place]
        assert (row["variant"], row["sessions"], row["calls"]) == (arm["key"], arm["sessions"], arm["calls"])
        for name, key in by_name.items():
            assert row[name] == pytest.approx(figures[key]["variants"][place]["estimate"], rel=1e-12), name
    counts = {row["label"]: row["n"] for row in results_server.sql(labels)}
    assert counts.pop("randomised") == sum(arm["sessions"] for arm in answer["variants"])
    excluded = answer["health"]["excluded"]
    assert counts == {label: n for label, n in excluded.items() if n}
    assert counts["missing_exposure"] == 4
    unexposed = results_server.sql(
        "SELECT session_id, variant_index, is_counted, exposed_at, calls FROM experiment_sessions "
        f"WHERE config_key = '{KEY}' AND label = 'missing_exposure'"
    )
    # The hash tells where each would have been.
    assert [row["variant_index"] for row in unexposed] == [
        arm_of_hash(row["session_id"], (50, 50)) for row in unexposed
    ]
    assert {(row["is_counted"], row["exposed_at"]) for row in unexposed} == {(False, None)}
    assert all(row["calls"] for row in unexposed)


def assert_figures(answer: dict[str, Any], arms: Sequence[Sequence[Session]], keys: Sequence[str]) -> None:
    """Compare each metric, each arm and each comparison of the answer with what numpy makes of the sessions."""
    figures = [figures_of(sessions, arms) for sessions in arms]
    answered = answered_figures(answer)
    every = set().union(*figures)
    assert answered.keys() == every
    for key in every:
        found = [arm.get(key) or absent(key, len(sessions)) for arm, sessions in zip(figures, arms, strict=True)]
        metric = answered[key]
        for arm, figure, name in zip(metric["variants"], found, keys, strict=True):
            assert arm == nearly(figure.as_answered(name), 1e-6), (key, name)
        for compared, figure, name in zip(metric["comparisons"], found[1:], keys[1:], strict=True):
            wanted = comparison_of(found[0], figure)
            assert (compared["variant"], compared["vs"]) == (name, keys[0])
            assert compared["difference"] == nearly(wanted["difference"], 1e-6), key
            assert compared["lift"] == nearly(wanted["lift"] | {"ci_method": "fieller"}, 1e-6), key
            assert (compared["status"], compared["p_value"]) == (wanted["status"], nearly(wanted["p_value"], 1e-6)), key


def absent(key: tuple[str, str, str, str | None], sessions: int) -> Figure:
    """Return the figure of an arm none of whose sessions gave a metric's value."""
    successes = 0 if key[1] == "proportion" else None
    return Figure(None, None, 0, 0, 0.0 if sessions else None, successes=successes)


def nearly(value: Any, rel: float = 1e-9) -> Any:
    """Equal in each number but for the order in which sums were taken, and exactly in all else."""
    if isinstance(value, dict):
        return {name: nearly(part, rel) for name, part in value.items()}
    if isinstance(value, list):
        return [nearly(part, rel) for part in value]
    return pytest.approx(value, rel=rel, abs=1e-12) if isinstance(value, float) else value


def assert_same_figures(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for section in ("variants", "health", "metrics"):
        assert found[section] == nearly(wanted[section])


def estimate(answer: dict[str, Any], name: str, statistic: str) -> float | None:
    """Return the first arm's figure."""
    metric = next(found for found in answer["metrics"] if (found["name"], found["statistic"]) == (name, statistic))
    found: float | None = metric["variants"][0]["estimate"]
    return found


def define_models(server: ServerProcess, key: str, models: list[str]) -> None:
    """Define an even test of the models."""
    variants = [{"model": model, "weight": 100 / len(models)} for model in models]
    server.define({"configs": [{"key": key, "variants": variants}]})


def strict_results(server: ServerProcess, key: str) -> dict[str, Any]:
    """Return the results for one look, which must be JSON in the strict sense: no NaN, no Infinity."""
    status, _, body = server.request("GET", f"/experiments/{key}/results?inference=fixed_horizon")
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body, parse_constant=refuse)
    return answer


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
