"""The tables of the log, and the triggers that keep them as they were written.

Bytes are stored as bytes. UPDATE and DELETE are refused on every table but the caps' counters, and
so is an INSERT over an existing row (SQLite's INSERT OR REPLACE would delete without firing a
trigger). The database itself refuses a decision without features (a split: without order lines),
model version, bundle or confidence. Parts are inserted before their entry, so that the entry's
trigger can see them.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from audit.records import format_time, parse_time

METADATA: Final = MetaData()
# SQLite aliases a column to its row id only when it is declared INTEGER.
_INDEX: Final = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times as RFC 3339 text, the very text of the header; sorts as the times do."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the text of an aware time."""
        return None if value is None else format_time(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ANN401, ARG002 - SQLAlchemy's signature
        """Return the aware time of a text."""
        return None if value is None else parse_time(value)


def _leaf_index_key() -> Column[int]:
    entry = ForeignKey("log_entry.leaf_index", deferrable=True, initially="DEFERRED")
    return Column("leaf_index", _INDEX, entry, primary_key=True, autoincrement=False)


class AuditRow(SQLModel):
    """Base of the log's rows; they share a metadata of their own."""

    metadata = METADATA


class EntryRow(AuditRow, table=True):
    """An entry: its place, its header's exact bytes and the tree size of its receipt."""

    __tablename__ = "log_entry"

    leaf_index: int = Field(
        sa_column=Column("leaf_index", _INDEX, primary_key=True, autoincrement=False)
    )
    entry_id: str = Field(sa_column=Column("entry_id", Text, unique=True, nullable=False))
    leaf: bytes = Field(sa_column=Column("leaf", LargeBinary, nullable=False))
    leaf_hash: bytes = Field(sa_column=Column("leaf_hash", LargeBinary, nullable=False))
    tree_size: int = Field(
        sa_column=Column(
            "tree_size",
            BigInteger,
            ForeignKey("checkpoint.tree_size", deferrable=True, initially="DEFERRED"),
            nullable=False,
        )
    )


class FactsRow(AuditRow, table=True):
    """An entry's facts part, as written."""

    __tablename__ = "facts_part"

    leaf_index: int = Field(sa_column=_leaf_index_key())
    body: bytes = Field(sa_column=Column("body", LargeBinary, nullable=False))


class PersonalRow(AuditRow, table=True):
    """An entry's personal part, sealed."""

    __tablename__ = "personal_part"

    leaf_index: int = Field(sa_column=_leaf_index_key())
    sealed: bytes = Field(sa_column=Column("sealed", LargeBinary, nullable=False))


class NodeRow(AuditRow, table=True):
    """A complete inner node, level 1 and up; level 0 is `EntryRow.leaf_hash`."""

    __tablename__ = "tree_node"
    __table_args__ = {"sqlite_with_rowid": False}

    level: int = Field(sa_column=Column("level", Integer, primary_key=True, autoincrement=False))
    node_index: int = Field(
        sa_column=Column("node_index", BigInteger, primary_key=True, autoincrement=False)
    )
    hash: bytes = Field(sa_column=Column("hash", LargeBinary, nullable=False))


class CheckpointRow(AuditRow, table=True):
    """A signed checkpoint, one for each batch."""

    __tablename__ = "checkpoint"

    tree_size: int = Field(
        sa_column=Column("tree_size", _INDEX, primary_key=True, autoincrement=False)
    )
    note: str = Field(sa_column=Column("note", Text, nullable=False))


class LookupRow(AuditRow, table=True):
    """What an entry is searched by; every column follows from its header and facts."""

    __tablename__ = "entry_lookup"
    __table_args__ = (
        Index("entry_lookup_type", "entry_type", "leaf_index"),
        Index("entry_lookup_kind", "kind", "leaf_index"),
        Index("entry_lookup_order", "order_hash"),
        Index("entry_lookup_subject", "subject_hash"),
        Index("entry_lookup_about", "about"),
        Index("entry_lookup_chain", "chain_id"),
    )

    leaf_index: int = Field(sa_column=_leaf_index_key())
    entry_id: str = Field(sa_column=Column("entry_id", Text, nullable=False))
    entry_type: str = Field(sa_column=Column("entry_type", Text, nullable=False))
    kind: str | None = Field(sa_column=Column("kind", Text))
    outcome: str | None = Field(sa_column=Column("outcome", Text))
    automated: int | None = Field(sa_column=Column("automated", Integer))
    recorded_at: datetime = Field(sa_column=Column("recorded_at", UtcDateTime, nullable=False))
    order_hash: bytes | None = Field(sa_column=Column("order_hash", LargeBinary))
    subject_hash: bytes | None = Field(sa_column=Column("subject_hash", LargeBinary))
    about: str | None = Field(sa_column=Column("about", Text))
    chain_id: str | None = Field(sa_column=Column("chain_id", Text))


class IdempotencyRow(AuditRow, table=True):
    """The entry that answered an Idempotency-Key; both hashes are keyed."""

    __tablename__ = "idempotency"
    __table_args__ = {"sqlite_with_rowid": False}

    key_hash: bytes = Field(sa_column=Column("key_hash", LargeBinary, primary_key=True))
    leaf_index: int = Field(
        sa_column=Column(
            "leaf_index",
            BigInteger,
            ForeignKey("log_entry.leaf_index", deferrable=True, initially="DEFERRED"),
            nullable=False,
        )
    )
    body_hash: bytes = Field(sa_column=Column("body_hash", LargeBinary, nullable=False))


class CounterRow(AuditRow, table=True):
    """A cap's counter, counted up with the records that use it; the one table that changes."""

    __tablename__ = "cap_counter"
    __table_args__ = {"sqlite_with_rowid": False}

    scope: str = Field(sa_column=Column("scope", Text, primary_key=True))
    cap: str = Field(sa_column=Column("cap", Text, primary_key=True))
    day: str = Field(sa_column=Column("day", Text, primary_key=True))
    tier: str = Field(sa_column=Column("tier", Text, primary_key=True))
    used: int = Field(sa_column=Column("used", BigInteger, nullable=False))


# What makes a row the same row, for each table.
_SAME_ROW: Final = {
    "log_entry": "leaf_index = NEW.leaf_index OR entry_id = NEW.entry_id",
    "facts_part": "leaf_index = NEW.leaf_index",
    "personal_part": "leaf_index = NEW.leaf_index",
    "tree_node": "level = NEW.level AND node_index = NEW.node_index",
    "checkpoint": "tree_size = NEW.tree_size",
    "entry_lookup": "leaf_index = NEW.leaf_index",
    "idempotency": "key_hash = NEW.key_hash",
}

_VOID_TRIGGER: Final = """
CREATE TRIGGER IF NOT EXISTS log_entry_void_2 BEFORE INSERT ON log_entry
BEGIN
  SELECT RAISE(ABORT, 'void: the header is not JSON')
   WHERE NOT json_valid(CAST(NEW.leaf AS TEXT));
  SELECT RAISE(ABORT, 'void: the header lacks model version, bundle or confidence')
   WHERE json_extract(CAST(NEW.leaf AS TEXT), '$.type') = 'decision'
     AND NOT (
       COALESCE(json_extract(CAST(NEW.leaf AS TEXT), '$.model.version'), '') <> ''
       AND COALESCE(json_extract(CAST(NEW.leaf AS TEXT), '$.model.bundle'), '') <> ''
       AND COALESCE(json_type(CAST(NEW.leaf AS TEXT), '$.confidence'), '') IN ('real', 'integer'));
  SELECT RAISE(ABORT, 'void: the decision has no snapshot of features')
   WHERE json_extract(CAST(NEW.leaf AS TEXT), '$.type') = 'decision'
     AND NOT EXISTS (
       SELECT 1 FROM facts_part
        WHERE leaf_index = NEW.leaf_index
          AND CASE WHEN NOT json_valid(CAST(body AS TEXT)) THEN 0
            WHEN json_extract(CAST(body AS TEXT), '$.form') = 'split'
            THEN COALESCE(json_array_length(CAST(body AS TEXT), '$.problem.lines'), 0) > 0
            ELSE COALESCE(json_type(CAST(body AS TEXT), '$.features'), '') = 'object'
              AND json_extract(CAST(body AS TEXT), '$.features') <> '{}' END);
END
"""


def sqlite_triggers() -> list[str]:
    """Return the SQLite statements that make the tables append-only."""
    # A store made before there were splits has a trigger that refuses them.
    statements = ["DROP TRIGGER IF EXISTS log_entry_void", _VOID_TRIGGER]
    for table, same_row in _SAME_ROW.items():
        refuse = f"SELECT RAISE(ABORT, 'immutable: {table}')"
        statements += [
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{change.lower()} "
            f"BEFORE {change} ON {table} BEGIN {refuse}; END"
            for change in ("UPDATE", "DELETE")
        ]
        exists = f"EXISTS (SELECT 1 FROM {table} WHERE {same_row})"  # noqa: S608 - constants of this module
        statements.append(
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN {exists} BEGIN {refuse}; END"
        )
    return statements
