"""The working tables: what they name may be changed past the guards, so they are empty at rest.

An erasure, a purge and a release name entries there for the time of their transaction. Whoever
leaves a row in one of them may take values away later without any of the three.
"""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, text

# Name of the table, its column that names an entry, and what a row allows.
_TABLES: Final = (
    ("erasing", "leaf_index", "look-ups be emptied"),
    ("releasing", "leaf_index", "parts be removed"),
    ("purging", "first_index", "parts and look-ups be removed"),
)


def inspect_working_tables(connection: Connection) -> Iterator[tuple[Any, str, str]]:
    """Yield leaf index, code and sentence of every row that was left in a working table.

    Parameters
    ----------
    connection
        Of `Store.raw`.
    """
    for table, column, allows in _TABLES:
        rows = connection.execute(text(f"SELECT {column} FROM {table}"))  # noqa: S608 - constants above
        for row in rows:
            yield row[0], f"{table}-left", f"a row of {table} was left, which lets {allows}"
