"""Files of exports that show somebody who is to be forgotten, and those that a crash left."""

import fcntl
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Final

import orjson

from audit.errors import StoreUnavailableError
from audit.exported import find_exports
from audit.records import format_time
from models.domain import Json
from service.answers import JsonObject
from service.usecases.records import new_id, read_object
from service.wiring import Platform

_PREFIX: Final = ".work-"


def remove_exports(platform: Platform, leaf_indexes: Collection[int]) -> list[JsonObject]:
    """Remove our own files of the exports that opened any of some entries, and name them all.

    Parameters
    ----------
    leaf_indexes
        Of the entries of whom is to be forgotten.

    Returns
    -------
    list
        Of each such export, oldest first: its entry, its time, the digest of its zip, and whether
        the file was ours and is gone. Other files are wherever they were written or sent to.

    Raises
    ------
    StoreUnavailableError
        If a file cannot be removed, or the log not be read.
    """
    with platform.store.reading() as reading:
        found = find_exports(reading, leaf_indexes)
    if not found:
        return []
    files = _own_files(platform.settings.exports)
    named: list[JsonObject] = []
    for one in found:
        path = files.get(one.entry_id)
        if path is not None:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreUnavailableError("an exported file cannot be removed") from error
        named.append(
            {
                "entry_id": one.entry_id,
                "leaf_index": one.leaf_index,
                "exported_at": format_time(one.exported_at),
                "bundle_sha256": one.bundle_sha256,
                "removed": path is not None,
            }
        )
    return named


@dataclass(frozen=True, slots=True)
class Work:
    """A folder that one process makes exports in; a lock says that the process lives.

    Parameters
    ----------
    folder
        Beside the exports.
    descriptor
        Holds the lock.
    """

    folder: Path
    descriptor: int

    def close(self) -> None:
        """Remove the folder."""
        rmtree(self.folder, ignore_errors=True)
        os.close(self.descriptor)


def open_work(exports: Path) -> Work:
    """Return a new folder to work in; those of processes that were killed are removed first.

    Raises
    ------
    StoreUnavailableError
        If it cannot be made.
    """
    try:
        exports.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in exports.glob(f"{_PREFIX}*"):
            _remove_left(left)
        # Under a name that nobody removes until it is locked.
        staging = exports / f".new-{new_id()}"
        staging.mkdir(mode=0o700)
        descriptor = os.open(staging, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        folder = staging.rename(exports / f"{_PREFIX}{new_id()}")
    except OSError as error:
        raise StoreUnavailableError(
            f"no export can be made in {exports}: {error.strerror}"
        ) from error
    return Work(folder, descriptor)


def _remove_left(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        # Its process ended well in the meantime.
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        rmtree(folder)
    except BlockingIOError:
        # Another process is at work in it.
        return
    finally:
        os.close(descriptor)


def _own_files(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for state in folder.glob("*.json"):
        result = read_object(orjson.loads(state.read_bytes())).get("result")
        entry_id: Json = result.get("entry_id") if isinstance(result, dict) else None
        if isinstance(entry_id, str):
            files[entry_id] = state.with_suffix(".zip")
    return files
