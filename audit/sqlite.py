"""Opening SQLite so that an acknowledged commit stays committed.

SQLite 3.7.0 to 3.51.2 can lose acknowledged commits in WAL mode (the WAL-reset bug), so the
pair of version and journal mode is checked before anything is written, and refused if unsafe.
"""

from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pysqlite3
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection, make_url

from audit.errors import StoreUnavailableError, UnsafeStoreError
from audit.folders import sync_folder

IMMEDIATE: Final = "candor_immediate"
# How long one waits for a connection while others use them all; then the store is unavailable.
POOL_SECONDS: Final = 5.0
_FILE: Final = "candor_file"
_WAL_INTRODUCED: Final = (3, 7, 0)
_WAL_RESET_FIXED: Final = (3, 51, 3)
_SYNCHRONOUS: Final = ("off", "normal", "full", "extra")


def verify_safe_pair(version: tuple[int, ...], journal_mode: str, synchronous: str) -> None:
    """Check that a commit acknowledged under these settings survives a crash.

    Parameters
    ----------
    version
        SQLite's version, such as (3, 53, 4).
    journal_mode
        "wal" or "delete"; every other mode is refused.
    synchronous
        "full" or "extra" with WAL; "extra" with a rollback journal.

    Raises
    ------
    UnsafeStoreError
        If an acknowledged commit could be lost.

    Examples
    --------
    >>> verify_safe_pair((3, 53, 4), "wal", "full")
    >>> verify_safe_pair((3, 40, 1), "delete", "extra")
    """
    named = f"SQLite {'.'.join(map(str, version))}, {journal_mode}, synchronous {synchronous}"
    if journal_mode == "wal":
        in_bad_range = _WAL_INTRODUCED <= version < _WAL_RESET_FIXED
        if in_bad_range or synchronous not in ("full", "extra"):
            raise UnsafeStoreError(f"{named}: WAL can lose commits here")
    elif journal_mode != "delete" or synchronous != "extra":
        raise UnsafeStoreError(f"{named}: not a durable journal")


def open_sqlite(
    url: str,
    *,
    journal_mode: str,
    synchronous: str,
    busy_timeout_ms: int,
    wal_autocheckpoint_pages: int,
) -> Engine:
    """Return an engine whose connections are all durable; connects once to make sure.

    Parameters
    ----------
    url
        SQLAlchemy URL of an SQLite file.
    journal_mode, synchronous
        See `verify_safe_pair`.
    busy_timeout_ms
        How long a writer waits for another.
    wal_autocheckpoint_pages
        After how many pages the WAL is folded back; 0 means never.

    Raises
    ------
    UnsafeStoreError
        If the settings asked for, or those that SQLite then reports, are unsafe.
    StoreUnavailableError
        If the file is missing and cannot be made, or its write-ahead log is there without it.

    Notes
    -----
    A transaction on the engine raises `StoreUnavailableError` once the file was moved, replaced
    or deleted.
    """
    version: tuple[int, ...] = pysqlite3.sqlite_version_info
    verify_safe_pair(version, journal_mode, synchronous)
    database = make_url(url).database or ""
    if database in ("", ":memory:"):
        raise UnsafeStoreError("a database in memory is no store")
    _make_file(database)
    engine = create_engine(
        url,
        module=pysqlite3,
        pool_timeout=POOL_SECONDS,
        # Never makes a file: one in the place of a database that was taken away would be empty,
        # and SQLite removes the write-ahead log beside an empty database, with what it holds.
        creator=lambda: _connect(database),
    )

    def prepare(connection: Any, record: Any) -> None:  # noqa: ANN401 - a DBAPI connection has no type
        # The driver would begin transactions late and by itself; `begin` below does it instead.
        connection.isolation_level = None
        for name, value in (
            ("busy_timeout", busy_timeout_ms),
            ("journal_mode", journal_mode),
            ("synchronous", synchronous),
            ("foreign_keys", 1),
            ("recursive_triggers", 1),
            # What leaves (an erased subject's hashes and key) leaves the file's pages too.
            ("secure_delete", 1),
            ("wal_autocheckpoint", wal_autocheckpoint_pages),
        ):
            connection.execute(f"PRAGMA {name}={value}")
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        level = connection.execute("PRAGMA synchronous").fetchone()[0]
        verify_safe_pair(version, mode, _SYNCHRONOUS[level])
        record.info[_FILE] = _identify(database)

    def begin(connection: Connection) -> None:
        # SQLite goes on writing into a file that was deleted or replaced under it.
        if connection.info.get(_FILE) != _identify(database):
            connection.invalidate()
            raise StoreUnavailableError("the database file was moved, replaced or deleted")
        immediate = connection.get_execution_options().get(IMMEDIATE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def settle(engine: Engine) -> None:
    """Make durable what is read: a process that was killed may have left commits that are not.

    SQLite takes over whatever whole commits it finds in the write-ahead log, also those that were
    written and never flushed. A retry that is answered from them writes nothing, so nothing would
    flush them.

    Parameters
    ----------
    engine
        From `open_sqlite`, before anything is answered.

    Raises
    ------
    StoreUnavailableError
        If it could not be done.
    """
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        try:
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            # The file's own name, and the absence of a rollback journal.
            sync_folder(Path(engine.url.database or "").parent)
        except (pysqlite3.Error, OSError) as error:
            raise StoreUnavailableError(f"the store answered: {error}") from error


def empty_wal(engine: Engine) -> bool:
    """Fold the write-ahead log back into the file, durably, and empty it.

    Parameters
    ----------
    engine
        From `open_sqlite`.

    Returns
    -------
    bool
        False when a reader hinders it.

    Raises
    ------
    StoreUnavailableError
        If it could not be done.
    """
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        try:
            is_busy: int = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except pysqlite3.Error as error:
            raise StoreUnavailableError(f"the store answered: {error}") from error
    return not is_busy


def _make_file(database: str) -> None:
    if _is_missing(database):
        try:
            Path(database).touch()
        except OSError as error:
            detail = f"the database file cannot be made: {error.strerror}"
            raise StoreUnavailableError(detail) from error


def _connect(database: str) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
    _is_missing(database)
    address = f"file:{quote(str(Path(database).absolute()))}?mode=rw"
    return pysqlite3.connect(address, uri=True, check_same_thread=False)


def _is_missing(database: str) -> bool:
    path, left = Path(database), Path(f"{database}-wal")
    try:
        is_empty = not path.exists() or not path.stat().st_size
        if is_empty and left.exists() and left.stat().st_size:
            raise StoreUnavailableError(
                f"{path.name} is gone or empty, but its write-ahead log is there",
                f"Put {path.name} back beside {left.name}: together they hold what was recorded.",
            )
        return not path.exists()
    except OSError as error:
        raise StoreUnavailableError(f"the database: {error.strerror}") from error


def _identify(database: str) -> tuple[int, int] | None:
    try:
        status = Path(database).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
