"""With a spool, what can't be sent outlives the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sdk_server import FakeServer, Said, as_it_should
from server_process import environment

import fallom
from fallom import models, runtime
from fallom.spool import Spool
from fallom.tracing import tracer

pytestmark = pytest.mark.usefixtures("sdk")

JOB = """
import fallom, sys
from fallom import models, trace
from fallom.tracing import tracer
fallom.init(api_key="key", base_url=sys.argv[1], spool_dir=sys.argv[2], flush_timeout_s=0.5, cache_dir="off")
for number in range(20):
    models.get("agent", f"session-{number}", fallback="mine")
    trace.span({"score": number})
    tracer().start_span("chat", attributes={"number": number}).end()
"""


def test_what_a_job_could_not_send_the_next_run_sends(fake: FakeServer, tmp_path: Path) -> None:
    fake.answer = lambda asked: Said(503)
    spool = tmp_path / "spool"
    command = [sys.executable, "-c", JOB, fake.url, str(spool)]
    subprocess.run(command, check=True, env=environment(), timeout=100)
    assert {path.stat().st_mode & 0o777 for path in spool.rglob("*.*")} == {0o600}
    fake.asked.clear()
    fake.answer = as_it_should
    fallom.init(api_key="key", base_url=fake.url, spool_dir=str(spool))
    fake.wait_for(lambda: len(fake.spans()) == 20 and len(fake.events("/spans")) == 20)
    fake.wait_for(
        lambda: {event["session_id"] for event in fake.events("/sessions")} == {f"session-{n}" for n in range(20)}
    )
    fake.wait_for(lambda: not list(spool.rglob("*.*")))


def test_what_waits_goes_to_the_spool_at_once_and_memory_stays_small(fake: FakeServer, tmp_path: Path) -> None:
    fake.answer = lambda asked: Said(503, b"", {"Retry-After": "0"})
    fallom.init(api_key="key", base_url=fake.url, spool_dir=str(tmp_path))
    for number in range(5_000):
        models.get("agent", f"session-{number}", fallback="mine")
    fake.wait_for(lambda: runtime.current().flush(5))
    assert runtime.current().losses.as_dict() == {}
    fake.answer = as_it_should
    tracer().start_span("chat").end()
    models.get("agent", "one more", fallback="mine")
    fake.wait_for(lambda: len({event["session_id"] for event in fake.events("/sessions")}) == 5_001)


def test_the_oldest_are_removed_where_there_is_no_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, "owner", bytes_max=100)
    for number in range(5):
        assert spool.put("spans", bytes([number]) * 40, 1)
    bodies: list[bytes] = []
    spool.send_kept("spans", lambda body, count: bodies.append(body) is None)
    assert bodies == [bytes([3]) * 40, bytes([4]) * 40]
    assert "are lost" in caplog.text


def test_what_another_process_is_sending_is_left_to_it(tmp_path: Path) -> None:
    one, other = Spool(tmp_path, "owner"), Spool(tmp_path, "owner")
    one.put("spans", b"body", 1)
    seen: list[bytes] = []

    def send(body: bytes, count: int) -> bool:
        other.send_kept("spans", lambda body, count: seen.append(body) is None)
        return True

    one.send_kept("spans", send)
    assert seen == []
    assert not list(tmp_path.rglob("*.spans"))


def test_a_spool_that_cant_be_written_loses_what_it_must_and_says_so(
    fake: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    fake.answer = lambda asked: Said(503)
    fallom.init(api_key="key", base_url=fake.url, spool_dir=f"/proc/{os.getpid()}/nowhere")
    models.get("agent", "s", fallback="mine")
    fallom.shutdown(0.3)
    assert "nothing can be kept" in caplog.text
    assert "the process ended first" in caplog.text
