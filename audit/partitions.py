"""The monthly partitions of the two large tables of a PostgreSQL database.

The owner makes them ahead of time. A month without one falls into the default partition, so that
it never stops a decision; `make_partitions` moves such rows to where they belong. Guards fire on
every partition, and a service has no right on any: it reaches the rows through their table alone.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from audit.guards import PARTITIONED_TABLES, partition_guards
from audit.months import ALWAYS, months_from
from audit.postgres import Partition, read_partitions

# How many months after the present one there have to be at least.
LEAST_AHEAD: Final = 1
_MONTH: Final = re.compile(r"\d{4}-\d{2}")


def make_partitions(connection: Connection, months: Iterable[str]) -> list[str]:
    """Make the partitions of months, and move rows that stand in the default partition.

    Parameters
    ----------
    connection
        Of the owner, in a transaction, with the writer's turn taken.
    months
        Such as ``2026-11``; those that there are already are left alone.

    Returns
    -------
    list
        Names of the partitions made.
    """
    made: list[str] = []
    for table in PARTITIONED_TABLES:
        known = {one.month for one in _of(connection, table)}
        stray = _stray_months(connection, table)
        if stray:
            # Rows of a partition to come hinder it; out of the way, they go in as new ones do.
            for statement in (
                f"ALTER TABLE {table} DETACH PARTITION {table}_default",
                f"ALTER TABLE {table}_default RENAME TO {table}_stray",
                f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT",
                *partition_guards(f"{table}_default"),
            ):
                connection.exec_driver_sql(statement)
        for month in sorted({*months, *filter(_MONTH.fullmatch, stray)} - known):
            name = f"{table}_{month.replace('-', '_')}"
            bound = f"FOR VALUES IN ('{month}')"
            connection.exec_driver_sql(f"CREATE TABLE {name} PARTITION OF {table} {bound}")
            for statement in partition_guards(name):
                connection.exec_driver_sql(statement)
            made.append(name)
        if stray:
            connection.exec_driver_sql(f"INSERT INTO {table} SELECT * FROM {table}_stray")  # noqa: S608 - names of this package
            connection.exec_driver_sql(f"DROP TABLE {table}_stray")
    return made


def guard_partitions(connection: Connection) -> None:
    """Guard every partition that there is; the owner does it with each migration."""
    for one in read_partitions(connection):
        for statement in partition_guards(one.name):
            connection.exec_driver_sql(statement)


def inspect_partitions(connection: Connection, now: datetime) -> list[str]:
    """Return a sentence for each table whose partitions need the owner; none on SQLite.

    Parameters
    ----------
    now
        Aware time.
    """
    if connection.dialect.name != "postgresql":
        return []
    warnings = []
    for table in PARTITIONED_TABLES:
        known = {one.month for one in _of(connection, table)}
        missing = sorted(set(months_from(now, LEAST_AHEAD + 1)) - known)
        if missing:
            warnings.append(f"{table} has no partition for {' and '.join(missing)}")
        if _has_stray(connection, table, known):
            warnings.append(f"{table} has rows in its default partition")
    return warnings


def droppable(connection: Connection, months: Iterable[str], condition: str) -> list[Partition]:
    """Return the partitions of some months in which nothing is left that a condition spares.

    Parameters
    ----------
    condition
        SQL of a row's `leaf_index` that tells what goes.
    """
    wanted = set(months) - {ALWAYS}
    return [
        one
        for one in read_partitions(connection)
        if one.month in wanted and not _spares(connection, one.name, condition)
    ]


def _spares(connection: Connection, name: str, condition: str) -> bool:
    spared = text(f"SELECT EXISTS (SELECT 1 FROM {name} WHERE NOT ({condition}))")  # noqa: S608 - names of this package
    return bool(connection.execute(spared).scalar())


def _of(connection: Connection, table: str) -> list[Partition]:
    return [one for one in read_partitions(connection) if one.table == table]


def _has_stray(connection: Connection, table: str, known: set[str | None]) -> bool:
    # Through the table, as a service may read no partition by itself; the planner skips the rest.
    months = [month for month in known if month is not None]
    query = text(f"SELECT EXISTS (SELECT 1 FROM {table} WHERE month <> ALL (:months))")  # noqa: S608 - names of this package
    return bool(connection.execute(query, {"months": months}).scalar())


def _stray_months(connection: Connection, table: str) -> list[str]:
    query = text(f"SELECT DISTINCT month FROM {table}_default")  # noqa: S608 - names of this package
    return list(connection.execute(query).scalars())
