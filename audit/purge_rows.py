"""The rows that leave the store in a purge's transaction.

On PostgreSQL a partition in which nothing else is left is dropped as a whole.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import Connection, text

from audit.errors import PurgeOutdatedError
from audit.guards import FROM_FACTS, IN_PURGED_RANGE, PARTITIONED_TABLES
from audit.partitions import droppable
from audit.purge_plan import Plan

_PURGED: Final = IN_PURGED_RANGE.format(leaf_index="leaf_index")
_SINCE: Final = text(
    "SELECT about, chain_id FROM entry_lookup WHERE leaf_index >= :begin "
    "   AND (about IS NOT NULL OR chain_id IS NOT NULL)"
)
_EMPTIED: Final = ", ".join(
    f"{name} = NULL" for name in ("order_hash", "subject_hash", *FROM_FACTS)
)
_LOOKUPS: Final = text(
    f"UPDATE entry_lookup SET {_EMPTIED} "  # noqa: S608 - constants of this package
    f" WHERE leaf_index BETWEEN :first AND :last AND {_PURGED}"
)
_KEYS: Final = text(
    f"DELETE FROM idempotency WHERE leaf_index BETWEEN :first AND :last AND {_PURGED}"  # noqa: S608 - constants of this package
)
_USED: Final = (
    text(
        "UPDATE cap_counter SET used = used - :count "
        " WHERE scope = :scope AND cap = :cap AND day = :day AND tier = :tier"
    ),
    text(
        "DELETE FROM cap_counter WHERE used = 0"
        "   AND scope = :scope AND cap = :cap AND day = :day AND tier = :tier"
    ),
)


def verify_unconcerned(connection: Connection, plan: Plan, tree_size: int) -> None:
    """Check that nothing recorded since the plan was made is about what it names.

    Parameters
    ----------
    tree_size
        Of the log when the plan was made.

    Raises
    ------
    PurgeOutdatedError
        If something is; it has to be planned again.
    """
    for about, chain_id in connection.execute(_SINCE, {"begin": tree_size}):
        if about in plan.concerned or chain_id in plan.concerned:
            raise PurgeOutdatedError("an entry about a record that is due was recorded just now")


def remove_rows(connection: Connection, plan: Plan) -> list[str]:
    """Remove parts, look-ups, Idempotency-Keys and uses of counters.

    Parameters
    ----------
    connection
        In the transaction of the purge's entry; PostgreSQL's owner.
    plan
        What goes; not empty.

    Returns
    -------
    list
        Names of the partitions dropped.
    """
    ranges = plan.ranges()
    bounds = {"first": ranges[0][0], "last": ranges[-1][1]}
    # 1. The guards let go what is named here, for as long as it is.
    named = [{"first": first, "last": last} for first, last in ranges]
    connection.execute(text("INSERT INTO purging VALUES (:first, :last)"), named)
    # 2. Facts and sealed parts.
    dropped = _drop_partitions(connection, sorted(plan.months))
    for table in PARTITIONED_TABLES:
        delete = f"DELETE FROM {table} WHERE month = :month "  # noqa: S608 - constants of this package
        delete += f"AND leaf_index BETWEEN :first AND :last AND {_PURGED}"
        for month in sorted(plan.months):
            connection.execute(text(delete), {**bounds, "month": month})
    # 3. What they are looked up by.
    connection.execute(_LOOKUPS, bounds)
    connection.execute(_KEYS, bounds)
    # 4. The counters hold what the records that are left add up to.
    for key, count in plan.used.items():
        for statement in _USED:
            connection.execute(statement, {**asdict(key), "count": count})
    connection.execute(text("DELETE FROM purging"))
    return dropped


def _drop_partitions(connection: Connection, months: Sequence[str]) -> list[str]:
    if connection.dialect.name != "postgresql":
        return []
    names = [one.name for one in droppable(connection, months, _PURGED)]
    for name in names:
        connection.exec_driver_sql(f"DROP TABLE {name}")
    return names
