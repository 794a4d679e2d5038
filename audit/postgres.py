"""PostgreSQL connections on which an acknowledged commit stays committed, and bulk inserts.

The writer's turn is a transaction-level advisory lock, so that any number of processes append to
one dense log. No state outlives a transaction: it works through pgbouncer in transaction mode.
Tables, guards and rights are made by the owner (`audit.ownership`); what a service connects as may
do nothing but read, insert and what an erasure needs, and `verify_service_rights` makes sure of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Engine, Table, TypeDecorator, create_engine, event, text
from sqlalchemy.engine import URL

from audit.errors import UnsafeStoreError
from audit.guards import GUARDED_TABLES, guard_names, partition_guard_names
from audit.sqlite import IMMEDIATE, POOL_SECONDS
from audit.tables import MAY_CHANGE, MAY_REMOVE, METADATA

_OLDEST_SERVER: Final = 150_000
# libpq's defaults wait hours for a host that vanished without a word.
_PATIENCE: Final = {
    "connect_timeout": "10",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}
# Any constant will do that no other program takes in the same database.
LOG_LOCK: Final = 4_840_219_107_533_201
_Values: TypeAlias = dict[str, Any]

_MUST_BE_ON: Final = ("fsync", "full_page_writes", "synchronous_commit")
_SETTINGS: Final = ", ".join(f"current_setting('{name}')" for name in _MUST_BE_ON)
# The limit is set before the wait: a materialized row is computed before what is selected from it.
_TURN: Final = (
    "WITH patience AS MATERIALIZED "
    "(SELECT set_config('lock_timeout', '{busy_timeout_ms}ms', true)) "
    "SELECT pg_advisory_xact_lock({lock}), {settings} FROM patience"
)
_GUARDS: Final = text(
    "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    " WHERE t.tgenabled = 'A' AND NOT t.tgisinternal AND pg_table_is_visible(c.oid)"
)
_PARTITIONS: Final = text(
    "SELECT parent.relname, part.relname, pg_get_expr(part.relpartbound, part.oid) "
    "  FROM pg_inherits i JOIN pg_class part ON part.oid = i.inhrelid "
    "  JOIN pg_class parent ON parent.oid = i.inhparent "
    " WHERE parent.oid IN (to_regclass('facts_part'), to_regclass('personal_part')) "
    " ORDER BY 1, 2"
)
_BOUND: Final = re.compile(r"FOR VALUES IN \('([^']+)'\)")
_RIGHTS: Final = text(
    "SELECT has_table_privilege(c.oid, :never) "
    "    OR pg_has_role(c.relowner, 'MEMBER') "
    "    OR EXISTS (SELECT 1 FROM pg_attribute a "
    "                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "                  AND a.attname <> ALL (CAST(:may AS text[])) "
    "                  AND has_column_privilege(c.oid, a.attnum, 'UPDATE')) "
    "  FROM pg_class c WHERE c.oid = to_regclass(:table)"
)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition.

    Parameters
    ----------
    table, name
        Whose it is, and its own name.
    month
        What it holds; None for the default partition.
    """

    table: str
    name: str
    month: str | None


def read_partitions(connection: Connection) -> list[Partition]:
    """Return the partitions of the tables of parts, by table and name."""
    found = []
    for table, name, bound in connection.execute(_PARTITIONS):
        month = _BOUND.fullmatch(bound)
        found.append(Partition(table, name, None if month is None else month[1]))
    return found


def verify_durable(settings: dict[str, str]) -> None:
    """Check that a commit acknowledged under these server settings survives a crash.

    Parameters
    ----------
    settings
        fsync, full_page_writes and synchronous_commit as the server shows them.

    Raises
    ------
    UnsafeStoreError
        If one of them is off.

    Examples
    --------
    >>> verify_durable({"fsync": "on", "full_page_writes": "on", "synchronous_commit": "local"})
    """
    for name in _MUST_BE_ON:
        if settings[name] == "off":
            raise UnsafeStoreError(f"PostgreSQL with {name} off can lose acknowledged commits")


def open_postgres(url: URL, *, busy_timeout_ms: int) -> Engine:
    """Return an engine whose immediate transactions wait for the writer's turn.

    Parameters
    ----------
    url
        ``postgresql+psycopg://…``.
    busy_timeout_ms
        How long a writer waits for another.
    """
    url = url.update_query_dict(_PATIENCE | dict(url.query))
    engine = create_engine(
        url,
        pool_timeout=POOL_SECONDS,
        # The writer reads after it has waited, so each statement needs a snapshot of its own.
        isolation_level="READ COMMITTED",
        # Prepared statements and type look-ups would be state of a session.
        use_native_hstore=False,
        connect_args={"prepare_threshold": None},
    )
    turn = _TURN.format(busy_timeout_ms=busy_timeout_ms, lock=LOG_LOCK, settings=_SETTINGS)

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(IMMEDIATE, False):
            row = connection.exec_driver_sql(turn).one()
            # A server's settings may change while it runs.
            verify_durable(dict(zip(_MUST_BE_ON, row[1:], strict=True)))

    event.listen(engine, "begin", begin)
    return engine


def verify_server(connection: Connection) -> None:
    """Check the server's version, encoding and durability.

    Raises
    ------
    UnsafeStoreError
        Naming what is wrong.
    """
    names = ("server_version_num", "server_encoding", *_MUST_BE_ON)
    query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    found = dict(zip(names, connection.exec_driver_sql(query).one(), strict=True))
    if int(found["server_version_num"]) < _OLDEST_SERVER:
        raise UnsafeStoreError("PostgreSQL older than 15 is not supported")
    if found["server_encoding"] != "UTF8":
        raise UnsafeStoreError(f"the database's encoding is {found['server_encoding']}, not UTF8")
    verify_durable(found)


def verify_service_rights(connection: Connection) -> None:
    """Check that the database itself keeps the user of this connection from changing records.

    Raises
    ------
    UnsafeStoreError
        If a guard is missing or switched off, or the user could change, remove or unguard a row
        beyond what the tables' info allows.
    """
    partitions = [(one.table, one.name) for one in read_partitions(connection)]
    wanted = {
        *guard_names(),
        *(guard for one in partitions for guard in partition_guard_names(*one)),
    }
    found = {(row[0], row[1]) for row in connection.execute(_GUARDS)}
    missing = sorted(wanted - found)
    if missing:
        remedy = "Run `candor database migrate`, then `candor verify`."
        detail = f"the guard {missing[0][1]} is missing or switched off on {missing[0][0]}"
        raise UnsafeStoreError(detail, remedy)
    for table in [*GUARDED_TABLES, *(name for _, name in partitions)]:
        info = METADATA.tables[table].info if table in METADATA.tables else {}
        never = ["TRUNCATE", "TRIGGER", *([] if info.get(MAY_REMOVE, False) else ["DELETE"])]
        asked = {"table": table, "never": ", ".join(never), "may": list(info.get(MAY_CHANGE, ()))}
        if connection.execute(_RIGHTS, asked).scalar() is not False:
            raise UnsafeStoreError(
                f"the service's database user could change {table}",
                "Connect as a user of its own, not as owner or superuser (docs/databases.md).",
            )


def insert_rows(connection: Connection, table: Table, rows: Sequence[_Values]) -> None:
    """Insert rows in one statement, each column an array.

    Parameters
    ----------
    connection
        In a transaction.
    table
        Where to.
    rows
        Columns' values; every row has the same columns.
    """
    names = list(rows[0])
    arrays = [_column_values(connection, table, name, rows) for name in names]
    kinds = [table.c[name].type.compile(connection.dialect) for name in names]
    places = ", ".join(f"%b::{kind}[]" for kind in kinds)
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({places})"  # noqa: S608 - names of this package
    connection.exec_driver_sql(statement, tuple(arrays))


def _column_values(
    connection: Connection, table: Table, name: str, rows: Sequence[_Values]
) -> list[Any]:
    kind, values = table.c[name].type, [row[name] for row in rows]
    if not isinstance(kind, TypeDecorator):
        return values
    return [kind.process_bind_param(value, connection.dialect) for value in values]
