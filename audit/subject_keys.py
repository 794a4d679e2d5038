"""The keys of data subjects: one each, wrapped, kept outside the log's database.

The store is an SQLite file of its own. A key is durable before anything is sealed under it; a
crash in between leaves a key that nobody uses. Destroying a key overwrites its bytes in the file
(secure_delete) and empties the write-ahead log. Each key is wrapped with AES-256-GCM under a
key-encryption key of some epoch, with its id as additional data; `rotate` wraps all of them anew
in one transaction.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pysqlite3
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from audit.errors import (
    ErasedError,
    KeyUnavailableError,
    StoreUnavailableError,
    SubjectKeyMissingError,
)
from audit.key_encryption import KeyEncryption
from audit.ledger import ErasureLedger
from audit.seal import KEY_ID_SIZE_BYTES, KEY_SIZE_BYTES, SubjectKey
from audit.sqlite import IMMEDIATE, empty_wal, open_sqlite, settle

STORE_NAME: Final = "subjects.db"
LEDGER_NAME: Final = "erasures.jsonl"
_BUSY_TIMEOUT_MS: Final = 30_000
_WAL_AUTOCHECKPOINT_PAGES: Final = 1_000
_MOST_CACHED: Final = 50_000
# SQLite allows 32,766 values in a statement.
_MOST_NAMES: Final = 5_000
_CHECK_ID: Final = b"candor key check"
_TABLES: Final = (
    """
CREATE TABLE IF NOT EXISTS subject_key (
  key_id BLOB PRIMARY KEY, owner BLOB NOT NULL UNIQUE, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL
) WITHOUT ROWID
""",
    "CREATE TABLE IF NOT EXISTS key_epoch (epoch INTEGER PRIMARY KEY, wrapped BLOB NOT NULL)",
)


class SubjectKeyStore:
    """The store of keys.

    Parameters
    ----------
    engine
        From `audit.sqlite.open_sqlite`.
    encryption
        Wraps the keys.
    ledger
        Says which keys were destroyed.
    random_bytes
        Source of keys and their ids.

    Raises
    ------
    KeyEncryptionError
        If the keys were wrapped under another key-encryption key.
    StoreUnavailableError
        If the file cannot be opened or written.
    """

    def __init__(
        self,
        engine: Engine,
        encryption: KeyEncryption,
        ledger: ErasureLedger,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._engine = engine
        self._encryption = encryption
        self._ledger = ledger
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._generation = ledger.size()
        self._ids: OrderedDict[bytes, bytes] = OrderedDict()
        self._keys: OrderedDict[bytes, SubjectKey] = OrderedDict()
        with self._transaction() as connection:
            for statement in _TABLES:
                connection.exec_driver_sql(statement)
            self._check_epoch(connection)
        with _own_errors():
            settle(engine)

    @property
    def ledger(self) -> ErasureLedger:
        """Return the ledger of destroyed keys."""
        return self._ledger

    def prepare(self, owners: Iterable[bytes]) -> None:
        """Make the keys of those owners who have none, in one transaction.

        Raises
        ------
        StoreUnavailableError
            If they could not be made durable.
        """
        self._forget_erased()
        missing = [owner for owner in dict.fromkeys(owners) if self._cached(owner) is None]
        for begin in range(0, len(missing), _MOST_NAMES):
            self._obtain(missing[begin : begin + _MOST_NAMES])

    def key_of(self, owner: bytes) -> SubjectKey:
        """Return an owner's key; it is made, durably, if there is none.

        Raises
        ------
        StoreUnavailableError
            If it could not be made durable.
        """
        return self._cached(owner) or self._obtain([owner])[0]

    def find(self, key_id: bytes) -> SubjectKey:
        """Return a key by its id.

        Raises
        ------
        ErasedError
            If an erasure destroyed it.
        SubjectKeyMissingError
            If it is not there otherwise.
        """
        self._forget_erased()
        if self._ledger.is_erased(key_id):
            raise ErasedError("the data subject was erased")
        with self._lock:
            if key_id in self._keys:
                return self._keys[key_id]
        row = self._read("SELECT owner, epoch, wrapped FROM subject_key WHERE key_id = ?", key_id)
        if row is None:
            raise SubjectKeyMissingError("the key of a sealed part is missing")
        key = self._encryption.unwrap(row[1], key_id, row[2])
        return self._remember(row[0], SubjectKey(key_id, key))

    def find_owner(self, owner: bytes) -> bytes | None:
        """Return the id of an owner's key; None when there is none."""
        row = self._read("SELECT key_id FROM subject_key WHERE owner = ?", owner)
        return None if row is None else bytes(row[0])

    def owns(self, owner: bytes, key_id: bytes) -> bool:
        """Tell whether a key is kept as this owner's.

        Raises
        ------
        StoreUnavailableError
            If the file cannot be read.
        """
        with self._lock:
            if self._ids.get(owner) == key_id:
                return True
        return self.find_owner(owner) == key_id

    def generation(self) -> int:
        """Return a number that grows with every act of the ledger, in whatever process."""
        return self._ledger.size()

    def destroy(self, key_ids: Iterable[bytes]) -> None:
        """Remove keys so that their bytes are gone from the file; those not there are left out.

        Raises
        ------
        StoreUnavailableError
            If it could not be done, or the write-ahead log could not be emptied: repeat it then.
        """
        wanted = list(key_ids)
        with self._transaction() as connection:
            for key_id in wanted:
                connection.exec_driver_sql("DELETE FROM subject_key WHERE key_id = ?", (key_id,))
        with self._lock:
            self._clear()
        self._empty_wal()

    def destroy_known(self, key_ids: Iterable[bytes]) -> None:
        """Remove those keys that are still there; a restored copy of this file holds some.

        Raises
        ------
        StoreUnavailableError
            See `destroy`.
        """
        query = "SELECT 1 FROM subject_key WHERE key_id = ?"
        found = [key_id for key_id in key_ids if self._read(query, key_id) is not None]
        if found:
            self.destroy(found)

    def rotate(self) -> int:
        """Wrap every key under the newest key-encryption key; returns how many there are.

        Raises
        ------
        KeyEncryptionError
            If a key-encryption key is missing.
        StoreUnavailableError
            If it could not be done; nothing is changed then.
        """
        epoch, encryption = self._encryption.newest(), self._encryption
        with self._transaction() as connection:
            query = "SELECT key_id, epoch, wrapped FROM subject_key"
            rows = connection.exec_driver_sql(query).fetchall()
            for key_id, old, wrapped in rows:
                renewed = encryption.wrap(epoch, key_id, encryption.unwrap(old, key_id, wrapped))
                update = "UPDATE subject_key SET epoch = ?, wrapped = ? WHERE key_id = ?"
                connection.exec_driver_sql(update, (epoch, renewed, key_id))
            connection.exec_driver_sql("DELETE FROM key_epoch")
            self._write_epoch(connection, epoch)
        self._empty_wal()
        return len(rows)

    def epoch(self) -> int:
        """Return the epoch that new keys are wrapped under."""
        with self._transaction() as connection:
            return self._read_epoch(connection)

    def verify_usable(self) -> int:
        """Check that keys can be had, and return the epoch that new ones are wrapped under.

        Raises
        ------
        KeyUnavailableError, KeyEncryptionError
            If the key-encryption key is not to be had, or is another.
        StoreUnavailableError
            If the file cannot be read.
        """
        self._forget_erased()
        row = self._read("SELECT epoch, wrapped FROM key_epoch WHERE epoch >= ?", 0)
        if row is None:
            raise StoreUnavailableError("the key store is empty")
        self._encryption.unwrap(row[0], _CHECK_ID, row[1])
        return int(row[0])

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _cached(self, owner: bytes) -> SubjectKey | None:
        with self._lock:
            key = self._keys.get(self._ids.get(owner, b""))
        # A reader may have kept a key that was destroyed while it read.
        return None if key is None or self._ledger.is_erased(key.key_id) else key

    def _obtain(self, owners: list[bytes]) -> list[SubjectKey]:
        with self._transaction() as connection:
            known = self._read_owners(connection, owners)
            made = {owner: self._make_key() for owner in owners if owner not in known}
            self._insert(connection, made)
        # Only now are the new ones durable, and may be used.
        return [self._remember(owner, (known | made)[owner]) for owner in owners]

    def _read_owners(self, connection: Connection, owners: list[bytes]) -> dict[bytes, SubjectKey]:
        marks = ", ".join("?" * len(owners))
        query = f"SELECT owner, key_id, epoch, wrapped FROM subject_key WHERE owner IN ({marks})"  # noqa: S608 - marks only
        found: dict[bytes, SubjectKey] = {}
        for owner, key_id, epoch, wrapped in connection.exec_driver_sql(query, tuple(owners)):
            # An erasure is under way: from its line in the ledger on, the old key seals no more.
            if not self._ledger.is_erased(key_id):
                key = self._encryption.unwrap(epoch, key_id, wrapped)
                found[owner] = SubjectKey(key_id, key)
        return found

    def _make_key(self) -> SubjectKey:
        random_bytes = self._random_bytes
        return SubjectKey(random_bytes(KEY_ID_SIZE_BYTES), random_bytes(KEY_SIZE_BYTES))

    def _insert(self, connection: Connection, made: Mapping[bytes, SubjectKey]) -> None:
        if not made:
            return
        epoch = self._read_epoch(connection)
        rows = [
            (one.key_id, owner, epoch, self._encryption.wrap(epoch, one.key_id, one.key))
            for owner, one in made.items()
        ]
        # Replaced is only the key of an erasure that is under way.
        connection.exec_driver_sql("INSERT OR REPLACE INTO subject_key VALUES (?, ?, ?, ?)", rows)

    def _remember(self, owner: bytes, found: SubjectKey) -> SubjectKey:
        with self._lock:
            self._ids[owner], self._keys[found.key_id] = found.key_id, found
            for cache in (self._ids, self._keys):
                while len(cache) > _MOST_CACHED:
                    cache.popitem(last=False)
        return found

    def _forget_erased(self) -> None:
        try:
            self._encryption.renew()
        except KeyUnavailableError:
            # What was unwrapped before is of the key that cannot be had any more.
            with self._lock:
                self._clear()
            raise
        size = self._ledger.size()
        with self._lock:
            if size != self._generation:
                self._clear()
                self._generation = size

    def _clear(self) -> None:
        self._ids.clear()
        self._keys.clear()

    def _check_epoch(self, connection: Connection) -> None:
        row = connection.exec_driver_sql("SELECT epoch, wrapped FROM key_epoch").first()
        if row is None:
            self._write_epoch(connection, self._encryption.newest())
        else:
            self._encryption.unwrap(row[0], _CHECK_ID, row[1])

    def _write_epoch(self, connection: Connection, epoch: int) -> None:
        check = self._encryption.wrap(epoch, _CHECK_ID, bytes(KEY_SIZE_BYTES))
        connection.exec_driver_sql("INSERT INTO key_epoch VALUES (?, ?)", (epoch, check))

    def _read_epoch(self, connection: Connection) -> int:
        return int(connection.exec_driver_sql("SELECT epoch FROM key_epoch").scalar_one())

    def _empty_wal(self) -> None:
        # Overwritten pages of the file do not help while the old ones stand in the log beside it.
        with _own_errors():
            is_empty = empty_wal(self._engine)
        if not is_empty:
            raise StoreUnavailableError(
                "another reader keeps the key store's log from being emptied"
            )

    def _read(self, query: str, value: bytes | int) -> tuple[Any, ...] | None:
        # One statement straight to the driver: a search or a verification reads many keys.
        with _own_errors(), closing(self._engine.raw_connection()) as connection:
            try:
                row: tuple[Any, ...] | None = connection.execute(query, (value,)).fetchone()
            except pysqlite3.Error as error:
                raise StoreUnavailableError(f"the key store answered: {error}") from error
        return row

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with _own_errors(), self._engine.connect() as connection:
            immediate = connection.execution_options(**{IMMEDIATE: True})
            with immediate.begin():
                yield immediate


def open_subject_keys(folder: Path, encryption: KeyEncryption) -> SubjectKeyStore:
    """Open the keys and the erasure ledger of a folder; they are made if they are missing.

    Parameters
    ----------
    folder
        Holds ``subjects.db`` and ``erasures.jsonl``.
    encryption
        Wraps the keys.

    Raises
    ------
    KeyEncryptionError
        If the keys were wrapped under another key-encryption key.
    StoreUnavailableError, UnsafeStoreError
        If the file cannot be opened safely.
    """
    engine = open_sqlite(
        f"sqlite:///{folder / STORE_NAME}",
        journal_mode="wal",
        synchronous="full",
        busy_timeout_ms=_BUSY_TIMEOUT_MS,
        wal_autocheckpoint_pages=_WAL_AUTOCHECKPOINT_PAGES,
    )
    return SubjectKeyStore(engine, encryption, ErasureLedger(folder / LEDGER_NAME))


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise StoreUnavailableError(f"the key store answered: {error.orig}") from error
    except PoolTimeoutError as error:
        raise StoreUnavailableError("too many readers wait for the key store") from error
