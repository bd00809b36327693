"""The registry's schema: made, migrated from what was before, and taken back, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from registry_documents import config
from sqlalchemy import Engine, create_engine, insert, inspect, text

from storage.alerts import tables as alert_tables  # noqa: F401 - part of the metadata
from storage.datasets.datasets import Datasets
from storage.datasets.tables import dataset_entries, dataset_versions
from storage.registry import migrations
from storage.registry.api_keys import ApiKeys
from storage.registry.errors import RegistryUnavailableError
from storage.registry.management import Management
from storage.registry.migrations.schema import EMPTY, HEAD, VERSION_TABLE, migrate, revision_of
from storage.registry.registry import Registry
from storage.registry.tables import metadata

# As the first registries made them, before their schema had a number.
VERSIONS_OF_BEFORE = """
CREATE TABLE resource_versions (
    id {serial}, project VARCHAR(256) NOT NULL, kind VARCHAR(32) NOT NULL, key VARCHAR(256) NOT NULL,
    version INTEGER NOT NULL, body TEXT NOT NULL, created_at {moment} NOT NULL,
    CONSTRAINT uq_resource_versions_project_kind_key_version UNIQUE (project, kind, key, version)
)
"""
BODY = '{"variants":[{"model":"a","weight":50},{"model":"b","weight":50}]}'


@pytest.fixture
def engine(registry_url: str) -> Any:
    engine = create_engine(registry_url)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def make_registry_of_before(engine: Engine) -> None:
    is_sqlite = engine.dialect.name == "sqlite"
    serial = "INTEGER NOT NULL PRIMARY KEY" if is_sqlite else "SERIAL PRIMARY KEY"
    moment = "DATETIME" if is_sqlite else "TIMESTAMP WITH TIME ZONE"
    with engine.begin() as connection:
        connection.execute(text(VERSIONS_OF_BEFORE.format(serial=serial, moment=moment)))
        connection.execute(
            text(
                "INSERT INTO resource_versions (project, kind, key, version, body, created_at) "
                "VALUES ('default', 'config', 'summarizer', 1, :body, '2026-01-02 03:04:05')"
            ),
            {"body": BODY},
        )


def test_a_registry_of_before_keeps_its_versions_and_gets_the_rest(engine: Engine, registry_url: str) -> None:
    make_registry_of_before(engine)

    registry = Registry(registry_url)

    assert registry.configs("default") == [{"version": 1, **config()}]
    (version,) = Management(registry, "config").history("default", "summarizer")
    assert (version.author, version.note, version.restored_from, version.created_at.year) == ("", "", None, 2026)
    keys = ApiKeys(registry_url)
    assert keys.exist() is False
    keys.close()
    registry.close()


def test_the_migrated_schema_is_that_of_the_tables(engine: Engine, registry_url: str) -> None:
    make_registry_of_before(engine)
    Registry(registry_url).close()

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_each_revision_goes_up_and_down_and_up_again(engine: Engine) -> None:
    steps = [script.revision for script in ScriptDirectory(migrations.__path__[0]).walk_revisions()][::-1]
    seen = []
    for target in (*steps, *reversed(steps[:-1]), EMPTY, HEAD):
        with engine.begin() as connection:
            migrate(connection, target)
            assert revision_of(connection) == (None if target == EMPTY else target)
        seen.append(tables(engine) - {VERSION_TABLE})

    assert steps[-1] == HEAD
    assert seen[len(steps) - 1] == seen[-1] == set(metadata.tables)
    assert seen[-2] == set()


def test_going_down_keeps_the_versions(engine: Engine, registry_url: str) -> None:
    make_registry_of_before(engine)
    Registry(registry_url).close()

    with engine.begin() as connection:
        migrate(connection, "0001")

    assert {"resource_events", "resource_drafts"}.isdisjoint(tables(engine))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT body FROM resource_versions")).scalar() == BODY
    registry = Registry(registry_url)
    assert len(registry.configs("default")) == 1
    registry.close()


def test_datasets_that_were_made_before_they_had_a_revision_stay(engine: Engine, registry_url: str) -> None:
    Registry(registry_url).close()
    with engine.begin() as connection:
        migrate(connection, "0002")
        metadata.create_all(connection, tables=[dataset_versions, dataset_entries])
        connection.execute(
            insert(dataset_versions).values(
                project="p",
                key="golden",
                version=1,
                name="Golden",
                source="entries",
                entries=0,
                size_bytes=0,
                created_at=datetime.now(UTC),
            )
        )

    datasets = Datasets(registry_url)

    assert [version.key for version in datasets.latest("p")] == ["golden"]
    datasets.close()
    with engine.connect() as connection:
        assert revision_of(connection) == HEAD


def test_a_migration_that_fails_changes_nothing(engine: Engine, registry_url: str) -> None:
    make_registry_of_before(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE resource_drafts (it_is_in_the_way INTEGER)"))
    before = tables(engine)

    with pytest.raises(RegistryUnavailableError):
        Registry(registry_url)

    assert tables(engine) == before
    assert "author" not in {column["name"] for column in inspect(engine).get_columns("resource_versions")}


def test_a_registry_of_a_later_version_is_refused_and_left_alone(engine: Engine, registry_url: str) -> None:
    Registry(registry_url).close()
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    with pytest.raises(RegistryUnavailableError, match="of a later version of fallom-server"):
        Registry(registry_url)

    with engine.connect() as connection:
        assert revision_of(connection) == "9999"
