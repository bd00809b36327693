"""Results of a real server in a terminal, as CSV and a picture over HTTP, and as data frames."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from client_messages import PROTOBUF, export_request, exposure, http_client, metrics, span
from experiment_figures import session_id_in
from server_command import done, run
from server_process import COMMAND, ServerProcess, environment

from analytics.client import Client, ClientError, UnreachableError, session_pages
from analytics.reports.columns import COLUMNS

pytestmark = pytest.mark.e2e

KEY = "teams/bot"
MODELS = {"control": "model-x", "treatment": "model-y"}
SESSIONS_AN_ARM = 6
HOSTILE = "=score\x1b[31m<b>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a small experiment, which answers a statement with five rows at most."""
    running = ServerProcess(tmp_path_factory.mktemp("shell") / "data", "--sql-rows-max", "5").start()
    variants = {key: {"model": model, "weight": 50} for key, model in MODELS.items()}
    running.define({"configs": [{"key": KEY, "variants": variants}]})
    with http_client(running.url) as client:
        for arm, model in enumerate(MODELS.values()):
            for number in range(SESSIONS_AN_ARM):
                session_id = session_id_in(arm, f"it's {arm}-{number}")
                own = {"fallom.config_key": KEY, "fallom.session_id": session_id, "gen_ai.request.model": model}
                start = time.time_ns()
                end = start + (100 + 10 * number + arm) * 1_000_000
                call = span("chat", own, start_time_unix_nano=start, end_time_unix_nano=end)
                body = export_request([call]).SerializeToString()
                for answer in (
                    client.post("/sessions", json=exposure(KEY, session_id, model, 1)),
                    client.post("/spans", json=metrics(KEY, session_id, **{HOSTILE: number + arm})),
                    client.post("/v1/traces", content=body, headers=PROTOBUF),
                ):
                    assert answer.status_code == 200, answer.text
    yield running
    running.stop()


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_reader_that_has_seen_enough_is_no_error(server: ServerProcess, form: str) -> None:
    command = [COMMAND, "results", KEY, "--url", server.url, "--format", form]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()

    assert (process.returncode, told) == (141, "")


def test_without_a_key_the_experiments_are_listed(server: ServerProcess) -> None:
    lines = done("results", "--url", server.url).splitlines()

    assert [line.split("\t")[:5] for line in lines] == [
        ["key", "status", "control", "variants", "sessions"],
        [KEY, "running", "control", "control, treatment", "12"],
    ]


def test_a_table_has_figures_verdicts_and_a_recommendation(server: ServerProcess) -> None:
    text = done("results", KEY, "--url", server.url)

    assert text.startswith(f"{KEY}\n  running since ")
    assert "control (model-x): 50 %, 6 sessions, 6 calls" in text
    assert "health: to be read with care" in text
    assert "· too few sessions" in text
    assert r"=score\x1b[31m<b>" in text
    assert "recommendation: keep running" in text
    assert "\x1b" not in text


def test_a_terminal_has_colours_and_a_width(server: ServerProcess) -> None:
    arguments = [str(COMMAND), "results", KEY, "--url", server.url, "--metric", "latency_ms"]

    def shown(**variables: str) -> str:
        process, descriptor = pty.fork()
        if process == 0:
            os.execve(COMMAND, arguments, environment() | {"TERM": "xterm", "COLUMNS": "60"} | variables)
        parts = []
        while True:
            try:
                part = os.read(descriptor, 65536)
            except OSError:  # what Linux says at the end of a terminal
                break
            if not part:
                break
            parts.append(part)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        return b"".join(parts).decode()

    plain = shown(NO_COLOR="1")
    assert "\x1b[33mto be read with care" in shown()
    assert "\x1b[3" not in plain
    assert max(map(len, plain.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())) <= 60


def test_json_is_the_servers(server: ServerProcess) -> None:
    found = json.loads(done("results", KEY, "--url", server.url, "--json", "--metric", "latency_ms"))
    _, answered = server.get("/experiments/teams%2Fbot/results?metrics=latency_ms")

    assert found["metrics"] == answered["metrics"]
    assert {entry["name"] for entry in found["metrics"]} == {"latency_ms"}


def test_csv_is_the_same_over_http_and_from_the_command(server: ServerProcess) -> None:
    path = "/experiments/teams%2Fbot/results?metrics=latency_ms,%3Dscore%1B%5B31m%3Cb%3E"
    status, headers, body = server.request("GET", path, headers={"Accept": "text/csv"})
    printed = done("results", KEY, "--url", server.url, "--format", "csv", "--metric", f"latency_ms,{HOSTILE}")

    rows = list(csv.DictReader(io.StringIO(body.decode(), newline=""), strict=True))
    assert (status, headers["vary"]) == (200, "Accept")
    assert headers["content-type"].startswith("text/csv")
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert {row["metric"] for row in rows} == {"latency_ms", r"'=score\x1b[31m<b>"}
    assert [{**row, "as_of": ""} for row in csv.DictReader(io.StringIO(printed))] == [
        {**row, "as_of": ""} for row in rows
    ]


def test_segments_are_shown_and_written(server: ServerProcess) -> None:
    arguments = (KEY, "--url", server.url, "--segment", "version", "--metric", "latency_ms")
    table = done("results", *arguments)
    rows = list(csv.DictReader(io.StringIO(done("results", *arguments, "--format", "csv"))))

    assert "version = 1\n" in table
    assert "· exploratory" in table
    whole, segment = ([row for row in rows if row["segment"] == name] for name in ("", "version = 1"))
    assert [row["lift"] for row in segment] == [row["lift"] for row in sorted(whole, key=_place(segment))]


def _place(rows: list[dict[str, str]]) -> Callable[[dict[str, str]], int]:
    """Return what sorts rows by where their figure is among others."""
    figures = [(row["statistic"], row["estimand"]) for row in rows]
    return lambda row: figures.index((row["statistic"], row["estimand"]))


def test_a_form_that_there_is_not_is_refused(server: ServerProcess) -> None:
    path = "/experiments/teams%2Fbot/results"

    assert server.request("GET", path, headers={"Accept": "image/png"})[0] == 406


def test_the_plot_is_a_picture_that_runs_nothing(server: ServerProcess, tmp_path: Path) -> None:
    status, headers, body = server.request("GET", "/experiments/teams%2Fbot/plot.svg?inference=fixed_horizon")

    assert (status, headers["content-type"]) == (200, "image/svg+xml")
    assert headers["content-security-policy"] == "default-src 'none'"
    assert "(fixed horizon)" in "".join(ElementTree.fromstring(body).itertext())
    assert server.get("/experiments/nope/plot.svg")[0] == 404

    for name, start in (("plot.svg", b"<svg"), ("plot.png", b"\x89PNG")):
        done("results", KEY, "--url", server.url, "--plot", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plot.png", "plot.svg"]


def test_watching_goes_on_until_it_is_interrupted(server: ServerProcess) -> None:
    arguments = [COMMAND, "results", KEY, "--url", server.url, "--format", "csv", "--metric", "fallback_rate"]
    with subprocess.Popen([*arguments, "--watch", "0.2"], stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        process.send_signal(signal.SIGINT)
        code = process.wait(20)

    assert {line.split(b",")[4] for line in lines} == {b"metric", b"fallback_rate"}
    assert len({line for line in lines if line.startswith(b"teams")}) == 3  # each as of another moment
    assert code == 130


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "no experiment or config 'nope' is defined; there are: teams/bot"),
        ([KEY, "--metric", "nope"], "'nope' is no metric of this experiment, which has: latency_ms, "),
        ([KEY, "--version", "9"], "has versions 1 to 1, not 9"),
        ([KEY, "--segment", "nope"], "segment"),
        ([KEY, "--plot", "plot.gif"], "plot: a file name that ends in .svg or .png expected, got 'plot.gif'"),
        ([KEY, "--plot", "nowhere/plot.svg"], "plot: there is no folder 'nowhere': make it first"),
        (["--metric", "cost_usd"], "metric: it is for one experiment's results: name its key"),
        (["--format", "csv"], "format: csv is for one experiment's results: name its key"),
    ],
)
def test_an_error_says_what_was_wrong(server: ServerProcess, arguments: list[str], words: str) -> None:
    ended = run("results", *arguments, "--url", server.url)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_server_that_is_away_is_named() -> None:
    ended = run("results", "--url", "http://127.0.0.1:9")

    assert ended.returncode == 1
    assert "http://127.0.0.1:9 can't be reached" in ended.stderr
    assert "is a server running there" in ended.stderr


def test_a_client_answers_in_frames(server: ServerProcess) -> None:
    with Client(server.url) as client:
        listed, found = client.experiments(), client.results(KEY)
        raw = found.raw

    assert listed.select("key", "sessions", "variants").rows() == [(KEY, 12, ["control", "treatment"])]
    assert found.variants.rows() == [
        ("control", "model-x", 0.5, 6, 6, True),
        ("treatment", "model-y", 0.5, 6, 6, False),
    ]
    assert found.comparisons.height == sum(len(entry["comparisons"]) for entry in raw["metrics"])
    assert found.metrics.height == sum(len(entry["variants"]) for entry in raw["metrics"])
    latency = found.metrics.row(by_predicate=_is_mean_latency_of("control"), named=True)
    assert [latency["estimate"], latency["ci_low"], latency["ci_high"]] == [
        raw["metrics"][0]["variants"][0]["estimate"],
        *raw["metrics"][0]["variants"][0]["ci"],
    ]
    assert found.recommendation["action"] == "keep_running"
    assert "<b>" not in found._repr_html_().replace("<b>Health", "").replace("<b>Recommendation", "")


def _is_mean_latency_of(variant: str) -> pl.Expr:
    columns = (pl.col(name) for name in ("metric", "statistic", "estimand", "variant"))
    wanted = ("latency_ms", "mean", "per_call", variant)
    return pl.all_horizontal(column == value for column, value in zip(columns, wanted, strict=True))


def test_columns_have_their_types_whatever_is_in_them(server: ServerProcess) -> None:
    with Client(server.url) as client:
        one = client.results(KEY, metrics=["fallback_rate"]).comparisons
        other = client.results(KEY, metrics=["latency_ms"]).comparisons

    assert one.schema == other.schema
    assert one.schema["as_of"] == pl.Datetime("us", "UTC")
    assert one.schema["first_significant_at"] == pl.Datetime("us", "UTC")
    assert one.schema["lift"] == pl.Float64
    assert pl.concat([one, other]).height == one.height + other.height


def test_the_sessions_are_those_of_the_figures_the_worst_first(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_pages, "PAGE_MAX", 5)
    with Client(server.url) as client:
        results = client.results(KEY)
        latest, slowest = results.sessions(), results.sessions("latency_ms")
        few = results.sessions(HOSTILE, variant="treatment", sort="best", limit=2)
        crossed = results.sessions(label="crossover")
        before = client.results(KEY, as_of=datetime(2026, 1, 1, tzinfo=UTC)).sessions()
        with pytest.raises(ClientError, match="no session has a metric 'nope'"):
            results.sessions("nope")

    assert latest["session_id"].n_unique() == latest.height == slowest.height == 2 * SESSIONS_AN_ARM
    assert set(latest["variant"]) == set(MODELS)
    assert latest["exposed_at"].is_sorted(descending=True)
    assert slowest["value"].to_list() == sorted(
        (100.0 + 10 * n + arm for arm in (0, 1) for n in range(6)), reverse=True
    )
    assert few["value"].to_list() == [SESSIONS_AN_ARM, SESSIONS_AN_ARM - 1]
    assert crossed.is_empty()
    assert before.is_empty()
    assert crossed.schema == latest.schema == few.schema


def test_the_course_of_a_figure_begins_on_the_first_day(server: ServerProcess) -> None:
    with Client(server.url) as client:
        results = client.results(KEY)
        course = results.timeseries("latency_ms", statistic="mean", estimand="per_call")
        past = client.results(KEY, as_of=datetime(2026, 1, 1, tzinfo=UTC)).timeseries("latency_ms")

    now = course.row(-1, named=True)
    assert (now["vs"], now["variant"]) == ("control", "treatment")
    assert (now["control_estimate"], now["control_sessions"]) == (pytest.approx(125.0), SESSIONS_AN_ARM)
    assert past["control_sessions"].to_list() == [0]


def test_an_answer_that_is_cut_or_wrong_is_an_error(server: ServerProcess) -> None:
    with Client(server.url) as client:
        with pytest.raises(ClientError, match="more rows than the server answers"):
            client.sql("SELECT * FROM range(10)")
        with pytest.raises(ClientError, match="syntax error"):
            client.sql("SELEC 1")


def test_a_clients_errors_say_what_was_wrong(server: ServerProcess) -> None:
    with (
        Client(server.url) as client,
        pytest.raises(ClientError, match="no experiment or config 'nope' is defined") as raised,
    ):
        client.results("nope")
    with Client("http://127.0.0.1:9") as away, pytest.raises(UnreachableError, match="can't be reached"):
        away.experiments()

    assert raised.value.status == 404
    assert not isinstance(raised.value, UnreachableError)


def test_an_older_time_is_not_answered_by_the_present(server: ServerProcess) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    with Client(server.url) as client:
        try:
            found = client.results(KEY, as_of=moment)
        except ClientError:
            return
    assert datetime.fromisoformat(found.raw["experiment"]["as_of"]) == moment
