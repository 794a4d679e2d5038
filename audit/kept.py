"""One signed checkpoint in a file of its own, apart from the database.

The file has two slots of 4096 bytes: a note, line feeds up to the end, and its SHA-256. A write
goes to the older slot and is flushed with one `fdatasync`, so a torn write leaves the newer slot
as it was. Who signed does not matter here: the file is trusted as its disk is, and only compared.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.errors import CheckpointInvalidError, CheckpointLostError, StoreUnavailableError
from audit.folders import make_folder, sync_folder

_SLOT_BYTES: Final = 4096
_SLOTS: Final = 2
_CHECKSUM_BYTES: Final = 65
_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class _Slot:
    note: str
    head: Checkpoint


class KeptCheckpoint:
    """The last checkpoint that was answered with, kept outside the database.

    Parameters
    ----------
    path
        The file; processes on one machine may share it.
    must_exist
        Whether a log with entries may not go on without the file.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        self._path = path
        self._must_exist = must_exist
        self._known: Checkpoint | None = None
        # What was only read may be another process's that is not on the disk yet.
        self._durable: Checkpoint | None = None
        self._is_named = False

    def read(self, origin: str) -> str | None:
        """Return the newest kept note, of this origin if there is one; None without a file.

        Raises
        ------
        CheckpointLostError
            If the file is damaged, or was there before and is gone.
        StoreUnavailableError
            If it cannot be read.
        """
        try:
            with self._locked() as descriptor:
                slot = _newest(_read(descriptor), origin)
        except FileNotFoundError as error:
            if self._known is not None:
                raise CheckpointLostError("the kept checkpoint was removed") from error
            return None
        except OSError as error:
            raise StoreUnavailableError(
                f"the kept checkpoint cannot be read: {error.strerror}"
            ) from error
        self._known = slot.head
        return slot.note

    def verify_present(self, tree_size: int) -> None:
        """Check that the file is there if it has to be.

        Raises
        ------
        CheckpointLostError
            If the log has entries and the file is missing.
        """
        if self._must_exist and tree_size and not self._path.exists():
            raise CheckpointLostError("the kept checkpoint is not where the settings say")

    def keep(self, note: str) -> None:
        """Make a checkpoint durable; a smaller one of the same origin changes nothing.

        Raises
        ------
        StoreUnavailableError
            If it could not be written; nothing may be answered with it then.
        CheckpointLostError
            If the file is damaged.
        """
        head = parse_checkpoint(note)
        durable = self._durable
        is_kept = durable is not None and durable.origin == head.origin
        if is_kept and durable is not None and durable.tree_size >= head.tree_size:
            return
        try:
            if not self._path.exists():
                self._is_named = False
                self._create(note)
            with self._locked() as descriptor:
                self._write_newer(descriptor, note, head)
            if not self._is_named:
                sync_folder(self._path.parent)
                self._is_named = True
        except OSError as error:
            raise _not_kept(error) from error

    def begin(self, note: str) -> None:
        """Keep the first checkpoint of a new origin, and the old file under another name.

        Raises
        ------
        StoreUnavailableError
            If it could not be written.
        """
        try:
            staging = self._stage(note)
            if self._path.exists():
                digest = sha256(self._path.read_bytes()).hexdigest()[:16]
                aside = self._path.with_name(f"{self._path.name}.{digest}")
                aside.unlink(missing_ok=True)
                os.link(self._path, aside)
            # In one step: at no moment is there no file.
            staging.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise _not_kept(error) from error
        self._known = self._durable = parse_checkpoint(note)

    def _write_newer(self, descriptor: int, note: str, head: Checkpoint) -> None:
        slots = _read(descriptor)
        newest = _newest(slots, head.origin)
        if newest.head.origin == head.origin and newest.head.tree_size >= head.tree_size:
            # It covers this one, but whoever wrote it may have been killed, or told of an error,
            # before it was on the disk: the same bytes are written again.
            note, head, place = newest.note, newest.head, slots.index(newest)
        else:
            place = 1 - slots.index(newest)
        os.pwrite(descriptor, _format(note), place * _SLOT_BYTES)
        os.fdatasync(descriptor)
        self._known = self._durable = head

    def _create(self, note: str) -> None:
        staging = self._stage(note)
        try:
            # A hard link never replaces what another process kept in the meantime.
            os.link(staging, self._path)
        except FileExistsError:
            return
        finally:
            staging.unlink()

    def _stage(self, note: str) -> Path:
        make_folder(self._path.parent)
        staging = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_format(note) * _SLOTS)
            file.flush()
            os.fsync(file.fileno())
        return staging

    @contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _not_kept(error: OSError) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"the checkpoint could not be kept outside the database: {error.strerror}"
    )


def _read(descriptor: int) -> list[_Slot | None]:
    raw = os.pread(descriptor, _SLOTS * _SLOT_BYTES + 1, 0)
    if len(raw) != _SLOTS * _SLOT_BYTES:
        raise CheckpointLostError("the kept checkpoint's file has another size")
    return [_parse(raw[at : at + _SLOT_BYTES]) for at in range(0, len(raw), _SLOT_BYTES)]


def _newest(slots: list[_Slot | None], origin: str) -> _Slot:
    whole = [slot for slot in slots if slot is not None]
    if not whole:
        raise CheckpointLostError("the kept checkpoint's file is damaged")
    return max(whole, key=lambda slot: (slot.head.origin == origin, slot.head.tree_size))


def _format(note: str) -> bytes:
    raw = note.encode()
    room = _SLOT_BYTES - _CHECKSUM_BYTES
    if len(raw) > room:
        raise StoreUnavailableError("the checkpoint is too long to be kept")
    return raw.ljust(room, b"\n") + sha256(raw).hexdigest().encode() + b"\n"


def _parse(raw: bytes) -> _Slot | None:
    text = raw[:-_CHECKSUM_BYTES].rstrip(b"\n") + b"\n"
    if raw[-_CHECKSUM_BYTES:] != sha256(text).hexdigest().encode() + b"\n":
        return None
    try:
        note = text.decode()
        return _Slot(note, parse_checkpoint(note))
    except (UnicodeDecodeError, CheckpointInvalidError):
        return None
