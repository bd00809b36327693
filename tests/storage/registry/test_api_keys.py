"""API keys at rest: what is kept of them, and that they are never unmade."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from schemas.scopes import ADMIN, INGEST, READ, Scope
from storage.registry import api_keys
from storage.registry.api_keys import PREFIX_CHARS, ApiKeys, Rates
from storage.registry.errors import KeyNotFoundError, TooManyKeysError


@pytest.fixture
def keys(registry_url: str) -> Iterator[ApiKeys]:
    keys = ApiKeys(registry_url)
    yield keys
    keys.close()


def test_a_key_is_found_as_it_was_made(keys: ApiKeys) -> None:
    expires_at = datetime.now(UTC) + timedelta(days=1)

    made, _ = keys.create("web", INGEST | READ, name="Ingress", rates=Rates(5, 1e6), expires_at=expires_at)

    assert keys.all() == [made]
    assert (made.project, made.scopes, made.name) == ("web", {Scope.INGEST, Scope.READ}, "Ingress")
    assert (made.rates, made.expires_at, made.revoked_at) == (Rates(5, 1e6), expires_at, None)


def test_of_a_key_only_its_hash_and_prefix_are_on_disk(tmp_path: Path) -> None:
    keys = ApiKeys(f"sqlite:///{tmp_path}/registry.sqlite3")
    made, text = keys.create("web", INGEST)
    keys.close()

    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert text.startswith(made.prefix)
    assert text.encode() not in files
    assert text[PREFIX_CHARS + 1 :].encode() not in files
    assert hashlib.sha256(text.encode()).hexdigest().encode() in files


def test_no_two_keys_are_alike(keys: ApiKeys) -> None:
    texts = {keys.create("web", INGEST)[1] for _ in range(50)}

    assert len(texts) == len({text[PREFIX_CHARS:] for text in texts}) == 50


def test_keys_of_one_project_are_listed_alone(keys: ApiKeys) -> None:
    one, _ = keys.create("one", INGEST)
    two, _ = keys.create("two", ADMIN)

    assert keys.all("one") == [one]
    assert keys.all() == [one, two]
    assert keys.all("three") == []


def test_a_revoked_key_stays_listed_and_its_moment_stays(keys: ApiKeys) -> None:
    made, _ = keys.create("web", INGEST)

    revoked = keys.revoke(made.prefix)

    assert revoked.revoked_at is not None
    assert revoked.state(datetime.now(UTC)) == "revoked"
    assert keys.revoke(made.prefix) == revoked
    assert keys.all() == [revoked]
    assert keys.unrevoked()[1] == []
    assert keys.exist()


def test_an_unknown_prefix_is_named(keys: ApiKeys) -> None:
    with pytest.raises(KeyNotFoundError, match="'fallom_0'"):
        keys.revoke("fallom_0")


def test_the_stamp_changes_with_every_key_made_or_revoked(keys: ApiKeys) -> None:
    stamps = [keys.stamp()]
    one, _ = keys.create("web", INGEST)
    stamps.append(keys.stamp())
    keys.create("web", INGEST)
    stamps.append(keys.stamp())
    keys.revoke(one.prefix)
    stamps.append(keys.stamp())

    assert len(set(stamps)) == 4
    assert keys.unrevoked()[0] == stamps[-1]


def test_there_is_a_limit_of_keys_that_count(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "KEYS_MAX", 2)
    first, _ = keys.create("web", INGEST)
    keys.create("web", INGEST)

    with pytest.raises(TooManyKeysError, match="revoke some"):
        keys.create("web", INGEST)

    keys.revoke(first.prefix)
    keys.create("web", INGEST)


def test_a_scope_of_a_later_version_gives_no_right(keys: ApiKeys, registry_url: str) -> None:
    keys.create("web", INGEST)
    engine = create_engine(registry_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE api_keys SET scopes = 'everything,read'"))
    engine.dispose()

    assert keys.all()[0].scopes == {Scope.READ}
