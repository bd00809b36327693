"""The keys that a server holds in memory: who is admitted, and when what was made or revoked counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.component import CollectorError, PermissionDeniedError, RateError, UnauthenticatedError
from schemas.scopes import ADMIN, FETCH, INGEST, READ
from server import key_ring
from server.key_ring import KeyRing
from storage.registry.api_keys import PREFIX_CHARS, ApiKeys, Rates
from storage.registry.errors import RegistryUnavailableError

NO_RATES = Rates()
SEEN_S_MAX = 10.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/registry.sqlite3"


@pytest.fixture
def keys(url: str) -> Iterator[ApiKeys]:
    keys = ApiKeys(url)
    yield keys
    keys.close()


@pytest.fixture
def ring_of(url: str) -> Iterator[Callable[..., KeyRing]]:
    rings = []

    def make(*, rates: Rates = NO_RATES, may_be_open: bool = True) -> KeyRing:
        rings.append(KeyRing(ApiKeys(url), rates=rates, may_be_open=may_be_open))
        return rings[-1]

    yield make
    for ring in rings:
        ring.stop()


def refusal(ring: KeyRing, key: str) -> CollectorError:
    with pytest.raises(CollectorError) as caught:
        ring.admit(key, INGEST)
    return caught.value


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SEEN_S_MAX
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_admitted(ring: KeyRing, key: str) -> bool:
    try:
        ring.admit(key, INGEST)
    except UnauthenticatedError:
        return False
    return True


def test_a_key_admits_to_its_project(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    _, one = keys.create("one", INGEST)
    _, two = keys.create("two", INGEST)
    ring = ring_of()

    assert [ring.admit(key, INGEST).project for key in (one, two)] == ["one", "two"]


def test_no_key_a_wrong_one_and_a_part_of_one_are_refused(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    _, key = keys.create("one", INGEST)
    _, other = keys.create("two", INGEST)
    ring = ring_of()
    mixed = other[:PREFIX_CHARS] + key[PREFIX_CHARS:]

    for wrong in ("", "any", key[:PREFIX_CHARS], key[:-1], key + "0", key.upper(), mixed, key * 100, "\x00", "ä" * 300):
        assert isinstance(refusal(ring, wrong), UnauthenticatedError), wrong
    assert ring.refused == {"unauthenticated": 10}


def test_a_refusal_tells_nothing_of_the_key(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    keys.create("one", INGEST)

    assert "secret" not in str(refusal(ring_of(), "fallom_000000000000_secret"))


def test_an_expired_key_is_refused(
    keys: ApiKeys, ring_of: Callable[..., KeyRing], monkeypatch: pytest.MonkeyPatch
) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    _, key = keys.create("one", INGEST, expires_at=expires_at)
    ring = ring_of()

    assert is_admitted(ring, key)
    monkeypatch.setattr(time, "time", expires_at.timestamp)
    assert not is_admitted(ring, key)


def test_a_scope_is_needed_and_admin_has_all(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    _, key = keys.create("one", READ)
    _, admin = keys.create("one", ADMIN)
    ring = ring_of()

    for wanted in (INGEST, READ, FETCH, ADMIN):
        assert ring.admit(admin, wanted).project == "one"
    assert ring.admit(key, FETCH).project == "one"
    with pytest.raises(PermissionDeniedError, match=f"{key[:PREFIX_CHARS]} has the scope read; this needs admin"):
        ring.admit(key, ADMIN)


def test_without_any_key_everybody_is_the_default_project(ring_of: Callable[..., KeyRing]) -> None:
    ring = ring_of()

    assert [ring.admit(key, ADMIN).project for key in ("", "any")] == ["default", "default"]


def test_a_door_that_may_not_be_open_is_shut_without_any_key(ring_of: Callable[..., KeyRing]) -> None:
    ring = ring_of(may_be_open=False)

    assert isinstance(refusal(ring, ""), UnauthenticatedError)


def test_the_first_key_shuts_the_door_of_a_server_that_runs(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    ring = ring_of()
    ring.start()

    _, key = keys.create("one", INGEST)

    until(lambda: not is_admitted(ring, ""))
    assert ring.admit(key, INGEST).project == "one"


def test_a_revoked_key_is_refused_after_the_next_look(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    record, key = keys.create("one", INGEST)
    ring = ring_of()
    ring.start()
    assert is_admitted(ring, key)

    keys.revoke(record.prefix)

    until(lambda: not is_admitted(ring, key))
    # Two seconds are promised: a second is left for a query.
    assert key_ring.REFRESH_S <= 1


def test_revoking_the_last_key_opens_no_door(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    record, key = keys.create("one", INGEST)
    ring = ring_of()
    ring.start()

    keys.revoke(record.prefix)

    until(lambda: not is_admitted(ring, key))
    assert not is_admitted(ring, "")
    assert not is_admitted(ring_of(), "")


def test_a_request_asks_no_database(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    _, key = keys.create("one", INGEST)
    asked: list[str] = []
    ring = ring_of()
    source = ring._keys
    for name in ("stamp", "unrevoked", "exist"):
        setattr(source, name, lambda name=name: asked.append(name))

    for number in range(1000):
        is_admitted(ring, key)
        is_admitted(ring, f"fallom_{number:012x}_wrong")

    assert asked == []


def test_wrong_keys_take_no_memory(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    keys.create("one", INGEST)
    ring = ring_of()

    for number in range(1000):
        is_admitted(ring, f"fallom_{number:012x}_wrong")

    assert len(ring._callers) == 1
    assert len(ring.refused) == 1


def test_while_the_database_cannot_be_read_the_keys_read_before_count(
    keys: ApiKeys,
    ring_of: Callable[..., KeyRing],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise RegistryUnavailableError("the disk is gone")

    monkeypatch.setattr(key_ring, "REFRESH_S", 0.01)
    _, key = keys.create("one", INGEST)
    ring = ring_of()
    monkeypatch.setattr(ring._keys, "stamp", broken)
    ring.start()

    until(lambda: "the disk is gone" in caplog.text)

    assert is_admitted(ring, key)
    assert not is_admitted(ring, "")
    time.sleep(0.1)
    assert caplog.text.count("the disk is gone") == 1
    assert ring.warnings() == ("the API keys can't be read, those read before count; the server's log says why",)


def test_a_reading_that_hangs_is_a_warning(
    keys: ApiKeys, ring_of: Callable[..., KeyRing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "REFRESH_S", 0.01)
    monkeypatch.setattr(key_ring, "READ_S_MAX", 0.2)
    ring = ring_of()
    answering = threading.Event()
    monkeypatch.setattr(ring._keys, "stamp", lambda: answering.wait(SEEN_S_MAX) and ring._stamp)
    ring.start()

    until(lambda: "could not be read for" in "".join(ring.warnings()))

    answering.set()
    until(lambda: not ring.warnings())


def test_what_is_left_of_a_rate_outlives_a_change_of_other_keys(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    _, key = keys.create("one", INGEST, rates=Rates(requests_per_s=0.01))
    ring = ring_of()
    ring.start()
    ring.admit(key, INGEST)

    _, other = keys.create("two", INGEST)

    until(lambda: is_admitted(ring, other))
    assert isinstance(refusal(ring, key), RateError)


def test_beyond_its_rate_of_requests_a_key_is_refused_with_a_hint_and_others_are_not(
    keys: ApiKeys, ring_of: Callable[..., KeyRing]
) -> None:
    _, key = keys.create("one", INGEST, rates=Rates(requests_per_s=0.01))
    _, other = keys.create("two", INGEST)
    ring = ring_of()
    ring.admit(key, INGEST)

    error = refusal(ring, key)

    assert isinstance(error, RateError)
    assert 60 < error.retry_after_s <= 100
    assert ring.refused == {"rate": 1}
    assert ring.admit(other, INGEST).project == "two"


def test_beyond_its_rate_of_bytes_a_key_is_refused(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    _, key = keys.create("one", INGEST, rates=Rates(bytes_per_s=100))
    ring = ring_of()

    ring.admit(key, INGEST).charge(400)
    ring.admit(key, INGEST).charge(40_000)

    assert "rate of bytes" in str(refusal(ring, key))


def test_the_servers_rates_are_those_of_keys_without_their_own(keys: ApiKeys, ring_of: Callable[..., KeyRing]) -> None:
    _, key = keys.create("one", INGEST)
    _, unlimited = keys.create("one", INGEST, rates=Rates(requests_per_s=0))
    ring = ring_of(rates=Rates(requests_per_s=0.01))
    ring.admit(key, INGEST)

    assert isinstance(refusal(ring, key), RateError)
    for _ in range(100):
        ring.admit(unlimited, INGEST)


def test_it_stops_twice_and_without_start(ring_of: Callable[..., KeyRing]) -> None:
    ring = ring_of()
    ring.stop()
    ring.stop()
