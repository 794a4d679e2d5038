"""Where archive files lie: a folder, or whatever fsspec knows by its address (``s3://…``).

A file is written elsewhere first and put in its place as a whole. What the log names is never
written again, so a file that a kill left half put is not named, and is replaced by the next run.
A file is removed once the log says that another, without what was purged, is in its place.
"""

import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from audit.errors import ArchiveUnavailableError

_CHUNK_BYTES: Final = 1 << 20
_PRIVATE: Final = 0o600
_SCHEME: Final = "://"


class ArchivePlace(Protocol):
    """Where files are put and read; a path is relative, with slashes."""

    def put(self, staged: Path, path: str) -> None:
        """Put a finished file in its place, durably; an existing one is replaced."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading, with seeking."""

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes; None when there is none."""

    def remove(self, path: str) -> None:
        """Remove a file, durably; nothing happens when there is none."""


def open_place(url: str) -> ArchivePlace:
    """Return the place of an address; nothing is read or written yet.

    Parameters
    ----------
    url
        A folder, or an address with a scheme, which fsspec has to know.
    """
    return RemotePlace(url) if _SCHEME in url else FolderPlace(Path(url))


def digest_archived(place: ArchivePlace, path: str) -> tuple[str, int]:
    """Return the SHA-256, hexadecimal, and the size in bytes of a file.

    Raises
    ------
    ArchiveUnavailableError
        If it is missing or cannot be read.
    """
    digest, size = sha256(), 0
    try:
        with place.open(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise ArchiveUnavailableError(f"the archive file {path} cannot be read") from error
    return digest.hexdigest(), size


class FolderPlace:
    """A folder of this machine.

    Parameters
    ----------
    root
        It is made by the first file.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, staged: Path, path: str) -> None:
        """Copy under a temporary name, sync, rename.

        Raises
        ------
        ArchiveUnavailableError
            If it cannot be written.
        """
        target = self._root / path
        staging = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("rb") as source, staging.open("wb") as copy:
                os.fchmod(copy.fileno(), _PRIVATE)
                shutil.copyfileobj(source, copy, _CHUNK_BYTES)
                copy.flush()
                os.fsync(copy.fileno())
            staging.replace(target)
            self._sync_folders(target.parent)
        except OSError as error:
            staging.unlink(missing_ok=True)
            raise ArchiveUnavailableError(_not_written(path, error.strerror)) from error

    def open(self, path: str) -> BinaryIO:
        """Open a file.

        Raises
        ------
        ArchiveUnavailableError
            If it is missing or cannot be read.
        """
        try:
            return (self._root / path).open("rb")
        except OSError as error:
            raise ArchiveUnavailableError(_not_read(path, error.strerror)) from error

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes; None when there is none."""
        try:
            return (self._root / path).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArchiveUnavailableError(_not_read(path, error.strerror)) from error

    def remove(self, path: str) -> None:
        """Remove a file, and sync its folder.

        Raises
        ------
        ArchiveUnavailableError
            If it cannot be removed.
        """
        target = self._root / path
        try:
            target.unlink(missing_ok=True)
            if target.parent.is_dir():
                _sync(target.parent)
        except OSError as error:
            raise ArchiveUnavailableError(_not_removed(path, error.strerror)) from error

    def _sync_folders(self, folder: Path) -> None:
        # A new folder's own name lies in the folder above it.
        for one in (folder, *folder.parents):
            _sync(one)
            if one == self._root.parent:
                return


class RemotePlace:
    """Whatever fsspec knows by its address; fsspec is loaded when the place is first used.

    Parameters
    ----------
    url
        Such as ``s3://bucket/candor``. Credentials are where its fsspec package looks for them.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: tuple[Any, str] | None = None

    def put(self, staged: Path, path: str) -> None:
        """Upload a file.

        Raises
        ------
        ArchiveUnavailableError
            If it cannot be written.
        """
        system, root = self._system()
        target = f"{root}/{path}"
        try:
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.put_file(str(staged), target)
        except OSError as error:
            raise ArchiveUnavailableError(_not_written(path, str(error))) from error

    def open(self, path: str) -> BinaryIO:
        """Open a file.

        Raises
        ------
        ArchiveUnavailableError
            If it is missing or cannot be read.
        """
        system, root = self._system()
        try:
            opened: BinaryIO = system.open(f"{root}/{path}", "rb")
        except OSError as error:
            raise ArchiveUnavailableError(_not_read(path, str(error))) from error
        return opened

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes; None when there is none."""
        system, root = self._system()
        try:
            return int(system.size(f"{root}/{path}"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArchiveUnavailableError(_not_read(path, str(error))) from error

    def remove(self, path: str) -> None:
        """Remove an object; versions that the storage keeps are the storage's.

        Raises
        ------
        ArchiveUnavailableError
            If it cannot be removed.
        """
        system, root = self._system()
        try:
            system.rm_file(f"{root}/{path}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise ArchiveUnavailableError(_not_removed(path, str(error))) from error

    def _system(self) -> tuple[Any, str]:
        if self._opened is None:
            try:
                from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra, needed here alone

                system, root = url_to_fs(self._url, use_listings_cache=False)
            except (ImportError, ValueError) as error:
                raise ArchiveUnavailableError(
                    f"the archive's address {self._url.partition(_SCHEME)[0]}:// cannot be used",
                    "Install candor[archive] and the fsspec package for this scheme (s3fs, gcsfs).",
                ) from error
            self._opened = system, str(root).rstrip("/")
        return self._opened


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_removed(path: str, why: str | None) -> str:
    return f"the archive file {path} cannot be removed: {why}"


def _not_read(path: str, why: str | None) -> str:
    return f"the archive file {path} cannot be read: {why}"


def _not_written(path: str, why: str | None) -> str:
    return f"the archive file {path} cannot be written: {why}"
