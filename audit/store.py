"""Opening the log's database, and its two kinds of transaction.

A `Reading` is one consistent snapshot of the store; a `Writing` is the one writer's turn, all of
it committed or nothing. Neither decides what belongs into the log: `audit.log` does. Every
failure of the database below becomes an error of this package.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import col

from audit.errors import EntryExistsError, RecordVoidError, StoreUnavailableError
from audit.reading import Found, Reading, Record, Search
from audit.records import CounterKey
from audit.sqlite import IMMEDIATE, open_engine
from audit.tables import METADATA, AuditRow, CounterRow, sqlite_triggers

__all__ = ["Found", "Reading", "Record", "Search", "Store", "Writing", "open_store"]


class Writing(Reading):
    """The one writer's turn: reads and inserts of one transaction."""

    def insert(self, row: type[AuditRow], values: list[dict[str, Any]]) -> None:
        """Insert rows, given as columns' values."""
        if values:
            self._connection.execute(insert(row), values)

    def count_up(self, uses: Mapping[CounterKey, int]) -> None:
        """Add to the caps' counters."""
        for key, added in uses.items():
            first = sqlite_insert(CounterRow).values(**asdict(key), used=added)
            total = col(CounterRow.used) + added
            self._connection.execute(
                first.on_conflict_do_update(
                    index_elements=list(CounterKey.__dataclass_fields__), set_={"used": total}
                )
            )


class Store:
    """The log's database.

    Parameters
    ----------
    engine
        From `open_engine`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Open a consistent snapshot for reading.

        Raises
        ------
        StoreUnavailableError
            If the store cannot be read.
        """
        with _own_errors(), self._engine.connect() as connection, connection.begin():
            yield Reading(connection)

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
        with _own_errors(), self._engine.connect() as connection:
            immediate = connection.execution_options(**{IMMEDIATE: True})
            with immediate.begin():
                yield Writing(immediate)

    @contextmanager
    def raw(self) -> Iterator[Connection]:
        """Open a snapshot on a connection that gives values as they lie in the file.

        Texts that are not UTF-8 come as strings with surrogates instead of an error.

        Raises
        ------
        StoreUnavailableError
            If the store cannot be read.
        """
        with _own_errors(), self._engine.connect() as connection:
            # Detached, so that no later reader gets a connection with this text factory.
            connection.detach()
            driver: Any = connection.connection.dbapi_connection
            driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            with connection.begin():
                yield connection

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
) -> Store:
    """Open the log's database and make its tables and triggers if they are missing.

    Parameters
    ----------
    url
        SQLAlchemy URL, such as ``sqlite:///var/candor.db``.
    journal_mode, synchronous
        "wal" with "full" or "extra", or "delete" with "extra".
    busy_timeout_ms
        How long a writer waits for another.
    wal_autocheckpoint_pages
        After how many pages the WAL is folded back; 0 means never.

    Raises
    ------
    UnsafeStoreError
        If this SQLite could lose acknowledged commits under these settings.
    StoreUnavailableError
        If the file cannot be opened or written.
    """
    engine = open_engine(
        url,
        journal_mode=journal_mode,
        synchronous=synchronous,
        busy_timeout_ms=busy_timeout_ms,
        wal_autocheckpoint_pages=wal_autocheckpoint_pages,
    )
    with _own_errors(), engine.connect() as connection:
        immediate = connection.execution_options(**{IMMEDIATE: True})
        with immediate.begin():
            METADATA.create_all(immediate)
            for statement in sqlite_triggers():
                immediate.execute(text(statement))
    return Store(engine)


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if "void:" in str(error.orig):
            raise RecordVoidError(str(error.orig)) from error
        raise EntryExistsError("the database refused an entry as already there") from error
    except DBAPIError as error:
        raise StoreUnavailableError(f"the store answered: {error.orig}") from error
    except PoolTimeoutError as error:
        raise StoreUnavailableError("too many readers wait for the store") from error
