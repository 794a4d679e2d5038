"""Queries over the log's tables, all within one consistent snapshot.

Nothing here writes, and nothing here decides: `audit.store` opens the snapshot, and the callers
know what the bytes mean.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, tuple_
from sqlmodel import col

from audit.canonical import parse_json
from audit.errors import RecordNotFoundError, SearchInvalidError
from audit.merkle import NodeId
from audit.records import CounterKey
from audit.seal import HEAD_SIZE_BYTES
from audit.tables import (
    METADATA,
    CheckpointRow,
    CosignatureRow,
    CounterRow,
    EntryRow,
    FactsRow,
    IdempotencyRow,
    LookupRow,
    NodeRow,
    PersonalRow,
)

_MOST_FOUND: Final = 1000
# SQLite allows 32,766 values in a statement, PostgreSQL 65,535.
_MOST_NAMES: Final = 5000
_MOST_REST: Final = 16
_STREAMED_ROWS: Final = 1000
_AnySelect: TypeAlias = "Select[*tuple[Any, ...]]"
_AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


@dataclass(frozen=True, slots=True)
class Record:
    """An entry's stored bytes.

    Parameters
    ----------
    leaf_index, entry_id
        Its place and id.
    leaf
        The header, exact bytes.
    facts, sealed
        Its parts as stored, or None.
    tree_size
        Size of the tree that its receipt is about.
    """

    leaf_index: int
    entry_id: str
    leaf: bytes
    facts: bytes | None
    sealed: bytes | None
    tree_size: int


@dataclass(frozen=True, slots=True)
class Found:
    """An entry as a search finds it; the columns of `LookupRow` without the hashes."""

    leaf_index: int
    entry_id: str
    entry_type: str
    kind: str | None
    outcome: str | None
    automated: bool | None
    recorded_at: datetime
    about: str | None
    chain_id: str | None


@dataclass(frozen=True, slots=True)
class Search:
    """What to search for; None means any.

    Parameters
    ----------
    entry_type, kind, outcome, automated, chain_id, about
        Exact values.
    order_hash, subject_hash
        Keyed hashes, 32 bytes.
    from_at, to_at
        Aware times; from is included, to is not.
    cursor
        Leaf index of the last entry of the page before.
    limit
        Number of entries, 1 to 1000.
    """

    entry_type: str | None = None
    kind: str | None = None
    outcome: str | None = None
    automated: bool | None = None
    chain_id: str | None = None
    about: str | None = None
    order_hash: bytes | None = None
    subject_hash: bytes | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    cursor: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry with a sealed part, and the part's first bytes, which say whose key it is."""

    leaf_index: int
    entry_id: str
    entry_type: str
    head: bytes


class BodySource(Protocol):
    """Where parts are read that the database no longer holds (`audit.archive_source`)."""

    def complete(self, connection: Connection, records: list[Record]) -> list[Record]:
        """Return the records, with parts put in that are kept elsewhere."""

    def inspect(self, connection: Connection) -> Iterator[tuple[int | None, str, str]]:
        """Yield what is wrong with what is kept there: leaf index, code and sentence."""


class Reading:
    """Reads of one consistent snapshot.

    Parameters
    ----------
    connection
        In a transaction.
    bodies
        Where parts are read that the database no longer holds; None for nowhere.
    """

    def __init__(self, connection: Connection, bodies: BodySource | None = None) -> None:
        self._connection = connection
        self._bodies = bodies

    def rows(self, query: _AnySelect) -> list[_AnyRow]:
        """Return what a query of a module that knows its own table finds."""
        return list(self._connection.execute(query))

    def tree_size(self) -> int:
        """Return the number of entries."""
        last = self._connection.scalar(select(func.max(col(EntryRow.leaf_index))))
        return 0 if last is None else last + 1

    def counts(self, keys: Iterable[CounterKey]) -> dict[CounterKey, int]:
        """Return how far the caps' counters have come; 0 for one that was never used."""
        wanted = list(dict.fromkeys(keys))
        counts = dict.fromkeys(wanted, 0)
        columns = [col(getattr(CounterRow, name)) for name in CounterKey.__dataclass_fields__]
        for start in range(0, len(wanted), _MOST_NAMES):
            part = wanted[start : start + _MOST_NAMES]
            places = [(key.scope, key.cap, key.day, key.tier) for key in part]
            rows = self._connection.execute(
                select(*columns, col(CounterRow.used)).where(tuple_(*columns).in_(places))
            )
            counts |= {CounterKey(*row[:4]): row[4] for row in rows}
        return counts

    def record(self, entry_id: str) -> Record:
        """Return an entry by its id.

        Raises
        ------
        RecordNotFoundError
            If there is none.
        """
        return self._one_record(_RECORDS.where(col(EntryRow.entry_id) == entry_id))

    def record_at(self, leaf_index: int) -> Record:
        """Return an entry by its place.

        Raises
        ------
        RecordNotFoundError
            If there is none.
        """
        return self._one_record(_RECORDS.where(col(EntryRow.leaf_index) == leaf_index))

    def recorded_with(self, head: Record) -> list[Record]:
        """Return the entries that were recorded as the rest of another, in their order."""
        found: list[Record] = []
        after = _RECORDS.where(col(EntryRow.leaf_index) > head.leaf_index)
        for record in self._records(after.order_by(col(EntryRow.leaf_index)).limit(_MOST_REST)):
            header = parse_json(record.leaf)
            if not isinstance(header, dict) or header.get("with") != head.entry_id:
                break
            found.append(record)
        return found

    def records_about(self, entry_id: str) -> list[Record]:
        """Return the entries that concern another, oldest first."""
        place = col(LookupRow.leaf_index) == col(EntryRow.leaf_index)
        query = _RECORDS.join(LookupRow, place).where(col(LookupRow.about) == entry_id)
        return self._records(query.order_by(col(EntryRow.leaf_index)))

    def latest(self, entry_type: str, limit: int = 1) -> list[Record]:
        """Return the newest entries of a type, newest first."""
        place = col(LookupRow.leaf_index) == col(EntryRow.leaf_index)
        query = _RECORDS.join(LookupRow, place).where(col(LookupRow.entry_type) == entry_type)
        return self._records(query.order_by(col(LookupRow.leaf_index).desc()).limit(limit))

    def search(self, search: Search) -> list[Found]:
        """Return what a search finds, newest first.

        Raises
        ------
        SearchInvalidError
            If a time is naive or the limit is out of range.
        """
        if not 1 <= search.limit <= _MOST_FOUND:
            raise SearchInvalidError(f"limit {search.limit} is not between 1 and {_MOST_FOUND}")
        times = (search.from_at, search.to_at)
        if any(moment is not None and moment.tzinfo is None for moment in times):
            raise SearchInvalidError("a time without a zone")
        query = _searched(search).order_by(col(LookupRow.leaf_index).desc()).limit(search.limit)
        return [_found(row) for row in self._connection.execute(query)]

    def found_after(
        self, leaf_index: int, entry_types: Sequence[str], limit: int = 100
    ) -> list[Found]:
        """Return entries of some types behind a place, oldest first; -1 begins at the first."""
        behind = col(LookupRow.leaf_index) > leaf_index
        query = _FOUND.where(behind, col(LookupRow.entry_type).in_(entry_types))
        query = query.order_by(col(LookupRow.leaf_index)).limit(limit)
        return [_found(row) for row in self._connection.execute(query)]

    def head(self) -> str | None:
        """Return the newest checkpoint's note, or None for an empty log."""
        newest = col(CheckpointRow.tree_size).desc()
        return self._connection.scalar(select(col(CheckpointRow.note)).order_by(newest).limit(1))

    def checkpoint_at(self, tree_size: int) -> str:
        """Return the note of the checkpoint of exactly this size.

        Raises
        ------
        RecordNotFoundError
            If there is none.
        """
        return self._one_note(col(CheckpointRow.tree_size) == tree_size)

    def checkpoint_covering(self, leaf_index: int) -> str:
        """Return the note of the first checkpoint that covers a leaf.

        Raises
        ------
        RecordNotFoundError
            If there is none.
        """
        return self._one_note(col(CheckpointRow.tree_size) > leaf_index)

    def cosignatures(self, tree_size: int) -> dict[str, str]:
        """Return witness to signature line of a checkpoint, by the witness's name."""
        row = CosignatureRow
        query = select(col(row.witness), col(row.line)).where(col(row.tree_size) == tree_size)
        rows = self._connection.execute(query.order_by(col(row.witness)))
        return {row[0]: row[1] for row in rows}

    def newest_cosigned_size(self) -> int | None:
        """Return the size of the newest checkpoint that was cosigned, or None."""
        return self._connection.scalar(select(func.max(col(CosignatureRow.tree_size))))

    def nodes(self, ids: Iterable[NodeId]) -> dict[NodeId, bytes]:
        """Return those of the named tree nodes that are kept; few statements, whatever the number.

        Parameters
        ----------
        ids
            (level, index); level 0 is the leaf hashes.
        """
        named = sorted(set(ids))
        leaves = [index for level, index in named if level == 0]
        inner = [name for name in named if name[0] > 0]
        nodes: dict[NodeId, bytes] = {}
        for begin in range(0, len(leaves), _MOST_NAMES):
            some = leaves[begin : begin + _MOST_NAMES]
            query = select(col(EntryRow.leaf_index), col(EntryRow.leaf_hash))
            rows = self._connection.execute(query.where(col(EntryRow.leaf_index).in_(some)))
            nodes.update({(0, index): digest for index, digest in rows})
        for begin in range(0, len(inner), _MOST_NAMES):
            key = tuple_(col(NodeRow.level), col(NodeRow.node_index))
            query_inner = select(col(NodeRow.level), col(NodeRow.node_index), col(NodeRow.hash))
            found = query_inner.where(key.in_(inner[begin : begin + _MOST_NAMES]))
            nodes.update(
                {(level, index): digest for level, index, digest in self._connection.execute(found)}
            )
        return nodes

    def leaves(self, begin: int, end: int) -> list[bytes]:
        """Return the headers at begin <= leaf_index < end."""
        place = col(EntryRow.leaf_index)
        query = select(col(EntryRow.leaf)).where(place >= begin, place < end).order_by(place)
        return list(self._connection.scalars(query))

    def records_between(self, begin: int, end: int) -> list[Record]:
        """Return the entries at begin <= leaf_index < end."""
        place = col(EntryRow.leaf_index)
        return self._records(_RECORDS.where(place >= begin, place < end).order_by(place))

    def bounds(self, from_at: datetime | None, to_at: datetime | None) -> tuple[int, int] | None:
        """Return the first and last leaf index recorded in a period, or None when there is none.

        Parameters
        ----------
        from_at, to_at
            Aware times; from is included, to is not; None means any.
        """
        moment, place = col(LookupRow.recorded_at), col(LookupRow.leaf_index)
        query: _AnySelect = select(func.min(place), func.max(place))
        if from_at is not None:
            query = query.where(moment >= from_at)
        if to_at is not None:
            query = query.where(moment < to_at)
        first, last = self._connection.execute(query).one()
        return None if first is None else (first, last)

    def indexes_about(self, entry_ids: Sequence[str], begin: int) -> list[int]:
        """Return where entries at begin and after it stand that concern some others."""
        found: list[int] = []
        place = col(LookupRow.leaf_index)
        for start in range(0, len(entry_ids), _MOST_NAMES):
            some = col(LookupRow.about).in_(entry_ids[start : start + _MOST_NAMES])
            found += self._connection.scalars(select(place).where(some, place >= begin))
        return sorted(found)

    def checkpoints_between(self, least: int, most: int, limit: int) -> list[tuple[int, str]]:
        """Return size and note of checkpoints, least <= tree size <= most, by size."""
        size = col(CheckpointRow.tree_size)
        query = select(size, col(CheckpointRow.note)).where(size >= least, size <= most)
        rows = self._connection.execute(query.order_by(size).limit(limit))
        return [(found, note) for found, note in rows]

    def checkpoint_before(self, leaf_index: int) -> int:
        """Return the size of the last checkpoint that does not cover a leaf; 0 for none."""
        size = col(CheckpointRow.tree_size)
        found = self._connection.scalar(select(func.max(size)).where(size <= leaf_index))
        return found or 0

    def answered(self, key_hashes: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
        """Return leaf index and body hash of the Idempotency-Keys that were used before."""
        found: dict[bytes, tuple[int, bytes]] = {}
        row = IdempotencyRow
        for begin in range(0, len(key_hashes), _MOST_NAMES):
            some = col(row.key_hash).in_(key_hashes[begin : begin + _MOST_NAMES])
            query = select(col(row.key_hash), col(row.leaf_index), col(row.body_hash)).where(some)
            for key_hash, leaf_index, body_hash in self._connection.execute(query):
                found[key_hash] = (leaf_index, body_hash)
        return found

    def sealed_by(self, *, order_hash: bytes | None, subject_hash: bytes | None) -> "list[Sealed]":
        """Return the entries of a data subject, or of an order that has none; by their place."""
        order, subject = col(LookupRow.order_hash), col(LookupRow.subject_hash)
        is_owned = subject == subject_hash
        if subject_hash is None:
            is_owned = and_(order == order_hash, subject.is_(None))
        return list(self._sealed(_SEALED.where(is_owned)))

    def scan_sealed(self) -> "Iterator[Sealed]":
        """Yield every entry with a sealed part, by its place."""
        yield from self._sealed(_SEALED)

    def records_of(self, entry_types: Sequence[str]) -> dict[str, Record]:
        """Return every entry of some types by its id."""
        place = col(LookupRow.leaf_index) == col(EntryRow.leaf_index)
        query = _RECORDS.join(LookupRow, place).where(col(LookupRow.entry_type).in_(entry_types))
        return {record.entry_id: record for record in self._records(query)}

    def _sealed(self, query: _AnySelect) -> "Iterator[Sealed]":
        ordered = query.order_by(col(LookupRow.leaf_index))
        # Of this statement alone: options of the connection would last for its transaction.
        streamed = {"yield_per": _STREAMED_ROWS}
        for row in self._connection.execute(ordered, execution_options=streamed):
            head = row[3] or self._kept_head(row[0])
            if head:
                yield Sealed(row[0], row[1], row[2], bytes(head))

    def _kept_head(self, leaf_index: int) -> bytes:
        # An entry without a sealed part, or one whose part is kept elsewhere.
        if self._bodies is None:
            return b""
        return (self.record_at(leaf_index).sealed or b"")[:HEAD_SIZE_BYTES]

    def _one_record(self, query: _AnySelect) -> Record:
        records = self._records(query)
        if not records:
            raise RecordNotFoundError("no such entry is in the log")
        return records[0]

    def _records(self, query: _AnySelect) -> list[Record]:
        records = [Record(*row) for row in self._connection.execute(query)]
        return records if self._bodies is None else self._bodies.complete(self._connection, records)

    def _one_note(self, condition: Any) -> str:  # noqa: ANN401 - an SQL expression
        query = select(col(CheckpointRow.note)).where(condition)
        query = query.order_by(col(CheckpointRow.tree_size)).limit(1)
        note = self._connection.scalar(query)
        if note is None:
            raise RecordNotFoundError("no such checkpoint is in the log")
        return note


def _part_of_entry(part: type[FactsRow | PersonalRow]) -> ColumnElement[bool]:
    # By the month, PostgreSQL looks into one partition instead of all.
    return and_(
        col(part.leaf_index) == col(EntryRow.leaf_index), col(part.month) == col(EntryRow.month)
    )


_RECORDS: Final[_AnySelect] = (
    select(
        col(EntryRow.leaf_index),
        col(EntryRow.entry_id),
        col(EntryRow.leaf),
        col(FactsRow.body),
        col(PersonalRow.sealed),
        col(EntryRow.tree_size),
    )
    .outerjoin(FactsRow, _part_of_entry(FactsRow))
    .outerjoin(PersonalRow, _part_of_entry(PersonalRow))
)
_SEALED: Final[_AnySelect] = (
    select(
        col(LookupRow.leaf_index),
        col(LookupRow.entry_id),
        col(LookupRow.entry_type),
        func.substr(col(PersonalRow.sealed), 1, HEAD_SIZE_BYTES),
    )
    .join(EntryRow, col(EntryRow.leaf_index) == col(LookupRow.leaf_index))
    .outerjoin(PersonalRow, _part_of_entry(PersonalRow))
)
_FOUND: Final[_AnySelect] = select(*METADATA.tables["entry_lookup"].columns)


def _searched(search: Search) -> _AnySelect:
    query: _AnySelect = _FOUND
    exact = (
        (col(LookupRow.entry_type), search.entry_type),
        (col(LookupRow.kind), search.kind),
        (col(LookupRow.outcome), search.outcome),
        (col(LookupRow.automated), None if search.automated is None else int(search.automated)),
        (col(LookupRow.chain_id), search.chain_id),
        (col(LookupRow.about), search.about),
        (col(LookupRow.order_hash), search.order_hash),
        (col(LookupRow.subject_hash), search.subject_hash),
    )
    for column, value in exact:
        if value is not None:
            query = query.where(column == value)
    if search.from_at is not None:
        query = query.where(col(LookupRow.recorded_at) >= search.from_at)
    if search.to_at is not None:
        query = query.where(col(LookupRow.recorded_at) < search.to_at)
    if search.cursor is not None:
        query = query.where(col(LookupRow.leaf_index) < search.cursor)
    return query


def _found(row: _AnyRow) -> Found:
    automated = None if row.automated is None else bool(row.automated)
    return Found(
        leaf_index=row.leaf_index,
        entry_id=row.entry_id,
        entry_type=row.entry_type,
        kind=row.kind,
        outcome=row.outcome,
        automated=automated,
        recorded_at=row.recorded_at,
        about=row.about,
        chain_id=row.chain_id,
    )
