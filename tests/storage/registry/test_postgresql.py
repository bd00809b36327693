"""What only a database on a server can do: be away, be slow, refuse."""

from __future__ import annotations

import time

import psycopg
import pytest
from postgresql_server import new_database
from registry_documents import config

from storage.registry.database import POSTGRESQL_LOCK
from storage.registry.document import parse
from storage.registry.errors import RegistryBusyError, RegistryUnavailableError
from storage.registry.registry import SNAPSHOT_AGE_MAX_S, Registry

DOCUMENT = parse({"configs": [config()]})
LOCK = f"SELECT pg_advisory_lock({POSTGRESQL_LOCK})"


def test_a_writer_that_waits_too_long_says_to_try_again() -> None:
    url = new_database()
    registry = Registry(url, busy_timeout_ms=100)
    with psycopg.connect(url) as other:
        other.execute(LOCK)
        with pytest.raises(RegistryBusyError, match="is locked by another process; try again"):
            registry.apply("default", DOCUMENT)
    assert registry.apply("default", DOCUMENT)[0].version == 1
    registry.close()


def test_a_lost_connection_is_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    url = new_database()
    registry = Registry(url)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert registry.apply("default", DOCUMENT)[0].version == 1
    registry.close()


def test_a_database_that_is_gone_is_served_from_memory() -> None:
    url = new_database()
    registry = Registry(url)
    registry.apply("default", DOCUMENT)
    name = url.split("/")[3].split("?")[0]
    with psycopg.connect(url.replace(name, "postgres"), autocommit=True) as other:
        other.execute(f"DROP DATABASE {name} WITH (FORCE)")
    time.sleep(SNAPSHOT_AGE_MAX_S + 0.05)
    assert registry.configs("default") == [{"version": 1, **config()}]
    with pytest.raises(RegistryUnavailableError, match=r"cannot be used: .* does not exist"):
        registry.apply("default", DOCUMENT)
    registry.close()


def test_a_server_that_is_not_there_says_so_without_the_password() -> None:
    with pytest.raises(RegistryUnavailableError, match="cannot be used") as caught:
        Registry("postgresql://someone:secret@127.0.0.1:1/registry")
    assert "secret" not in str(caught.value)


def test_a_user_without_rights_is_told_which() -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("DROP ROLE IF EXISTS reader")
        other.execute("CREATE ROLE reader LOGIN")
    with pytest.raises(RegistryUnavailableError, match="the user has no right to; grant it CREATE"):
        Registry(url.replace("registry@", "reader@"))
