"""``GET /compare`` over HTTP: what is refused, and a comparison of models that no config knows."""

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from client_messages import PROTOBUF, export_request, http_client, span
from server_command import done, run
from server_process import ServerProcess

pytestmark = pytest.mark.e2e


def send(server: ServerProcess, sessions: int, **more: Any) -> None:
    """Send one call a session, of two models in turn, by any OpenTelemetry app."""
    spans = [
        span(
            "chat",
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": ("a", "b")[place % 2],
                "fallom.session_id": f"session-{place}",
                "gen_ai.usage.input_tokens": 10 + place,
                "gen_ai.usage.output_tokens": 5,
                **more,
            },
        )
        for place in range(sessions)
    ]
    with http_client(server.url) as client:
        body = export_request(spans).SerializeToString()
        assert client.post("/v1/traces", content=body, headers=PROTOBUF).status_code == 200


def get(server: ServerProcess, path: str, **query: str) -> httpx.Response:
    with http_client(server.url) as client:
        return client.get(path, params=query)


def test_models_that_no_config_knows_are_listed_and_compared(server: ServerProcess) -> None:
    send(server, 20)

    listed = get(server, "/compare/values", by="model").json()
    found = get(server, "/compare", by="model", a="a", b="b", metrics="input_tokens").json()

    assert [(row["value"], row["sessions"]) for row in listed["values"]] == [("a", 10), ("b", 10)]
    assert found["observational"] is True
    assert [variant["sessions"] for variant in found["variants"]] == [10, 10]
    entry = next(entry for entry in found["metrics"] if entry["estimand"] == "per_call")
    assert [arm["estimate"] for arm in entry["variants"]] == [19.0, 20.0]
    assert entry["comparisons"][0]["difference"]["estimate"] == 1.0


def test_a_comparison_is_told_as_csv_as_a_picture_and_in_a_terminal(server: ServerProcess, tmp_path: Path) -> None:
    send(server, 20, **{"fallom.config_key": "agent"})
    asked = {"by": "model", "a": "a", "b": "b", "metrics": "input_tokens"}
    with http_client(server.url) as client:
        as_csv = client.get("/compare", params=asked, headers={"Accept": "text/csv"})
        as_picture = client.get("/compare", params=asked, headers={"Accept": "image/svg+xml"})
    picture = tmp_path / "compared.svg"
    given = ("a", "b", "--metric", "input_tokens", "--url", server.url)

    table = done("compare", *given, "--plot", str(picture), "--config", "agent")
    rows = list(csv.DictReader(io.StringIO(done("compare", *given, "--format", "csv"), newline="")))
    listed = done("compare", "--url", server.url).splitlines()
    raw = json.loads(done("compare", *given, "--json"))

    (row, *_) = csv.DictReader(io.StringIO(as_csv.text, newline=""))
    assert (row["experiment"], row["vs"], row["variant"], row["verdict"]) == (
        "compare by model", "a", "b", "no direction",
    )  # fmt: skip
    assert (float(row["control_estimate"]), float(row["difference"])) == (19.0, 1.0)
    assert [each["difference"] for each in rows if each["estimand"] == "per_call"] == [row["difference"]]
    for text in (as_picture.text, picture.read_text()):
        assert "b against a" in ElementTree.fromstring(text).findtext("{http://www.w3.org/2000/svg}title", "")
    assert table.startswith("compare by model, calls of agent\n  observational since ")
    assert "recommendation: none: sessions were not assigned at random" in table
    assert listed == ["model\tsessions\tcalls", "a\t10\t10", "b\t10\t10"]
    assert raw["observational"] is True


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["a"], "b: needed"),
        (["a", "a"], "two values expected, got 'a' twice"),
        (["a", "b", "--by", "colour"], "metadata.KEY expected, got 'colour'"),
        (["--format", "csv"], "name two values"),
        (["a", "b", "--start", "2026"], "must be a time such as 2026-11-21T09:00:00Z, got '2026'"),
        (["a", "b", "--plot", "/nowhere/at/all.svg"], "there is no folder '/nowhere/at'"),
    ],
)
def test_the_command_says_what_is_wrong(shared_server: ServerProcess, flags: list[str], told: str) -> None:
    answer = run("compare", *flags, "--url", shared_server.url)

    assert answer.returncode in (1, 2)
    assert told in answer.stderr
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ({"by": "model", "a": "x", "b": "y"}, 404, "there are: none"),
        ({"by": "model", "a": "x", "b": "x"}, 400, "two values expected"),
        ({"by": "colour", "a": "x", "b": "y"}, 400, "metadata.KEY expected, got 'colour'"),
        ({"by": "metadata.", "a": "x", "b": "y"}, 400, "metadata.KEY expected"),
        ({"by": "model", "a": "x\0", "b": "y"}, 400, "without NUL"),
        ({"by": "model", "a": "x", "b": "y", "from": "2024-01-01", "to": "2026-01-01"}, 400, "92 days at most"),
        ({"by": "model", "a": "x", "b": "y", "from": "2026-01-02", "to": "2026-01-01"}, 400, "not before to"),
        ({"by": "model", "a": "x", "b": "y", "to": "0001-01-01"}, 400, "not before to"),
        ({"by": "model", "a": "x" * 1001, "b": "y"}, 400, "at most 1000"),
        ({"by": "model", "a": "x"}, 400, "b"),
        ({"by": "model", "a": "x", "b": "y", "group": "z"}, 400, "group"),
    ],
)
def test_what_makes_no_comparison_is_refused(
    shared_server: ServerProcess, query: dict[str, str], status: int, told: str
) -> None:
    answer = get(shared_server, "/compare", **query)

    assert answer.status_code == status, answer.text
    assert told in answer.text
