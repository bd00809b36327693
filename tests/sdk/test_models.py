"""models.get: the server's assignment, without waiting for the server."""

import asyncio
import concurrent.futures
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdk_server import CONFIG, FakeServer, Said, as_it_should, said

import fallom
from fallom import models, runtime, trace
from fallom.assignment import Assignment, assign
from fallom.context import current_session, propagate
from fallom.errors import ConfigNotFoundError
from fallom.plan import Plan

pytestmark = pytest.mark.usefixtures("sdk")


def init(fake: FakeServer, **options: Any) -> None:
    assert fallom.init(api_key="key", base_url=fake.url, wait_s=30, **options)


weights = st.one_of(st.floats(0, 200), st.integers(0, 100), st.sampled_from(["50", "33.3"]), st.floats(-5, 5))
variants = st.lists(st.fixed_dictionaries({"model": st.sampled_from("abc"), "weight": weights}), min_size=1, max_size=5)
targetings = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "individualTargets": st.just([{"field": "customerId", "value": "ann", "variantIndex": -1}]),
        "rules": st.builds(
            lambda index: [{"conditions": [{"field": "p", "operator": "eq", "value": "x"}], "variantIndex": index}],
            st.integers(-6, 6),
        ),
    },
)
configs = st.fixed_dictionaries(
    {
        "key": st.just("k"),
        "version": st.just(1),
        "variants": st.one_of(variants, variants.map(lambda vs: {f"v{i}": v for i, v in enumerate(vs)})),
    },
    optional={
        "hash_version": st.sampled_from([1, 2]),
        "seed": st.sampled_from(["a", ""]),
        "traffic": st.floats(0, 100),
        "sticky_by": st.sampled_from([None, "session", "customer", "request"]),
        "targeting": st.one_of(st.none(), targetings),
    },
)


@given(
    configs,
    st.text(),
    st.sampled_from([None, "ann", "bob"]),
    st.sampled_from([None, {"p": "x"}]),
    st.sampled_from([None, "r"]),
)
def test_a_plan_assigns_as_the_pure_function_does(
    config: dict[str, Any],
    session_id: str,
    customer_id: str | None,
    context: dict[str, str] | None,
    request_id: str | None,
) -> None:
    try:
        expected = assign(config, session_id, customer_id=customer_id, context=context, request_id=request_id)
    except UnicodeEncodeError:
        return
    assert Plan(config).assign(session_id, customer_id, context, request_id) == expected


def test_the_session_gets_its_model_and_the_server_hears_of_it_once(fake: FakeServer) -> None:
    init(fake)
    expected = assign(CONFIG, "session-1")
    for _ in range(3):
        assert models.get("agent", "session-1", customer_id="ann") == expected.model
    assert fallom.flush(30)
    assert fake.events("/sessions") == [
        {
            "config_key": "agent",
            "config_version": 3,
            "session_id": "session-1",
            "assigned_model": expected.model,
            "variant_index": expected.variant_index,
            "reason": "weight",
            "customer_id": "ann",
        }
    ]


def test_many_exposures_go_in_few_requests(fake: FakeServer) -> None:
    init(fake)
    for number in range(2_000):
        models.get("agent", f"session-{number}")
    assert fallom.flush(60)
    assert len({event["session_id"] for event in fake.events("/sessions")}) == 2_000
    assert len(fake.of("/sessions")) < 100


def test_a_server_that_knows_no_lists_gets_them_one_by_one(fake: FakeServer) -> None:
    def singly(asked: Any) -> Said:
        return Said(400) if asked.body.startswith(b"[") else as_it_should(asked)

    fake.answer = singly
    init(fake)
    for number in range(20):
        models.get("agent", f"session-{number}")
    assert fallom.flush(60)
    singles = [asked.content for asked in fake.of("/sessions") if not asked.body.startswith(b"[")]
    assert {event["session_id"] for event in singles} == {f"session-{number}" for number in range(20)}
    assert runtime.current().losses.as_dict() == {}


def test_before_the_first_answer_the_fallback_is_returned_at_once(fake: FakeServer) -> None:
    release = threading.Event()

    def held(asked: Any) -> Said:
        if asked.method == "GET":
            release.wait(30)
        return as_it_should(asked)

    fake.answer = held
    assert not fallom.init(api_key="key", base_url=fake.url)
    assert models.assign("agent", "session-1", fallback="mine") == Assignment(-1, "mine", "mine", "fallback")
    release.set()
    assert models.ready(30)
    assert models.get("agent", "session-1", fallback="mine") == assign(CONFIG, "session-1").model
    assert fallom.flush(30)
    assert {event["reason"] for event in fake.events("/sessions")} == {"fallback", "weight"}


def test_without_a_fallback_the_first_answer_is_waited_for_and_then_an_unknown_config_is_an_error(
    fake: FakeServer,
) -> None:
    fallom.init(api_key="key", base_url=fake.url)
    assert models.get("agent", "session-1") == assign(CONFIG, "session-1").model
    with pytest.raises(ConfigNotFoundError, match=r"config 'nowhere' is not known, though the server was asked"):
        models.get("nowhere", "session-1")
    with pytest.raises(ValueError, match="nowhere"):
        models.get("nowhere", "session-1")


def test_fallbacks_are_said_once_a_minute(fake: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    init(fake)
    for number in range(50):
        assert models.get("nowhere", f"session-{number}", fallback="mine") == "mine"
    assert len([record for record in caplog.records if "fallback" in record.message]) == 1


def test_a_version_that_is_pinned_is_fetched_in_the_background(fake: FakeServer) -> None:
    init(fake)
    assert models.get("agent", "session-1", version=1, fallback="mine") == "mine"
    fake.wait_for(lambda: runtime.current().configs.pinned.get(("agent", 1)))
    assert models.get("agent", "session-1", version=1, fallback="mine") == assign(CONFIG, "session-1").model


def test_a_version_that_is_not_there_is_asked_for_once(fake: FakeServer) -> None:
    init(fake)
    path = "/configs/agent/version/9"
    for _ in range(3):
        assert models.get("agent", "s", version=9, fallback="mine") == "mine"
        fake.wait_for(lambda: fake.of(path) and not runtime.current().configs.wanted)
        runtime.current().sync.worker.flush(lambda: True, 30)
    assert len(fake.of(path)) == 1


def test_what_is_remembered_of_a_session_is_of_one_version_and_one_customer(fake: FakeServer) -> None:
    init(fake)
    first = models.get("agent", "session-1")
    assert models.get("agent", "session-1") == first
    other = next(variant["model"] for variant in CONFIG["variants"] if variant["model"] != first)
    index = [variant["model"] for variant in CONFIG["variants"]].index(other)
    target = {"field": "customerId", "value": "ann", "variantIndex": index}
    changed = {**CONFIG, "version": 4, "targeting": {"individualTargets": [target]}}
    runtime.current().configs.replace({"configs": [changed]})
    assert models.get("agent", "session-1") == first
    assert models.get("agent", "session-1", customer_id="ann") == other
    assert models.get("agent", "session-1") == first
    runtime.current().configs.replace(
        {"configs": [{**CONFIG, "version": 5, "variants": [{"model": "c", "weight": 1}]}]}
    )
    assert models.get("agent", "session-1") == "c"
    assert fallom.flush(30)
    versions = [(event["config_version"], event["assigned_model"]) for event in fake.events("/sessions")]
    assert versions == [(3, first), (4, first), (4, other), (5, "c")]


def test_what_is_remembered_enters_the_session_too(fake: FakeServer) -> None:
    init(fake)
    for _ in range(2):
        models.get("agent", "session-1")
        trace.set_session("outer", "session-2")
        models.get("agent", "session-1")
        assert trace.get_session() == {"config_key": "agent", "session_id": "session-1"}
    models.RECENT_MAX, before = 5, models.RECENT_MAX
    for number in range(20):
        models.get("agent", f"session-{number}")
    models.RECENT_MAX = before
    assert len(runtime.current().recent) <= 5


def test_a_change_is_followed_and_an_unchanged_list_costs_a_304(fake: FakeServer) -> None:
    init(fake, sync_interval_s=0.05)
    fake.wait_for(lambda: len(fake.of("/configs")) > 2)
    assert fake.of("/configs")[-1].headers["if-none-match"] == '"1"'
    changed = {**CONFIG, "version": 4, "variants": [{"model": "new", "weight": 100}]}
    fake.answer = lambda asked: said({"configs": [changed]}) if asked.path == "/configs" else as_it_should(asked)
    fake.wait_for(lambda: models.get("agent", "session-1") == "new")
    # Sessions that are pinned to the version of before find it without a call.
    assert models.get("agent", "session-1", version=3) == assign(CONFIG, "session-1").model


def test_what_was_fetched_last_is_there_at_the_next_start_with_the_server_gone(fake: FakeServer) -> None:
    init(fake)
    models.get("agent", "s", version=1, fallback="mine")
    fake.wait_for(lambda: runtime.current().configs.pinned.get(("agent", 1)))
    runtime.current().sync.worker.flush(lambda: True, 30)
    fallom.shutdown()
    fake.stop()
    runtime._current = runtime._none
    assert not fallom.init(api_key="key", base_url=fake.url)
    assert models.assign("agent", "session-1").reason == "weight"
    assert models.assign("agent", "session-1", version=1).reason == "weight"
    fallom.init(api_key="another key", base_url=fake.url)
    assert models.assign("agent", "session-1", fallback="mine").reason == "fallback"


def test_the_cache_is_this_users_alone_and_has_no_key_in_it(fake: FakeServer, tmp_path: Path) -> None:
    init(fake, cache_dir=str(tmp_path / "kept"))
    assert runtime.current().wait_until_tried(30)
    fallom.shutdown()
    files = list((tmp_path / "kept").iterdir())
    assert len(files) == 3
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert not [path for path in files if b"Bearer" in path.read_bytes() or "key" in path.name.split("-")[0]]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1, "document": {"configs": 5}}', b"\x00" * 100])
def test_a_damaged_cache_is_as_none(fake: FakeServer, tmp_path: Path, content: bytes) -> None:
    init(fake, cache_dir=str(tmp_path / "kept"))
    fallom.shutdown()
    for path in (tmp_path / "kept").iterdir():
        path.write_bytes(content)
    runtime._current = runtime._none
    init(fake, cache_dir=str(tmp_path / "kept"))
    assert models.assign("agent", "session-1").reason == "weight"


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="there is no path to refuse")
def test_a_cache_that_cant_be_written_is_said_once(fake: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    init(fake, cache_dir="/proc/self/nowhere")
    assert models.assign("agent", "session-1").reason == "weight"
    assert len([record for record in caplog.records if "can't be kept" in record.message]) == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"key": "agent"},
        {"key": "agent", "variants": []},
        {"key": "agent", "variants": [{"model": "a"}]},
        {"key": "agent", "variants": [{"model": "a", "weight": "much"}]},
        {"key": "agent", "variants": [{"model": "a", "weight": 1}], "version": "new"},
        {"key": "agent", "variants": [{"model": "a", "weight": 1}], "hash_version": 7},
        "agent",
    ],
)
def test_a_config_that_cant_be_used_leaves_the_one_of_before(fake: FakeServer, bad: object) -> None:
    init(fake, sync_interval_s=0.05)
    other = {**CONFIG, "key": "other"}
    fake.answer = lambda asked: said({"configs": [bad, other]}) if asked.path == "/configs" else as_it_should(asked)
    fake.wait_for(lambda: "other" in runtime.current().configs.latest)
    expected = ["agent", "other"] if isinstance(bad, dict) else ["other"]
    assert sorted(runtime.current().configs.latest) == expected


def test_the_first_get_begins_without_init(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLOM_API_KEY", "key")
    monkeypatch.setenv("FALLOM_CONFIGS_URL", fake.url)
    assert models.get("agent", "session-1") == assign(CONFIG, "session-1").model
    assert runtime.current().tracing is None


def test_models_init_alone_traces_nothing_and_joins_what_trace_init_began(fake: FakeServer) -> None:
    models.init(api_key="key", base_url=fake.url)
    assert runtime.current().tracing is None
    models.init()
    trace.init(base_url=fake.url)
    assert runtime.current().tracing is not None
    assert runtime.current().settings.configs_url == fake.url


def test_after_shutdown_fallbacks_are_used_and_nothing_begins_by_itself(fake: FakeServer) -> None:
    init(fake)
    fallom.shutdown()
    assert models.get("agent", "session-1", fallback="mine") == "mine"
    with pytest.raises(ConfigNotFoundError, match="shutdown"):
        models.get("agent", "session-1")


def test_a_session_id_that_is_no_text_gets_the_fallback(fake: FakeServer) -> None:
    init(fake)
    wrong: Any = None
    assert models.get("agent", wrong, fallback="mine") == "mine"
    with pytest.raises(AttributeError):
        models.get("agent", wrong)


def test_get_makes_the_session_current_and_keeps_its_customer(fake: FakeServer) -> None:
    init(fake)
    trace.set_session("outer", "session-1", customer_id="ann", tags=["a"])
    models.get("agent", "session-1")
    assert trace.get_session() == {
        "config_key": "agent",
        "session_id": "session-1",
        "customer_id": "ann",
        "tags": ["a"],
    }
    models.get("agent", "session-2")
    assert trace.get_session() == {"config_key": "agent", "session_id": "session-2"}


def test_sessions_of_tasks_and_threads_are_apart(fake: FakeServer) -> None:
    init(fake)

    async def one(number: int) -> str | None:
        models.get("agent", f"session-{number}")
        await asyncio.sleep(0)
        session = current_session()
        return session.session_id if session else None

    async def all_of_them() -> list[str | None]:
        return await asyncio.gather(*(one(number) for number in range(10_000)))

    assert asyncio.run(all_of_them()) == [f"session-{number}" for number in range(10_000)]
    assert current_session() is None
    trace.set_session("agent", "mine")
    with propagate(concurrent.futures.ThreadPoolExecutor(2)) as executor:
        assert {s.session_id for s in executor.map(lambda _: current_session(), range(10)) if s} == {"mine"}


def test_what_is_remembered_of_exposures_is_bounded(fake: FakeServer) -> None:
    fake.answer = lambda asked: as_it_should(asked) if asked.method == "GET" else Said(503)
    init(fake)
    for number in range(50_000):
        models.get("agent", f"session-{number}")
    outbox = runtime.current().outbox
    assert outbox is not None
    assert len(outbox) <= 11_000
    assert len(outbox._reported) + len(outbox._reported_before) <= 20_000
    lost = runtime.current().losses.as_dict()["exposures: the queue was full"]
    assert lost + len(outbox) == 50_000


def test_ready_says_when_it_is(fake: FakeServer) -> None:
    fake.answer = lambda asked: Said(500)
    fallom.init(api_key="key", base_url=fake.url, sync_interval_s=0.05)
    began = time.monotonic()
    assert not models.ready(0.1)
    assert time.monotonic() - began >= 0.1
    fake.answer = as_it_should
    assert models.ready(30)


def test_debug_says_what_was_assigned(fake: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    init(fake)
    with caplog.at_level(logging.WARNING):
        models.get("agent", "session-1", debug=True)
    assert "session-1" in caplog.text
