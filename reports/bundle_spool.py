"""Files of a bundle on their way: written to a folder line by line, then packed into a zip.

Memory is bounded by one line and one piece of a file, whatever the size of the bundle.
"""

import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from shutil import copyfileobj, rmtree
from tempfile import mkdtemp
from typing import BinaryIO, Final

from models.domain import Json
from reports.errors import EvidenceWriteError

_CHUNK_BYTES: Final = 1 << 20
_MODE: Final = 0o644 << 16


class Spool:
    """A folder that only this process reads, removed when it is done.

    Parameters
    ----------
    folder
        Where files are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []
        self._stack = ExitStack()
        self._files: dict[str, BinaryIO] = {}

    def add_line(self, name: str, line: bytes) -> None:
        """Append a line to a file."""
        self.open(name).write(line + b"\n")

    def add(self, name: str, content: bytes) -> None:
        """Write a whole file."""
        path = self._place(name)
        # Closed at once: a bundle may hold more models than a process may open files.
        path.write_bytes(content)

    def open(self, name: str) -> BinaryIO:
        """Return a file to write to; it is made when it is asked for first."""
        if name not in self._files:
            self._files[name] = self._stack.enter_context(self._place(name).open("wb"))
        return self._files[name]

    def _place(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.names.append(name)
        return path

    def close(self) -> None:
        """Close every file; they can be read afterwards."""
        self._stack.close()
        self._files.clear()

    def describe(self) -> dict[str, Json]:
        """Return name to digest and size of every file, as a manifest names them."""
        self.close()
        described: dict[str, Json] = {}
        for name in sorted(self.names):
            digest, size = digest_file(self.folder / name)
            described[name] = {"sha256": digest, "bytes": size}
        return described


@contextmanager
def open_spool(beside: Path) -> Iterator[Spool]:
    """Open a spool on the disk where the bundle will be.

    Raises
    ------
    EvidenceWriteError
        When the disk is full or cannot be written.
    """
    folder = None
    try:
        folder = Path(mkdtemp(prefix=".evidence-", dir=beside))
        spool = Spool(folder)
        try:
            yield spool
        finally:
            spool.close()
    except OSError as error:
        raise EvidenceWriteError(f"the bundle could not be written: {error.strerror}") from error
    finally:
        if folder is not None:
            rmtree(folder, ignore_errors=True)


def pack(spool: Spool, first: list[str], out: Path) -> None:
    """Write the zip, the files named first at its beginning; durable when this returns."""
    spool.close()
    rest = sorted(set(spool.names) - set(first))
    with out.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in [*first, *rest]:
                source = spool.folder / name
                # The fixed date keeps equal bundles equal.
                info = zipfile.ZipInfo(name)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, _MODE
                info.file_size = source.stat().st_size
                with source.open("rb") as content, packed.open(info, "w") as member:
                    copyfileobj(content, member, _CHUNK_BYTES)
        file.flush()
        os.fsync(file.fileno())


def digest_file(path: Path) -> tuple[str, int]:
    """Return a file's SHA-256 in hexadecimal, and its size in bytes."""
    digest, size = sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
