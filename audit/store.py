"""Opening the log's database, and its two kinds of transaction.

A `Reading` is one consistent snapshot of the store; a `Writing` is the one writer's turn, all of
it committed or nothing. Neither decides what belongs into the log: `audit.log` does. Every
failure of the database below becomes an error of this package.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import col

from audit.errors import (
    AuditError,
    DatabaseUrlError,
    EntryExistsError,
    RecordVoidError,
    SearchInvalidError,
    StoreUnavailableError,
)
from audit.guards import sqlite_triggers
from audit.postgres import insert_rows, open_postgres, verify_server, verify_service_rights
from audit.reading import BodySource, Found, Reading, Record, Search
from audit.records import CounterKey
from audit.schema import upgrade, verify_revision
from audit.sqlite import IMMEDIATE, empty_wal, open_sqlite, settle
from audit.tables import (
    METADATA,
    AuditRow,
    CounterRow,
    ErasingRow,
    FactsRow,
    IdempotencyRow,
    LookupRow,
    PersonalRow,
    ReleasingRow,
)

__all__ = ["Found", "Reading", "Record", "Search", "Store", "Writing", "open_engine", "open_store"]

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
# A PostgreSQL transaction is one snapshot only if it asks for it; SQLite's always is.
_SNAPSHOT: Final[dict[str, dict[str, Any]]] = {
    SQLITE: {},
    POSTGRESQL: {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


class Writing(Reading):
    """The one writer's turn: reads and inserts of one transaction."""

    def insert(self, row: type[AuditRow], values: list[dict[str, Any]]) -> None:
        """Insert rows, given as columns' values."""
        if not values:
            return
        if self._connection.dialect.name == POSTGRESQL:
            insert_rows(self._connection, METADATA.tables[str(row.__tablename__)], values)
        else:
            self._connection.execute(insert(row), values)

    def remove(self, removal: Callable[[Connection], None]) -> None:
        """Let a purge remove what it names; `audit.removal` does it."""
        removal(self._connection)

    def count_up(self, uses: Mapping[CounterKey, int]) -> None:
        """Add to the caps' counters."""
        postgres = self._connection.dialect.name == POSTGRESQL
        for key, added in uses.items():
            upsert = postgresql.insert(CounterRow) if postgres else sqlite.insert(CounterRow)
            first = upsert.values(**asdict(key), used=added)
            total = col(CounterRow.used) + added
            self._connection.execute(
                first.on_conflict_do_update(
                    index_elements=list(CounterKey.__dataclass_fields__), set_={"used": total}
                )
            )

    def clear_lookups(self, leaf_indexes: Sequence[int]) -> None:
        """Remove the keyed hashes of entries from the look-up tables; only an erasure does."""
        if not leaf_indexes:
            return
        self.insert(ErasingRow, [{"leaf_index": at} for at in leaf_indexes])
        these = select(col(ErasingRow.leaf_index))
        self._connection.execute(
            update(LookupRow)
            .where(col(LookupRow.leaf_index).in_(these))
            .values(order_hash=None, subject_hash=None)
        )
        used = col(IdempotencyRow.leaf_index).in_(these)
        self._connection.execute(delete(IdempotencyRow).where(used))
        self._connection.execute(delete(ErasingRow))

    def release_parts(self, leaf_indexes: Sequence[int]) -> int:
        """Remove the parts of entries that are in the archive, as the database's owner.

        Returns
        -------
        int
            How many facts parts were still there.
        """
        self.insert(ReleasingRow, [{"leaf_index": at} for at in leaf_indexes])
        these = select(col(ReleasingRow.leaf_index))
        self._connection.execute(delete(PersonalRow).where(col(PersonalRow.leaf_index).in_(these)))
        facts = delete(FactsRow).where(col(FactsRow.leaf_index).in_(these))
        removed = self._connection.execute(facts).rowcount
        self._connection.execute(delete(ReleasingRow))
        return removed


class Store:
    """The log's database.

    Parameters
    ----------
    engine
        From `open_engine`.
    bodies
        Where parts are read that the database no longer holds; None for nowhere.
    """

    def __init__(self, engine: Engine, bodies: BodySource | None = None) -> None:
        self._engine = engine
        self.bodies = bodies
        self._snapshot = _SNAPSHOT[engine.dialect.name]

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Open a consistent snapshot for reading.

        Raises
        ------
        StoreUnavailableError
            If the store cannot be read.
        SearchInvalidError
            If it is asked for a value that its columns cannot hold.
        """
        with own_errors(), self._engine.connect() as connection:
            snapshot = connection.execution_options(**self._snapshot)
            with snapshot.begin():
                try:
                    yield Reading(snapshot, self.bodies)
                except DataError as error:
                    # PostgreSQL's texts hold no U+0000, and its numbers have a range.
                    raise SearchInvalidError("the store cannot hold such a value") from error

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Take the writer's turn; commits at the end, or leaves nothing behind.

        Raises
        ------
        StoreUnavailableError
            If the store is full, locked for too long, or gone.
        RecordVoidError, EntryExistsError
            If the database refuses a row.
        """
        with own_errors(), self._engine.connect() as connection:
            immediate = connection.execution_options(**{IMMEDIATE: True})
            with immediate.begin():
                yield Writing(immediate, self.bodies)

    @contextmanager
    def raw(self) -> Iterator[Connection]:
        """Open a snapshot on a connection that gives values as they lie in the file.

        Texts that are not UTF-8 come as strings with surrogates instead of an error.

        Raises
        ------
        StoreUnavailableError
            If the store cannot be read.
        """
        with own_errors(), self._engine.connect() as connection:
            if self._engine.dialect.name == SQLITE:
                # Detached, so that no later reader gets a connection with this text factory.
                connection.detach()
                driver: Any = connection.connection.dbapi_connection
                driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            snapshot = connection.execution_options(**self._snapshot)
            with snapshot.begin():
                yield snapshot

    def fold(self) -> bool:
        """Fold SQLite's write-ahead log into the file and empty it; PostgreSQL does nothing here.

        PostgreSQL's old row versions and its write-ahead log are the server's: VACUUM and the
        retention of archives remove them (docs/databases.md).

        Returns
        -------
        bool
            False when a reader hinders it.

        Raises
        ------
        StoreUnavailableError
            If it cannot be written.
        """
        if self._engine.dialect.name == POSTGRESQL:
            return True
        with own_errors():
            return empty_wal(self._engine)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def open_store(
    url: str,
    *,
    journal_mode: str = "wal",
    synchronous: str = "full",
    busy_timeout_ms: int = 30_000,
    wal_autocheckpoint_pages: int = 1000,
    bodies: BodySource | None = None,
) -> Store:
    """Open the log's database; an SQLite file is made, or its schema upgraded, where needed.

    Parameters
    ----------
    url, journal_mode, synchronous, busy_timeout_ms, wal_autocheckpoint_pages
        See `open_engine`.
    bodies
        Where parts are read that the database no longer holds; None for nowhere.

    Raises
    ------
    UnsafeStoreError
        If the database as set up could lose acknowledged commits, or PostgreSQL would let this
        user change records.
    SchemaOutdatedError
        If the schema is newer, or on PostgreSQL older, than this program.
    DatabaseUrlError
        If the URL cannot be used.
    StoreUnavailableError
        If the database cannot be opened or written.
    """
    engine = open_engine(
        url,
        journal_mode=journal_mode,
        synchronous=synchronous,
        busy_timeout_ms=busy_timeout_ms,
        wal_autocheckpoint_pages=wal_autocheckpoint_pages,
    )
    try:
        with own_errors(), engine.connect() as connection:
            if engine.dialect.name == SQLITE:
                _prepare_sqlite(connection)
                settle(engine)
            else:
                _verify_postgres(connection)
    except AuditError:
        engine.dispose()
        raise
    return Store(engine, bodies)


def open_engine(
    url: str,
    *,
    journal_mode: str = "wal",
    synchronous: str = "full",
    busy_timeout_ms: int,
    wal_autocheckpoint_pages: int,
) -> Engine:
    """Return an engine of the log's database, for whoever has tables of its own in it.

    Parameters
    ----------
    url
        SQLAlchemy URL: ``sqlite:///var/candor.db`` or ``postgresql+psycopg://user@host/database``.
    journal_mode, synchronous
        SQLite: "wal" with "full" or "extra", or "delete" with "extra".
    busy_timeout_ms
        How long a writer waits for another.
    wal_autocheckpoint_pages
        SQLite: after how many pages the WAL is folded back; 0 means never.

    Raises
    ------
    UnsafeStoreError
        If this SQLite could lose acknowledged commits under these settings.
    DatabaseUrlError
        If the URL is malformed, or neither of SQLite nor of PostgreSQL through psycopg.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # The URL may hold a password, so it is not repeated.
        raise DatabaseUrlError("the database's URL is malformed") from error
    if parsed.drivername == "postgresql+psycopg":
        return open_postgres(parsed, busy_timeout_ms=busy_timeout_ms)
    if parsed.get_backend_name() != SQLITE:
        raise DatabaseUrlError(f"{parsed.drivername} is not supported")
    return open_sqlite(
        url,
        journal_mode=journal_mode,
        synchronous=synchronous,
        busy_timeout_ms=busy_timeout_ms,
        wal_autocheckpoint_pages=wal_autocheckpoint_pages,
    )


@contextmanager
def own_errors() -> Iterator[None]:
    """Turn the database's errors into those of this package.

    Raises
    ------
    StoreUnavailableError, RecordVoidError, EntryExistsError
        Instead of SQLAlchemy's.
    """
    try:
        yield
    except IntegrityError as error:
        if "void:" in str(error.orig):
            raise RecordVoidError(_said(error)) from error
        raise EntryExistsError("the database refused an entry as already there") from error
    except DBAPIError as error:
        raise StoreUnavailableError(f"the store answered: {_said(error)}") from error
    except PoolTimeoutError as error:
        raise StoreUnavailableError("too many readers wait for the store") from error


def _said(error: DBAPIError) -> str:
    # PostgreSQL adds lines of context, which may repeat values.
    return str(error.orig).partition("\n")[0]


def _prepare_sqlite(connection: Connection) -> None:
    immediate = connection.execution_options(**{IMMEDIATE: True})
    with immediate.begin():
        upgrade(immediate)
        for statement in sqlite_triggers():
            immediate.execute(text(statement))


def _verify_postgres(connection: Connection) -> None:
    with connection.begin():
        verify_server(connection)
        verify_revision(connection)
        verify_service_rights(connection)
