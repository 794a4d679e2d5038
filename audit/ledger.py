"""The erasure ledger: what must stay erased, whatever is restored.

One JSON line for each act, appended and fsynced before the act itself: an erasure (the key to
destroy), a legal hold, its release; and, after a purge, a key that nothing is sealed under any
more. A line names a key by its random id and no person. The file lives outside the database and
outside its backups; of two copies the longer one is right.
"""

import fcntl
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock

import orjson

from audit.errors import LedgerDamagedError, StoreUnavailableError
from audit.folders import sync_folder

_PRIVATE = 0o600


class Act(StrEnum):
    """What a line of the ledger says."""

    ERASE = "erase"
    HOLD = "hold"
    RELEASE = "release"
    EXPIRE = "expire"


# Acts after which nothing is sealed or opened under the key.
DESTROYS = (Act.ERASE, Act.EXPIRE)


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One act.

    Parameters
    ----------
    act
        What was done.
    entry_id
        Id of the entry that records it in the log.
    key_id
        Which key, hex.
    at
        When, RFC 3339.
    actor
        Who did it.
    reason
        A code or ticket number; nothing personal.
    """

    act: Act
    entry_id: str
    key_id: str
    at: str
    actor: str
    reason: str


class ErasureLedger:
    """An append-only file of acts.

    Parameters
    ----------
    path
        The file; it is made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._read_size = -1
        self._lines: tuple[LedgerLine, ...] = ()
        self._erased: frozenset[bytes] = frozenset()

    def size(self) -> int:
        """Return the file's size in bytes; it grows with every act, in whatever process."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise StoreUnavailableError("the erasure ledger cannot be read") from error

    def lines(self) -> tuple[LedgerLine, ...]:
        """Return all acts, oldest first.

        Raises
        ------
        LedgerDamagedError
            If a line is not one.
        StoreUnavailableError
            If the file cannot be read.
        """
        self._refresh()
        return self._lines

    def is_erased(self, key_id: bytes) -> bool:
        """Tell whether a key is to be destroyed, or was, by an erasure or with its last record."""
        self._refresh()
        return key_id in self._erased

    def is_held(self, key_id: bytes) -> bool:
        """Tell whether a legal hold forbids to destroy a key."""
        acts = [line.act for line in self.lines() if line.key_id == key_id.hex()]
        return next((act == Act.HOLD for act in reversed(acts)), False)

    def held(self) -> frozenset[bytes]:
        """Return the ids of all keys under a legal hold."""
        acts = {line.key_id: line.act for line in self.lines()}
        return frozenset(bytes.fromhex(key_id) for key_id, act in acts.items() if act == Act.HOLD)

    def append(self, *lines: LedgerLine) -> None:
        """Add acts; they are durable when this returns.

        Raises
        ------
        StoreUnavailableError
            If it could not be made durable; then it is not in the file.
        """
        content = b"".join(orjson.dumps(asdict(line)) + b"\n" for line in lines)
        try:
            if content:
                self._write(content)
        except OSError as error:
            with self._lock:
                # It may have been read meanwhile, and the next one may be as long.
                self._read_size = -1
            raise StoreUnavailableError("the erasure ledger cannot be written") from error

    def settle(self) -> None:
        """Make durable what is there: a process that was killed may have left a line that is not.

        Raises
        ------
        StoreUnavailableError
            If it could not be done.
        """
        if not self._path.exists():
            return
        try:
            with self._path.open("rb") as file:
                os.fsync(file.fileno())
            sync_folder(self._path.parent)
        except OSError as error:
            raise StoreUnavailableError("the erasure ledger cannot be written") from error

    def _write(self, content: bytes) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, _PRIVATE)
        # Without a buffer, which would be written once more when a file is closed after an error.
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # A line that a crash cut off was never acknowledged; nothing may be glued to it.
            whole = len(_whole(file.read()))
            file.truncate(whole)
            file.seek(whole)
            try:
                written = 0
                while written < len(content):
                    written += file.write(content[written:])
                os.fsync(file.fileno())
                sync_folder(self._path.parent)
            except OSError:
                # Otherwise the line would count, though a power cut could take it away again.
                os.ftruncate(file.fileno(), whole)
                raise

    def _refresh(self) -> None:
        size = self.size()
        with self._lock:
            if size == self._read_size:
                return
            try:
                content = self._path.read_bytes() if size else b""
            except OSError as error:
                raise StoreUnavailableError("the erasure ledger cannot be read") from error
            self._lines = tuple(_parse(_whole(content).splitlines()))
            self._erased = frozenset(
                bytes.fromhex(line.key_id) for line in self._lines if line.act in DESTROYS
            )
            self._read_size = size


def _whole(content: bytes) -> bytes:
    """Leave out a last line that was never acknowledged: a power cut left its end or a hole."""
    whole = content[: content.rfind(b"\n") + 1]
    last = whole.rfind(b"\n", 0, -1) + 1
    # A sector that never reached the disk reads as zeros, which no line holds.
    return whole[:last] if b"\x00" in whole[last:] else whole


def _parse(lines: Iterable[bytes]) -> Iterable[LedgerLine]:
    for number, content in enumerate(lines, start=1):
        try:
            said = orjson.loads(content)
            line = LedgerLine(**{**said, "act": Act(said["act"])})
            bytes.fromhex(line.key_id)
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerDamagedError(f"line {number} of the erasure ledger is damaged") from error
        yield line
