"""Raw reads of every table in the order of the log, for `audit.verify`.

Values come as they lie in the file, whatever their type, so that a tampered one is seen and not
converted or refused. Everything streams.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, text

from audit.canonical import parse_json
from audit.errors import RecordMalformedError

_FETCH_ROWS: Final = 512

_ENTRIES: Final = """
SELECT e.leaf_index, e.entry_id, e.leaf, e.leaf_hash, e.tree_size,
       f.leaf_index IS NOT NULL, f.body, p.leaf_index IS NOT NULL, p.sealed,
       l.leaf_index IS NOT NULL, l.entry_id, l.entry_type, l.kind, l.outcome, l.automated,
       l.recorded_at, l.order_hash, l.subject_hash, l.about, l.chain_id,
       e.month, f.month, p.month
  FROM log_entry e
  LEFT JOIN facts_part f ON f.leaf_index = e.leaf_index
  LEFT JOIN personal_part p ON p.leaf_index = e.leaf_index
  LEFT JOIN entry_lookup l ON l.leaf_index = e.leaf_index
 ORDER BY e.leaf_index
"""
_CHECKPOINTS: Final = "SELECT tree_size, note FROM checkpoint ORDER BY tree_size"
_NODES: Final = """
SELECT level, node_index, hash FROM tree_node
 WHERE level = :level AND node_index >= :begin AND node_index < :end
"""
_NODES_OUTSIDE: Final = """
SELECT level, node_index FROM tree_node
 WHERE level NOT BETWEEN 1 AND 62 OR node_index < 0
    OR CASE WHEN typeof(level) = 'integer' AND typeof(node_index) = 'integer'
       THEN node_index >= (:tree_size >> level) ELSE 1 END
"""
# PostgreSQL's columns hold nothing but integers.
_NODES_OUTSIDE_TYPED: Final = """
SELECT level, node_index FROM tree_node
 WHERE level NOT BETWEEN 1 AND 62 OR node_index < 0
    OR node_index >= (CAST(:tree_size AS BIGINT) >> level)
"""
_ORPHANS: Final = """
SELECT leaf_index FROM {table}
 WHERE NOT EXISTS (SELECT 1 FROM log_entry e WHERE e.leaf_index = {table}.leaf_index)
"""
_ONE_ENTRY: Final = _ENTRIES.replace("ORDER BY", "WHERE e.leaf_index = :leaf_index ORDER BY")
_IDEMPOTENCY: Final = "SELECT key_hash, leaf_index, body_hash FROM idempotency"
_ERASURES: Final = """
SELECT f.body FROM entry_lookup l JOIN facts_part f ON f.leaf_index = l.leaf_index
 WHERE l.entry_type = 'erasure'
"""
_PURGES: Final = """
SELECT e.leaf_index, e.leaf, f.body
  FROM entry_lookup l JOIN log_entry e ON e.leaf_index = l.leaf_index
  LEFT JOIN facts_part f ON f.leaf_index = l.leaf_index
 WHERE l.entry_type = 'purge' AND l.leaf_index > :after ORDER BY e.leaf_index
"""
_COSIGNATURES: Final = """
SELECT c.tree_size, c.witness, c.cosigned_at_seconds, c.line, p.note
  FROM cosignature c LEFT JOIN checkpoint p ON p.tree_size = c.tree_size
 ORDER BY c.tree_size, c.witness
"""
_ANCHORS: Final = """
SELECT a.tree_size, a.authority, a.stamped_at, a.reply, a.row_sha256, p.note
  FROM anchor a LEFT JOIN checkpoint p ON p.tree_size = a.tree_size
 ORDER BY a.tree_size, a.authority
"""
_KEY_CHANGES: Final = """
SELECT e.leaf, e.leaf_index, e.tree_size
  FROM entry_lookup l JOIN log_entry e ON e.leaf_index = l.leaf_index
 WHERE l.entry_type IN (:rotated, :recovered) ORDER BY e.leaf_index
"""
PART_TABLES: Final = ("facts_part", "personal_part", "entry_lookup")


@dataclass(frozen=True, slots=True)
class RawEntry:
    """An entry's columns in every table, of whatever type they are found.

    Parameters
    ----------
    leaf_index, entry_id, leaf, leaf_hash, tree_size
        Columns of `EntryRow`.
    has_facts, facts, has_personal, sealed
        Whether the part's row is there, and its bytes.
    has_lookup, lookup
        Whether the look-up row is there, and its columns behind the leaf index.
    months
        That of the entry and of both parts; None for a part that is not there.
    """

    leaf_index: Any
    entry_id: Any
    leaf: Any
    leaf_hash: Any
    tree_size: Any
    has_facts: bool
    facts: Any
    has_personal: bool
    sealed: Any
    has_lookup: bool
    lookup: tuple[Any, ...]
    months: tuple[Any, Any, Any]


def read_entry_id(connection: Connection, leaf_index: int) -> str | None:
    """Return the id of the entry at a place, from its look-up row if its own is gone."""
    for table in ("log_entry", "entry_lookup"):
        query = text(f"SELECT entry_id FROM {table} WHERE leaf_index = :leaf_index")  # noqa: S608 - constants above
        found = connection.execute(query, {"leaf_index": leaf_index}).scalar()
        if isinstance(found, str):
            return found
    return None


def count_entries(connection: Connection) -> int:
    """Return the number of entry rows."""
    count: int = connection.exec_driver_sql("SELECT count(*) FROM log_entry").scalar_one()
    return count


def scan_entries(connection: Connection) -> Iterator[RawEntry]:
    """Yield every entry with its parts, in the order of the log."""
    for row in _stream(connection, _ENTRIES):
        yield _entry(row)


def read_entry(connection: Connection, leaf_index: Any) -> RawEntry | None:  # noqa: ANN401 - tampered values have any type
    """Return the entry at a place; None when there is none."""
    row = connection.execute(text(_ONE_ENTRY), {"leaf_index": leaf_index}).first()
    return None if row is None else _entry(row)


def read_erased(connection: Connection) -> frozenset[str]:
    """Return the destroyed keys that the log's erasure entries name."""
    found: set[str] = set()
    for (body,) in connection.execute(text(_ERASURES)):
        try:
            facts = parse_json(body) if isinstance(body, bytes) else None
        except RecordMalformedError:
            # Facts that cannot be read are reported by their hash; they cover nothing.
            continue
        keys = facts.get("keys") if isinstance(facts, dict) else None
        found.update(
            key for key in (keys if isinstance(keys, list) else []) if isinstance(key, str)
        )
    return frozenset(found)


def scan_purges(connection: Connection, after: int = -1) -> Iterator[tuple[Any, Any, Any]]:
    """Yield leaf index, header and facts of the entries behind a place that say what was purged."""
    for row in connection.execute(text(_PURGES), {"after": after}):
        yield row[0], row[1], row[2]


def scan_key_changes(connection: Connection, rotated: str, recovered: str) -> Iterator[Any]:
    """Yield header, leaf index and tree size of the entries that change the log's key."""
    names = {"rotated": rotated, "recovered": recovered}
    for row in connection.execute(text(_KEY_CHANGES), names):
        yield tuple(row)


def scan_checkpoints(connection: Connection) -> Iterator[tuple[Any, Any]]:
    """Yield tree size and note of every checkpoint, by size."""
    for row in _stream(connection, _CHECKPOINTS):
        yield row[0], row[1]


def scan_cosignatures(connection: Connection) -> Iterator[tuple[Any, ...]]:
    """Yield tree size, witness, time, line and checkpoint (None for none) of every cosignature."""
    for row in _stream(connection, _COSIGNATURES):
        yield tuple(row)


def scan_anchors(connection: Connection) -> Iterator[tuple[Any, ...]]:
    """Yield every anchor's columns and its checkpoint (None for none)."""
    for row in _stream(connection, _ANCHORS):
        yield tuple(row)


def read_nodes(
    connection: Connection, level: int, begin: int, end: int
) -> dict[tuple[Any, Any], Any]:
    """Return the stored nodes of one level from begin to end (excluded)."""
    bounds = {"level": level, "begin": begin, "end": end}
    rows = connection.execute(text(_NODES), bounds)
    return {(row[0], row[1]): row[2] for row in rows}


def scan_nodes_outside(connection: Connection, tree_size: int) -> Iterator[tuple[Any, Any]]:
    """Yield level and index of nodes that a tree of this size does not have."""
    query = _NODES_OUTSIDE if connection.dialect.name == "sqlite" else _NODES_OUTSIDE_TYPED
    for row in connection.execute(text(query), {"tree_size": tree_size}):
        yield row[0], row[1]


def scan_orphans(connection: Connection, table: str) -> Iterator[Any]:
    """Yield the leaf indexes of one of `PART_TABLES` that no entry has."""
    for row in _stream(connection, _ORPHANS.format(table=table)):
        yield row[0]


def count_idempotency(connection: Connection) -> int:
    """Return the number of used Idempotency-Keys."""
    count: int = connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar_one()
    return count


def scan_idempotency(connection: Connection) -> Iterator[tuple[Any, Any, Any]]:
    """Yield key hash, leaf index and body hash of every used key."""
    for row in _stream(connection, _IDEMPOTENCY):
        yield row[0], row[1], row[2]


def read_idempotency(connection: Connection, key_hash: bytes) -> tuple[Any, Any] | None:
    """Return leaf index and body hash of a used key, or None."""
    query = text("SELECT leaf_index, body_hash FROM idempotency WHERE key_hash = :key_hash")
    row = connection.execute(query, {"key_hash": key_hash}).first()
    return None if row is None else (row[0], row[1])


def _entry(row: Any) -> RawEntry:  # noqa: ANN401 - tampered values have any type
    return RawEntry(
        leaf_index=row[0],
        entry_id=row[1],
        leaf=row[2],
        leaf_hash=row[3],
        tree_size=row[4],
        has_facts=bool(row[5]),
        facts=row[6],
        has_personal=bool(row[7]),
        sealed=row[8],
        has_lookup=bool(row[9]),
        lookup=tuple(row[10:20]),
        months=(row[20], row[21], row[22]),
    )


def _stream(connection: Connection, query: str) -> CursorResult[*tuple[Any, ...]]:
    return connection.execution_options(yield_per=_FETCH_ROWS).execute(text(query))
