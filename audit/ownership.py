"""What the owner of a PostgreSQL database does: its schema, its guards, and the service's rights.

The owner is a database user of its own, whose password no service has. `prepare_database` may be
run again at any time; it is how a database is made and how it is brought to a newer revision.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, MetaData, Table, text
from sqlalchemy.engine import make_url

from audit.errors import DatabaseUrlError, UnsafeStoreError
from audit.guards import postgres_guards
from audit.partitions import guard_partitions, make_partitions
from audit.postgres import open_postgres, verify_server
from audit.schema import HEAD, upgrade, verify_revision
from audit.sqlite import IMMEDIATE
from audit.store import own_errors
from audit.tables import MAY_CHANGE, MAY_REMOVE, METADATA

_BUSY_TIMEOUT_MS = 30_000


def prepare_database(
    owner_url: str,
    service_role: str,
    more: Iterable[MetaData] = (),
    months: Iterable[str] = (),
) -> str:
    """Bring a PostgreSQL database to the newest schema, guard it, and give a service its rights.

    Parameters
    ----------
    owner_url
        ``postgresql+psycopg://OWNER:PASSWORD@HOST/DATABASE``.
    service_role
        The database user that services connect as; it has to exist.
    more
        Tables beside the log's.
    months
        Which monthly partitions to make, such as ``2026-11`` (`audit.months.months_from`).

    Returns
    -------
    str
        The schema's revision, now.

    Raises
    ------
    DatabaseUrlError
        If the URL is not one of PostgreSQL through psycopg, or names no database user.
    UnsafeStoreError
        If the server could lose commits, or the service is the owner.
    SchemaOutdatedError
        If the schema is newer than this program.
    StoreUnavailableError
        If the database cannot be reached or refuses.
    """
    tables = [table for metadata in (METADATA, *more) for table in metadata.sorted_tables]
    engine = open_owner_engine(owner_url, service_role)
    try:
        with _turn(engine) as connection:
            verify_server(connection)
            upgrade(connection)
            schema = str(connection.exec_driver_sql("SELECT current_schema()").scalar_one())
            quote = connection.dialect.identifier_preparer.quote_identifier
            for statement in postgres_guards(quote(schema)):
                connection.exec_driver_sql(statement)
            make_partitions(connection, months)
            guard_partitions(connection)
            _grant(connection, quote(schema), quote(service_role), tables)
    finally:
        engine.dispose()
    return HEAD


def add_partitions(owner_url: str, service_role: str, months: Iterable[str]) -> list[str]:
    """Make the partitions of months, and move what stands in the default partition.

    Parameters
    ----------
    owner_url, service_role, months
        See `prepare_database`.

    Returns
    -------
    list
        Names of the partitions made.

    Raises
    ------
    DatabaseUrlError, UnsafeStoreError, StoreUnavailableError
        See `prepare_database`.
    SchemaOutdatedError
        If the schema is not this program's.
    """
    engine = open_owner_engine(owner_url, service_role)
    try:
        with _turn(engine) as connection:
            verify_revision(connection)
            return make_partitions(connection, months)
    finally:
        engine.dispose()


def open_owner_engine(owner_url: str, service_role: str) -> Engine:
    """Return an engine of the owner of a PostgreSQL database, who may do what a service may not.

    Raises
    ------
    DatabaseUrlError
        If the URL is not one of PostgreSQL through psycopg, or names no database user.
    UnsafeStoreError
        If the service is the owner.
    """
    url = make_url(owner_url)
    if url.drivername != "postgresql+psycopg" or url.username is None:
        raise DatabaseUrlError("the owner's URL is not postgresql+psycopg://OWNER@HOST/DATABASE")
    if url.username == service_role:
        raise UnsafeStoreError("the owner of the database is also the service's user")
    return open_postgres(url, busy_timeout_ms=_BUSY_TIMEOUT_MS)


@contextmanager
def _turn(engine: Engine) -> Iterator[Connection]:
    with own_errors(), engine.connect() as connection:
        # The writer's turn: nothing is appended while the tables change.
        immediate = connection.execution_options(**{IMMEDIATE: True})
        with immediate.begin():
            yield immediate


def _grant(connection: Connection, schema: str, role: str, tables: list[Table]) -> None:
    statements = [
        f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {role}",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT ON alembic_version TO {role}",
    ]
    for table in tables:
        statements += [
            f"REVOKE ALL ON {table.name} FROM PUBLIC, {role}",
            f"GRANT SELECT, INSERT ON {table.name} TO {role}",
        ]
        if table.info.get(MAY_REMOVE, False):
            statements.append(f"GRANT DELETE ON {table.name} TO {role}")
        columns = table.info.get(MAY_CHANGE, ())
        if columns:
            statements.append(f"GRANT UPDATE ({', '.join(columns)}) ON {table.name} TO {role}")
    for statement in statements:
        connection.execute(text(statement))
