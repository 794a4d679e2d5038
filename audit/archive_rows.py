"""What the archive reads of the database, and the check of a row against its own header."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, text

from audit.canonical import parse_json
from audit.reading import Found, Record
from audit.records import EntryType, parse_time
from audit.retention import Purges

# What leaves the hot store. Everything else is what the service itself goes by (publications,
# tables, erasures, keys, corrections), and it is little.
RELEASED_TYPES: Final = (EntryType.DECISION, EntryType.OVERRIDE, EntryType.OUTCOME)
_FETCH_ROWS: Final = 256
_Bounds: TypeAlias = dict[str, int | str | None]

_MONTHS: Final = """
SELECT substr(recorded_at, 1, 7) AS month, max(leaf_index) FROM entry_lookup
 WHERE leaf_index < :tree_size GROUP BY 1 ORDER BY 1
"""
_PARTITIONS: Final = """
SELECT substr(recorded_at, 1, 10) AS day, kind, count(*), min(leaf_index), max(leaf_index)
  FROM entry_lookup
 WHERE leaf_index >= :begin AND leaf_index < :tree_size AND substr(recorded_at, 1, 7) = :month
 GROUP BY 1, 2 ORDER BY 1, 2
"""
_ROWS: Final = """
SELECT e.leaf_index, e.entry_id, e.leaf, f.body, p.sealed, e.tree_size,
       l.entry_type, l.kind, l.outcome, l.automated, l.recorded_at, l.about, l.chain_id
  FROM entry_lookup l
  JOIN log_entry e ON e.leaf_index = l.leaf_index
  LEFT JOIN facts_part f ON f.leaf_index = l.leaf_index
  LEFT JOIN personal_part p ON p.leaf_index = l.leaf_index
 WHERE l.leaf_index >= :first AND l.leaf_index <= :last {more} ORDER BY l.leaf_index
"""
_OF_DAY: Final = "AND substr(l.recorded_at, 1, 10) = :day"
_OF_MONTH: Final = "AND substr(l.recorded_at, 1, 7) = :month"
_OF_KIND: Final = "AND l.kind = :kind"
_OF_NO_KIND: Final = "AND l.kind IS NULL"
_DAY_HEADERS: Final = """
SELECT e.leaf_index, e.leaf FROM entry_lookup l JOIN log_entry e ON e.leaf_index = l.leaf_index
 WHERE l.leaf_index >= :first AND l.leaf_index <= :last
   AND substr(l.recorded_at, 1, 10) = :day {more} ORDER BY l.leaf_index
"""
_COUNT: Final = """
SELECT count(*) FROM entry_lookup
 WHERE leaf_index >= :begin AND leaf_index < :tree_size AND substr(recorded_at, 1, 7) = :month
"""
_HEADERS: Final = (
    "SELECT leaf_index, entry_id, leaf, tree_size FROM log_entry WHERE leaf_index IN ({places})"
)
_HOT: Final = """
SELECT EXISTS (SELECT 1 FROM {table} part JOIN entry_lookup l ON l.leaf_index = part.leaf_index
  WHERE part.leaf_index >= :first AND part.leaf_index <= :last
    AND substr(l.recorded_at, 1, 7) = :month AND l.entry_type IN ({types}))
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """The entries of one kind and day: their number, and the first and last leaf index."""

    day: str
    kind: str | None
    entries: int
    first_leaf: int
    last_leaf: int


@dataclass(frozen=True, slots=True)
class ArchiveRow:
    """An entry as the archive holds it: what the look-ups say of it, and its stored bytes."""

    found: Found
    record: Record


def list_months(connection: Connection, tree_size: int) -> dict[str, int]:
    """Return the months (``YYYY-MM``) that have entries, each with its last leaf index."""
    rows = connection.execute(text(_MONTHS), {"tree_size": tree_size})
    return {row[0]: row[1] for row in rows}


def list_partitions(
    connection: Connection, month: str, begin: int, tree_size: int
) -> list[Partition]:
    """Return the kinds and days of a month's entries with begin <= leaf index < tree size."""
    bounds = {"month": month, "begin": begin, "tree_size": tree_size}
    found = [Partition(*row) for row in connection.execute(text(_PARTITIONS), bounds)]
    # Databases sort None first or last.
    return sorted(found, key=lambda one: (one.day, one.kind or ""))


def count_entries_of(connection: Connection, month: str, begin: int, tree_size: int) -> int:
    """Return the number of a month's entries with begin <= leaf index < tree size."""
    bounds = {"month": month, "begin": begin, "tree_size": tree_size}
    return int(connection.execute(text(_COUNT), bounds).scalar_one())


def scan_rows(connection: Connection, partition: Partition) -> Generator[ArchiveRow, None, None]:
    """Yield a partition's entries in leaf order."""
    more = f"{_OF_DAY} {_OF_NO_KIND if partition.kind is None else _OF_KIND}"
    bounds: _Bounds = {
        "first": partition.first_leaf,
        "last": partition.last_leaf,
        "day": partition.day,
        "kind": partition.kind,
    }
    streamed = connection.execution_options(yield_per=_FETCH_ROWS)
    with streamed.execute(text(_ROWS.format(more=more)), _used(more, bounds)) as rows:
        for row in rows:
            yield _row(row)


def scan_headers(
    connection: Connection, kind: str | None, day: str, first_leaf: int, last_leaf: int
) -> Iterator[tuple[int, bytes]]:
    """Yield leaf index and header of the entries of a kind and day from one place to another."""
    more = _OF_NO_KIND if kind is None else _OF_KIND
    bounds: _Bounds = {"first": first_leaf, "last": last_leaf, "day": day, "kind": kind}
    query = text(_DAY_HEADERS.format(more=more))
    streamed = {"yield_per": _FETCH_ROWS}
    for row in connection.execute(query, _used(f"{more} :day", bounds), execution_options=streamed):
        yield row[0], row[1]


def read_page(
    connection: Connection, first: int, last: int, month: str | None, kind: str | None
) -> list[ArchiveRow]:
    """Return at most 256 entries with first <= leaf index <= last in leaf order.

    Parameters
    ----------
    month, kind
        Only of these; None means any.
    """
    more = f"{_OF_MONTH if month else ''} {_OF_KIND if kind else ''}"
    bounds: _Bounds = {"first": first, "last": last, "month": month, "kind": kind}
    query = f"{_ROWS.format(more=more)} LIMIT {_FETCH_ROWS}"
    return [_row(row) for row in connection.execute(text(query), _used(more, bounds))]


def read_headers(
    connection: Connection, records: list[Record]
) -> dict[int, tuple[object, object, object]]:
    """Return leaf index to entry id, header and tree size, as the database holds them."""
    # Whole numbers out of a typed column of an archive file.
    places = ", ".join(str(int(record.leaf_index)) for record in records)
    rows = connection.execute(text(_HEADERS.format(places=places or "-1")))
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def is_hot(connection: Connection, month: str, first_leaf: int, last_leaf: int) -> bool:
    """Tell whether the hot store still holds a part of the month that a release removes."""
    bounds = {"month": month, "first": first_leaf, "last": last_leaf}
    types = ", ".join(f"'{one.value}'" for one in RELEASED_TYPES)
    return any(
        connection.execute(text(_HOT.format(table=table, types=types)), bounds).scalar_one()
        for table in ("facts_part", "personal_part")
    )


def find_fault(record: Record) -> str | None:
    """Return what about an archived row is not as its own header says, or None.

    A part that the row lacks is no fault of the row: it may have been gone before.
    """
    header = parse_json(record.leaf)
    if not isinstance(header, dict) or header.get("id") != record.entry_id:
        return "the row's header is not that of its id"
    for name, part in (("facts", record.facts), ("personal", record.sealed)):
        if part is not None and sha256(part).hexdigest() != header.get(f"{name}_sha256"):
            return f"the row's {name} part is not the one that its header names"
    return None


def is_covered(purges: Purges, record: Record) -> bool:
    """Tell whether a purge of the log is about an entry."""
    # Its header is taken apart only when a range holds it.
    if purges.holding(record.leaf_index) is None:
        return False
    header = parse_json(record.leaf)
    return isinstance(header, dict) and purges.covering(record.leaf_index, header) is not None


def _used(query: str, bounds: _Bounds) -> _Bounds:
    always = ("first", "last")
    return {name: bounds[name] for name in bounds if name in always or f":{name}" in query}


def _row(row: Any) -> ArchiveRow:  # noqa: ANN401 - columns of several tables
    leaf_index, entry_id, leaf, facts, sealed, tree_size, *looked_up = row
    entry_type, kind, outcome, automated, recorded_at, about, chain_id = looked_up
    found = Found(
        leaf_index=leaf_index,
        entry_id=entry_id,
        entry_type=entry_type,
        kind=kind,
        outcome=outcome,
        automated=None if automated is None else bool(automated),
        recorded_at=parse_time(recorded_at),
        about=about,
        chain_id=chain_id,
    )
    return ArchiveRow(found, Record(leaf_index, entry_id, leaf, facts, sealed, tree_size))
