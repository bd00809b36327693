"""Brings a registry's schema to the revision of this code, or to another one, within the caller's transaction.

Most openings find the schema as it should be, so Alembic, which takes longer to import than to run, is imported only
where there is something to do.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from storage.registry.errors import RegistryUnavailableError

HEAD = "0007"
EMPTY = "base"
# Not Alembic's own name: a PostgreSQL database may be shared with other programs, which use that one.
VERSION_TABLE = "registry_schema"


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the database's schema; None for one that is empty, or from before there were any."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    return found


def migrate(connection: Connection, target: str = HEAD) -> None:
    """Bring the schema to ``target``, up or down: all of it or, with the caller's transaction, nothing.

    Raises RegistryUnavailableError where the schema is of a later version of this program.
    """
    found = revision_of(connection)
    if found == target:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    newest_first = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if found is not None and found not in newest_first:
        raise RegistryUnavailableError(
            f"registry is of a later version of fallom-server (its schema is {found}, known is up to {HEAD}): "
            "start that version, or restore a backup from before"
        )
    order = [*newest_first, EMPTY]
    run = command.downgrade if found and order.index(target) > order.index(found) else command.upgrade
    run(config, target)
