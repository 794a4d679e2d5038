"""Which revision a database's schema has, and bringing it to the newest.

SQLite is brought there by whoever opens it; a PostgreSQL database by its owner alone
(`audit.ownership`).
"""

from typing import Final

from sqlalchemy import Connection, inspect, text

from audit.errors import SchemaOutdatedError

# A test compares it with the files; alembic itself is imported only when there is work for it.
HEAD: Final = "0002"
_TABLE: Final = "alembic_version"


def read_revision(connection: Connection) -> str | None:
    """Return the revision of a database's schema; None when there is none."""
    if not inspect(connection).has_table(_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar()  # noqa: S608 - a constant above
    return None if found is None else str(found)


def upgrade(connection: Connection) -> bool:
    """Bring the schema to the newest revision within the connection's transaction.

    Returns
    -------
    bool
        False when it was there already.

    Raises
    ------
    SchemaOutdatedError
        If it is newer than this program.
    """
    present = read_revision(connection)
    if present == HEAD:
        return False
    if present is not None and present > HEAD:
        raise SchemaOutdatedError(_differs(present), "Use the version that the database is of.")
    from audit.migrations.run import upgrade_schema  # noqa: PLC0415 - slow to import, seldom needed

    upgrade_schema(connection)
    return True


def verify_revision(connection: Connection) -> None:
    """Check that the schema is at the newest revision.

    Raises
    ------
    SchemaOutdatedError
        If it is older or newer than this program.
    """
    present = read_revision(connection)
    if present != HEAD:
        raise SchemaOutdatedError(_differs(present))


def _differs(present: str | None) -> str:
    has = "no schema yet" if present is None else f"the schema of revision {present}"
    return f"the database has {has}; this program needs revision {HEAD}"
