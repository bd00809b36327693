"""Alerts of a real server: declared, found in what clients send, and posted; by the API and by the commands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from alert_receivers import SECRET, WebhookReceiver, mail_receiver, webhook_receiver
from client_messages import exposure, http_client
from experiment_figures import session_id_in
from server_command import answer, rows, run
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

MODELS = ("a", "b")
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with mail_receiver() as mailbox:
        flags = ["--alert-interval-s", "1", "--public-url", "https://fallom.example", "--log-level", "debug"]
        smtp = ["--smtp-url", f"smtp://127.0.0.1:{mailbox.port}", "--smtp-from", "fallom@example.com"]
        server = ServerProcess(tmp_path_factory.mktemp("server") / "data", *flags, *smtp).start()
        yield server
        server.stop()


def define_config(server: ServerProcess, key: str) -> None:
    server.define({"configs": [{"key": key, "variants": [{"model": model, "weight": 50} for model in MODELS]}]})


def declare(server: ServerProcess, key: str, url: str, **more: Any) -> None:
    define_config(server, key)
    alert = {"key": key, "experiments": [key], "webhook": {"url": url, "secret": SECRET}, **more}
    server.define({"alerts": [alert]})


def expose(server: ServerProcess, key: str, counts: tuple[int, int]) -> None:
    with http_client(server.url) as client:
        for arm, count in enumerate(counts):
            for number in range(count):
                sent = exposure(key, session_id_in(arm, f"{key}-{arm}-{number}"), MODELS[arm])
                assert client.post("/sessions", json=sent).status_code == 200


def test_a_sample_ratio_that_is_off_is_posted_once(server: ServerProcess, receiver: WebhookReceiver) -> None:
    # What is sent arm by arm is uneven meanwhile: nobody looks before all is there.
    for key, counts in (("even", (60, 60)), ("skewed", (200, 20))):
        define_config(server, key)
        expose(server, key, counts)
        declare(server, key, receiver.url)

    (posted, *_) = receiver.wait_for(1)
    time.sleep(2.5)

    assert len(receiver.posted) == 1
    assert posted.is_signed()
    assert (posted.content["experiment"], posted.content["kind"]) == ("skewed", "srm")
    assert posted.content["figures"]["observed"] == [200, 20]
    assert posted.content["link"] == "https://fallom.example/experiments/skewed/results"
    _, found = server.get("/alerts/deliveries?alert=skewed&state=delivered")
    assert [one["id"] for one in found["deliveries"]] == [posted.delivery]


def test_a_test_message_tells_whether_it_arrives(server: ServerProcess) -> None:
    with webhook_receiver(404) as closed:
        declare(server, "tested", closed.url, email={"to": ["ann@example.com"]})

        status, found = server.post("/api/alerts/tested/test", {})

        assert closed.posted[0].content["kind"] == "test"
    assert status == 200
    states = {one["channel"]: (one["state"], one["error"]) for one in found["deliveries"]}
    assert states == {"webhook": ("given_up", "HTTP 404"), "email": ("delivered", "")}
    assert server.post("/api/alerts/unknown/test", {})[0] == 404


def test_the_commands_test_and_list(server: ServerProcess, receiver: WebhookReceiver) -> None:
    declare(server, "commanded", receiver.url)

    (tested,) = rows("alerts", "test", "commanded", "--url", server.url)
    (listed,) = rows("alerts", "deliveries", "--url", server.url, "--alert", "commanded")
    (in_files,) = rows("alerts", "deliveries", "--data-dir", server.data_dir, "--alert", "commanded")

    assert (tested["state"], tested["channel"], tested["kind"]) == ("delivered", "webhook", "test")
    assert listed == tested
    assert in_files["state"] == "delivered"
    with webhook_receiver(500) as broken:
        declare(server, "broken", broken.url)
        done = run("alerts", "test", "broken", "--url", server.url)
    assert done.returncode == 1
    assert "the alert broken did not arrive by webhook" in done.stderr


def test_the_secret_is_nowhere_but_in_the_registry(server: ServerProcess) -> None:
    with webhook_receiver() as receiver:
        declare(server, "secretive", receiver.url)
        declare(server, "secretive", receiver.url, on=["srm"])
        body = {"webhook": {"url": receiver.url, "secret": SECRET}}
        shown = [
            server.request("PUT", "/api/alerts/secretive/draft", _json(body), JSON),
            *(
                server.request("GET", f"/api/alerts/{path}")
                for path in (
                    "secretive",
                    "secretive/draft",
                    "secretive/versions",
                    "secretive/versions/2",
                    "secretive/diff?from_version=1",
                )
            ),
            server.request("GET", "/api/alerts"),
            server.request("GET", "/api/export"),
            server.request("POST", "/apply?dry_run=true", _json({"alerts": [{"key": "secretive", **body}]}), JSON),
            server.request("PUT", "/api/alerts/secretive", _json(body), {**JSON, "If-Match": '"7"'}),
            server.request("POST", "/api/alerts/secretive/archive", b"{}", JSON),
            server.request("POST", "/api/alerts/secretive/restore", b"{}", JSON),
        ]

    assert [status for status, _, _ in shown] == [200] * 9 + [412] + [200] * 2
    assert not any(SECRET.encode() in answered for _, _, answered in shown)
    assert sum(b"********" in answered for _, _, answered in shown) >= 8
    assert SECRET not in server.log()
    for command in (("export",), ("history", "alert", "secretive")):
        assert SECRET not in run(*command, "--data-dir", server.data_dir).stdout


def test_what_is_exported_and_applied_again_keeps_the_secret(server: ServerProcess) -> None:
    with webhook_receiver() as receiver:
        declare(server, "exported", receiver.url)
        (alert,) = (one for one in answer("export", "--url", server.url)["alerts"] if one["key"] == "exported")

        server.define({"alerts": [{**alert, "description": "as it was"}]})
        server.post("/api/alerts/exported/test", {})

        assert receiver.posted[0].is_signed()


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
