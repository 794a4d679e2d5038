"""Small documents on disk under the digest of their bytes: written whole or not at all."""

import os
import tempfile
from hashlib import sha256
from pathlib import Path

from models.errors import BundleCorruptError

_PREFIX = "sha256:"


def content_digest(content: bytes) -> str:
    """Return the name of some bytes: ``sha256:…``.

    Examples
    --------
    >>> content_digest(b"")[:14]
    'sha256:e3b0c44'
    """
    return _PREFIX + sha256(content).hexdigest()


def save_content(root: Path, content: bytes) -> str:
    """Write bytes below `root` and return their digest; durable when this returns.

    Writing them again changes nothing.
    """
    digest = content_digest(content)
    root.mkdir(parents=True, exist_ok=True)
    target = _place(root, digest)
    if not target.exists():
        descriptor, staging = tempfile.mkstemp(prefix=".content-", dir=root)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(staging).rename(target)
        _sync_folder(root)
    return digest


def load_content(root: Path, digest: str) -> bytes:
    """Read bytes and check them against their digest.

    Raises
    ------
    BundleCorruptError
        When they are missing or altered.
    """
    place = _place(root, digest)
    try:
        content = place.read_bytes()
    except OSError as error:
        raise BundleCorruptError(f"{root.name}/{place.name} cannot be read") from error
    if content_digest(content) != digest:
        raise BundleCorruptError(f"the document named {digest} was altered")
    return content


def find_digest(root: Path, digest: str) -> str | None:
    """Return the digest of the bytes that are kept under a name; None when there are none.

    Raises
    ------
    BundleCorruptError
        When they cannot be read.
    """
    place = _place(root, digest)
    try:
        return content_digest(place.read_bytes()) if place.is_file() else None
    except OSError as error:
        raise BundleCorruptError(f"{root.name}/{place.name} cannot be read") from error


def is_kept(root: Path, digest: str) -> bool:
    """Tell whether there are bytes of this name; whether they are whole only reading them tells."""
    return _place(root, digest).is_file()


def _place(root: Path, digest: str) -> Path:
    return root / f"{digest.replace(':', '-')}.json"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
