"""The tables of the log, as `audit.migrations` makes them.

Bytes are stored as bytes. On PostgreSQL the two tables of parts are partitioned by month
(`audit.partitions`). `audit.guards` keeps rows as they were written. Where a service may
change a column or remove a row of a PostgreSQL table, the table's info says so.
"""

import re
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from audit.records import format_time, parse_time

METADATA: Final = MetaData()
# Key of Table.info: the columns that a service may change, which are none by default.
MAY_CHANGE: Final = "may_change"
# Key of Table.info: whether a service may remove rows; by default it may not.
MAY_REMOVE: Final = "may_remove"
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
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


class AnyText(TypeDecorator[str]):
    """Text that may hold U+0000; PostgreSQL cannot, so there it stands as a backslash and 0."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text as the database can hold it."""
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace("\\", "\\\\").replace("\x00", "\\0")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:  # noqa: ANN401 - tampered values have any type
        """Return the text as it was."""
        if not isinstance(value, str) or dialect.name != "postgresql":
            return value
        return _ESCAPED.sub(lambda found: "\x00" if found[1] == "0" else found[1], value)


def _leaf_index_key() -> Column[int]:
    entry = ForeignKey("log_entry.leaf_index", deferrable=True, initially="DEFERRED")
    return Column("leaf_index", _INDEX, entry, primary_key=True, autoincrement=False)


def _place_of_part() -> Column[int]:
    return Column("leaf_index", _INDEX, primary_key=True, autoincrement=False)


def _month_of_part() -> Column[str]:
    # On SQLite the key is the leaf index alone: it is then the row id, the fastest way to a row.
    return Column("month", Text, primary_key=True)


def _of_entry() -> ForeignKeyConstraint:
    # With the month in it, a place has its part in one partition and in no other.
    return ForeignKeyConstraint(
        ["leaf_index", "month"],
        ["log_entry.leaf_index", "log_entry.month"],
        deferrable=True,
        initially="DEFERRED",
    )


class AuditRow(SQLModel):
    """Base of the log's rows; they share a metadata of their own."""

    metadata = METADATA


class EntryRow(AuditRow, table=True):
    """An entry: its place, header's bytes, tree size of its receipt and month of its parts."""

    __tablename__ = "log_entry"
    __table_args__ = (UniqueConstraint("leaf_index", "month", name="log_entry_month"),)

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
    month: str = Field(sa_column=Column("month", Text, nullable=False))


class FactsRow(AuditRow, table=True):
    """An entry's facts part, as written."""

    __tablename__ = "facts_part"
    __table_args__ = (_of_entry(), {"postgresql_partition_by": "LIST (month)"})

    leaf_index: int = Field(sa_column=_place_of_part())
    body: bytes = Field(sa_column=Column("body", LargeBinary, nullable=False))
    month: str = Field(sa_column=_month_of_part())


class PersonalRow(AuditRow, table=True):
    """An entry's personal part, sealed."""

    __tablename__ = "personal_part"
    __table_args__ = (_of_entry(), {"postgresql_partition_by": "LIST (month)"})

    leaf_index: int = Field(sa_column=_place_of_part())
    sealed: bytes = Field(sa_column=Column("sealed", LargeBinary, nullable=False))
    month: str = Field(sa_column=_month_of_part())


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


class CosignatureRow(AuditRow, table=True):
    """A witness's signature line under a checkpoint; beside the tree, not in it."""

    __tablename__ = "cosignature"

    tree_size: int = Field(
        sa_column=Column(
            "tree_size",
            BigInteger,
            ForeignKey("checkpoint.tree_size", deferrable=True, initially="DEFERRED"),
            primary_key=True,
            autoincrement=False,
        )
    )
    witness: str = Field(sa_column=Column("witness", Text, primary_key=True))
    cosigned_at_seconds: int = Field(
        sa_column=Column("cosigned_at_seconds", BigInteger, nullable=False)
    )
    line: str = Field(sa_column=Column("line", Text, nullable=False))


class AnchorRow(AuditRow, table=True):
    """A timestamping authority's reply over a checkpoint; beside the tree, not in it."""

    __tablename__ = "anchor"

    tree_size: int = Field(
        sa_column=Column(
            "tree_size",
            BigInteger,
            ForeignKey("checkpoint.tree_size", deferrable=True, initially="DEFERRED"),
            primary_key=True,
            autoincrement=False,
        )
    )
    authority: str = Field(sa_column=Column("authority", Text, primary_key=True))
    stamped_at: datetime = Field(sa_column=Column("stamped_at", UtcDateTime, nullable=False))
    reply: bytes = Field(sa_column=Column("reply", LargeBinary, nullable=False))
    row_sha256: bytes = Field(sa_column=Column("row_sha256", LargeBinary, nullable=False))


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
        {"info": {MAY_CHANGE: ("order_hash", "subject_hash")}},
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
    __table_args__ = {"sqlite_with_rowid": False, "info": {MAY_REMOVE: True}}

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


class PurgingRow(AuditRow, table=True):
    """A range of entries whose parts are being purged; empty outside a purge's transaction."""

    __tablename__ = "purging"

    first_index: int = Field(
        sa_column=Column("first_index", _INDEX, primary_key=True, autoincrement=False)
    )
    last_index: int = Field(sa_column=Column("last_index", BigInteger, nullable=False))


class ErasingRow(AuditRow, table=True):
    """An entry whose look-ups are being erased; empty outside an erasure's transaction."""

    __tablename__ = "erasing"
    __table_args__ = {"info": {MAY_REMOVE: True}}

    leaf_index: int = Field(sa_column=_leaf_index_key())


class ReleasingRow(AuditRow, table=True):
    """An entry whose parts are in the archive and leave; empty outside that transaction."""

    __tablename__ = "releasing"

    leaf_index: int = Field(sa_column=_leaf_index_key())


class CounterRow(AuditRow, table=True):
    """A cap's counter, counted up with the records that use it; the one table that changes."""

    __tablename__ = "cap_counter"
    __table_args__ = {"sqlite_with_rowid": False, "info": {MAY_CHANGE: ("used",)}}

    scope: str = Field(sa_column=Column("scope", AnyText, primary_key=True))
    cap: str = Field(sa_column=Column("cap", AnyText, primary_key=True))
    day: str = Field(sa_column=Column("day", AnyText, primary_key=True))
    tier: str = Field(sa_column=Column("tier", AnyText, primary_key=True))
    used: int = Field(sa_column=Column("used", BigInteger, nullable=False))
