"""The three secrets of a store: the log's signing key, the sealing key and the look-up key.

Each is 32 random bytes in base64, one file of mode 0600, created once and never replaced: a log
that has entries cannot go on under new keys, so a missing file is then an error.
"""

import base64
import binascii
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from service.errors import KeyFileError
from service.settings import Settings

_SIZE_BYTES = 32
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """The secrets, 32 bytes each."""

    log_signing: bytes
    key_encryption: bytes
    lookup: bytes


def load_keys(settings: Settings, *, may_create: bool) -> StoreKeys:
    """Read the keys from settings or files.

    Parameters
    ----------
    settings
        Secrets given here win over files.
    may_create
        Whether a missing file may be made; true only while the log is empty.

    Raises
    ------
    KeyFileError
        When a key is missing or is not 32 bytes in base64.
    """

    def one(name: str, given: SecretStr | None) -> bytes:
        if given is not None:
            return _decode(name, given.get_secret_value())
        return _read(settings.keys / f"{name}.key", may_create=may_create)

    return StoreKeys(
        log_signing=one("log-signing", settings.log_signing_key),
        key_encryption=one("key-encryption", settings.key_encryption_key),
        lookup=one("lookup", settings.lookup_key),
    )


def _read(path: Path, *, may_create: bool) -> bytes:
    if not path.exists():
        if not may_create:
            raise KeyFileError(f"{path.name} is missing, but the log has entries")
        _create(path)
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path.name} cannot be read") from error
    return _decode(path.name, text)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(secrets.token_bytes(_SIZE_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # A hard link never replaces a key that another process made in the meantime.
        os.link(staging, path)
    except FileExistsError:
        return
    finally:
        staging.unlink()


def _decode(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyFileError(f"{name} is not base64") from error
    if len(key) != _SIZE_BYTES:
        raise KeyFileError(f"{name} holds {len(key)} bytes, not {_SIZE_BYTES}")
    return key
