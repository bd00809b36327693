"""Spans as a file, of a running server and of its files: committed and hot ones, each once, nothing of them lost."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from client_messages import PROTOBUF, export_request, span
from server_command import run
from server_process import ServerProcess

from schemas.spans import SPANS

pytestmark = pytest.mark.e2e

DAY_NANO = 86_400 * 10**9
NOON_NANO = 1_795_262_400 * 10**9  # 2026-11-21T12:00:00Z
COMMITTED, HOT = 1200, 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with rows in the lake and, of a second life, in the log."""
    data = tmp_path_factory.mktemp("server") / "data"
    process = ServerProcess(data, "--flush-interval-s", "3600").start()
    try:
        send(process, "committed", COMMITTED, NOON_NANO - DAY_NANO)
        assert process.terminate() == 0
        process.start()
        send(process, "hot", HOT, NOON_NANO)
        yield process
    finally:
        process.stop()


def send(server: ServerProcess, name: str, count: int, start: int) -> None:
    attributes = {"gen_ai.request.model": "gpt-4o", "fallom.config_key": name, "own": {"a": [1, 2.5]}}
    spans = [span(f"{name}-{number}", attributes, start_time_unix_nano=start) for number in range(count)]
    body = export_request(spans).SerializeToString()
    assert server.request("POST", "/v1/traces", body, PROTOBUF)[0] == 200


def asked(server: ServerProcess, place: str) -> tuple[str | Path, ...]:
    return ("--url", server.url) if place == "url" else ("--data-dir", server.data_dir)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("place", ["url", "files"])
def test_every_span_is_there_once(server: ServerProcess, tmp_path: Path, place: str) -> None:
    done = run("traces", "export", "--output", tmp_path / "spans.jsonl", *asked(server, place))

    assert done.returncode == 0, done.stderr
    assert f"{COMMITTED + HOT} spans" in done.stderr
    found = lines((tmp_path / "spans.jsonl").read_text())
    assert len({row["span_id"] for row in found}) == len(found) == COMMITTED + HOT
    assert {row["config_key"] for row in found} == {"committed", "hot"}
    assert [path.name for path in tmp_path.iterdir()] == ["spans.jsonl"]


def test_attributes_are_put_together(server: ServerProcess) -> None:
    _, headers, body = server.request("GET", "/traces/export?config=hot")

    assert headers["content-type"] == "application/jsonl"
    for row in lines(body.decode()):
        assert row["attributes"] == {
            "gen_ai.request.model": "gpt-4o",
            "fallom.config_key": "hot",
            "own": {"a": [1, 2.5]},
        }
        assert "promoted" not in row


@pytest.mark.parametrize("place", ["url", "files"])
def test_parquet_has_the_columns_of_the_table(server: ServerProcess, tmp_path: Path, place: str) -> None:
    path = tmp_path / "spans.parquet"
    done = run("traces", "export", "--output", path, "--format", "parquet", *asked(server, place))

    assert done.returncode == 0, done.stderr
    rows = pq.read_table(path)
    assert rows.schema.names == SPANS.schema.names
    assert rows.num_rows == COMMITTED + HOT


@pytest.mark.parametrize("place", ["url", "files"])
def test_a_time_and_a_config_narrow_it(server: ServerProcess, place: str) -> None:
    until = ("traces", "export", "--output", "-", "--until", "2026-11-21T12:00:00Z", *asked(server, place))
    since = ("traces", "export", "--output", "-", "--since", "2026-11-21T12:00:00Z", *asked(server, place))

    assert {row["config_key"] for row in lines(run(*until).stdout)} == {"committed"}
    assert {row["config_key"] for row in lines(run(*since).stdout)} == {"hot"}
    assert len(lines(run(*until, "--config", "committed").stdout)) == COMMITTED
    assert run(*until, "--config", "hot").stdout == ""


def test_an_export_of_nothing_is_a_file_all_the_same(server: ServerProcess) -> None:
    status, _, body = server.request("GET", "/traces/export?config=none&format=parquet")

    assert status == 200
    assert pq.read_table(io.BytesIO(body)).num_rows == 0
    assert server.request("GET", "/traces/export?config=none")[2] == b""


def test_what_is_wrong_with_the_question_is_told(server: ServerProcess, tmp_path: Path) -> None:
    for query in ("format=xml", "config=hot&variant=9", "from=2026-11-21&to=2026-11-20", "unknown=1"):
        assert server.request("GET", f"/traces/export?{query}")[0] == 400, query

    done = run("traces", "export", "--output", tmp_path / "none" / "x", "--data-dir", server.data_dir)

    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
