"""The tables of the log.

Every statement spares what is there: SQLite stores made before there were revisions have these
tables already.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

_INDEX: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LOOKUPS: Final = {
    "type": ["entry_type", "leaf_index"],
    "kind": ["kind", "leaf_index"],
    "order": ["order_hash"],
    "subject": ["subject_hash"],
    "about": ["about"],
    "chain": ["chain_id"],
}


def upgrade() -> None:
    """Make the tables."""
    _make_checkpoints_and_entries()
    _make_parts()
    _make_lookups()
    op.create_table(
        "idempotency",
        sa.Column("key_hash", sa.LargeBinary(), primary_key=True, nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), _deferred("log_entry.leaf_index"), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_table(
        "cosignature",
        sa.Column(
            "tree_size",
            sa.BigInteger(),
            _deferred("checkpoint.tree_size"),
            primary_key=True,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("witness", sa.Text(), primary_key=True, nullable=False),
        sa.Column("cosigned_at_seconds", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "anchor",
        sa.Column(
            "tree_size",
            sa.BigInteger(),
            _deferred("checkpoint.tree_size"),
            primary_key=True,
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("authority", sa.Text(), primary_key=True, nullable=False),
        sa.Column("stamped_at", sa.String(27), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.Column("row_sha256", sa.LargeBinary(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "purging",
        _place(name="first_index"),
        sa.Column("last_index", sa.BigInteger(), nullable=False),
        if_not_exists=True,
    )
    for table in ("erasing", "releasing"):
        op.create_table(table, _place(_deferred("log_entry.leaf_index")), if_not_exists=True)
    op.create_table(
        "cap_counter",
        *[
            sa.Column(name, sa.Text(), primary_key=True, nullable=False)
            for name in ("scope", "cap", "day", "tier")
        ],
        sa.Column("used", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )


def _deferred(target: str) -> sa.ForeignKey:
    return sa.ForeignKey(target, deferrable=True, initially="DEFERRED")


def _place(*items: sa.ForeignKey, name: str = "leaf_index") -> sa.Column[int]:
    return sa.Column(name, _INDEX, *items, primary_key=True, autoincrement=False, nullable=False)


def _make_checkpoints_and_entries() -> None:
    op.create_table(
        "checkpoint",
        _place(name="tree_size"),
        sa.Column("note", sa.Text(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "log_entry",
        _place(),
        sa.Column("entry_id", sa.Text(), unique=True, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("tree_size", sa.BigInteger(), _deferred("checkpoint.tree_size"), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.UniqueConstraint("leaf_index", "month", name="log_entry_month"),
        if_not_exists=True,
    )
    op.create_table(
        "tree_node",
        sa.Column("level", sa.Integer(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column(
            "node_index", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False
        ),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )


def _make_parts() -> None:
    # A partitioned table's key holds the month; SQLite's is the row id, the fastest way to a row.
    is_partitioned = op.get_context().dialect.name == "postgresql"
    key = ["leaf_index", "month"] if is_partitioned else ["leaf_index"]
    for table, column in (("facts_part", "body"), ("personal_part", "sealed")):
        op.create_table(
            table,
            sa.Column("leaf_index", _INDEX, autoincrement=False, nullable=False),
            sa.Column(column, sa.LargeBinary(), nullable=False),
            sa.Column("month", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint(*key),
            sa.ForeignKeyConstraint(
                ["leaf_index", "month"],
                ["log_entry.leaf_index", "log_entry.month"],
                deferrable=True,
                initially="DEFERRED",
            ),
            postgresql_partition_by="LIST (month)",
            if_not_exists=True,
        )
        if is_partitioned:
            # A month that nobody made a partition for never stops a decision.
            op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
            always = f"CREATE TABLE {table}_always PARTITION OF {table} FOR VALUES IN ('always')"
            op.execute(always)


def _make_lookups() -> None:
    op.create_table(
        "entry_lookup",
        _place(_deferred("log_entry.leaf_index")),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("entry_type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text()),
        sa.Column("outcome", sa.Text()),
        sa.Column("automated", sa.Integer()),
        sa.Column("recorded_at", sa.String(27), nullable=False),
        sa.Column("order_hash", sa.LargeBinary()),
        sa.Column("subject_hash", sa.LargeBinary()),
        sa.Column("about", sa.Text()),
        sa.Column("chain_id", sa.Text()),
        if_not_exists=True,
    )
    for name, columns in _LOOKUPS.items():
        op.create_index(f"entry_lookup_{name}", "entry_lookup", columns, if_not_exists=True)
