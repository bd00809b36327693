"""A change reaches clients that run; and with the server gone they go on, by what they know or by their fallback."""

from __future__ import annotations

import time
from typing import Any

import pytest
from client_process import ClientProcess
from server_process import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the environments may have to be made first

PUBLISHED = ("fallom-0.1.0", "fallom-0.1.3", "fallom-0.2.2", "fallom-0.2.7")
# The clients sync every 30 s, here every 0.5 s.
CLOCK = 60
SYNC_S = 30 / CLOCK
each_client = pytest.mark.parametrize("name", PUBLISHED)


def only(model: str) -> dict[str, Any]:
    return {"configs": [{"key": "known", "variants": [{"model": model, "weight": 100}]}]}


@each_client
def test_a_change_reaches_a_published_client_within_its_sync_interval(server: ServerProcess, name: str) -> None:
    server.define(only("before"))
    with ClientProcess(name, "keep_asking.py", {"url": server.url, "clock": CLOCK}) as client:
        first = client.ask(["known", "s", None])
        server.define(only("after"))
        changed_by = time.monotonic() + 2 * SYNC_S + 2
        while (seen := client.ask(["known", "s", None])) and seen["model"] != "after":
            assert time.monotonic() < changed_by
            time.sleep(0.05)

    assert first["model"] == "before"


@each_client
def test_a_published_client_goes_on_when_the_server_is_gone(server: ServerProcess, name: str) -> None:
    server.define(only("cached"))
    with ClientProcess(name, "keep_asking.py", {"url": server.url, "clock": CLOCK}) as client:
        before = client.ask(["known", "s", "fallback"])
        server.kill()
        time.sleep(3 * SYNC_S)
        known = [client.ask(["known", f"s{number}", "fallback"]) for number in range(5)]
        unknown = client.ask(["unknown", "s", "fallback"])

    assert before["model"] == "cached"
    assert {answer["model"] for answer in known} == {"cached"}
    assert max(answer["seconds"] for answer in known) < 0.5
    assert unknown["model"] == "fallback"


@each_client
def test_a_published_client_that_starts_while_the_server_is_gone_falls_back(server: ServerProcess, name: str) -> None:
    server.define(only("never seen"))
    server.kill()
    with ClientProcess(name, "keep_asking.py", {"url": server.url, "clock": CLOCK}) as client:
        assert client.ask(["known", "s", "fallback"])["model"] == "fallback"


def test_openfeature_falls_back_when_the_server_is_gone_and_sees_a_change_at_once(server: ServerProcess) -> None:
    server.define(only("before"))
    question = {"flag": "known", "default": "fallback", "targeting_key": "s", "context": {}}
    with ClientProcess("openfeature", "ofrep_provider.py", {"url": server.url, "api_key": "any"}) as client:
        before = client.ask(question)
        server.define(only("after"))
        after = client.ask(question)
        server.kill()
        gone = client.ask(question)

    assert [answer["value"] for answer in (before, after, gone)] == ["before", "after", "fallback"]
    assert (gone["reason"], gone["error_code"]) == ("ERROR", "GENERAL")
