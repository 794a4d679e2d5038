"""What the owner of a PostgreSQL database does: its schema, its guards, and the service's rights.

The owner is a database user of its own, whose password no service has. `prepare_database` may be
run again at any time; it is how a database is made and how it is brought to a newer revision.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, MetaData, Table, text
from sqlalchemy.engine import make_url

from audit.errors import DatabaseUrlError, UnsafeStoreError
from audit.guards import postgres_guards
from audit.postgres import open_postgres, verify_server
from audit.schema import HEAD, upgrade
from audit.sqlite import IMMEDIATE
from audit.store import own_errors
from audit.tables import MAY_CHANGE, MAY_REMOVE, METADATA

_BUSY_TIMEOUT_MS = 30_000


def prepare_database(owner_url: str, service_role: str, more: Iterable[MetaData] = ()) -> str:
    """Bring a PostgreSQL database to the newest schema, guard it, and give a service its rights.

    Parameters
    ----------
    owner_url
        ``postgresql+psycopg://OWNER:PASSWORD@HOST/DATABASE``.
    service_role
        The database user that services connect as; it has to exist.
    more
        Tables beside the log's.

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
    url = make_url(owner_url)
    if url.drivername != "postgresql+psycopg" or url.username is None:
        raise DatabaseUrlError("the owner's URL is not postgresql+psycopg://OWNER@HOST/DATABASE")
    if url.username == service_role:
        raise UnsafeStoreError("the owner of the database is also the service's user")
    engine = open_postgres(url, busy_timeout_ms=_BUSY_TIMEOUT_MS)
    tables = [table for metadata in (METADATA, *more) for table in metadata.sorted_tables]
    try:
        with own_errors(), engine.connect() as connection:
            # The writer's turn: nothing is appended while the tables change.
            immediate = connection.execution_options(**{IMMEDIATE: True})
            with immediate.begin():
                verify_server(immediate)
                upgrade(immediate)
                schema = str(immediate.exec_driver_sql("SELECT current_schema()").scalar_one())
                quote = immediate.dialect.identifier_preparer.quote_identifier
                for statement in postgres_guards(quote(schema)):
                    immediate.exec_driver_sql(statement)
                _grant(immediate, quote(schema), quote(service_role), tables)
    finally:
        engine.dispose()
    return HEAD


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
