"""The secrets of a store: the log's signing key, the look-up key and the key-encryption keys.

Each is 32 random bytes in base64, one file of mode 0600, created once and never replaced: a log
that has entries cannot go on under new keys, so a missing file is then an error. Key-encryption
keys have epochs: a rotation adds the next one, wraps all subject keys under it and only then
removes the one before. `key-encryption.key` is epoch 1, `key-encryption-2.key` the next; where a
key service is set (`service.kms`) the file ends in `.wrapped` and holds the key as that service
wrapped it. A signing key that a rotation or a recovery brings in has a file of its own.
"""

import base64
import binascii
import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from audit.checkpoint import LogSigner, parse_verifier_key
from audit.errors import StoreUnavailableError
from audit.folders import make_folder, sync_folder
from audit.key_encryption import KeyEncryption
from audit.subject_keys import STORE_NAME, SubjectKeyStore, open_subject_keys
from service.errors import KeyFileError
from service.kms import KeyService
from service.settings import Settings

_SIZE_BYTES = 32
_PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700
_KEY_ENCRYPTION = "key-encryption"
_EPOCH_FILE = re.compile(r"^key-encryption(?:-([1-9][0-9]{0,8}))?\.(?:key|wrapped)$")
_WRAPPED = ".wrapped"
_EPOCH_GIVEN = re.compile(r"^(?:([1-9][0-9]{0,8}):)?([A-Za-z0-9+/=]+)$")
_SIGNING = "log-signing"


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """The secrets, 32 bytes each; the key-encryption keys by epoch."""

    log_signing: bytes
    key_encryption: Mapping[int, bytes]
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
    StoreUnavailableError
        When a new one cannot be written.
    """

    def one(name: str, given: SecretStr | None) -> bytes:
        if given is not None:
            return _decode(name, given.get_secret_value())
        return _read(settings.keys / f"{name}.key", may_create=may_create)

    return StoreKeys(
        log_signing=one(_SIGNING, settings.log_signing_key),
        key_encryption=load_key_encryption(settings, may_create=may_create),
        lookup=one("lookup", settings.lookup_key),
    )


def load_signer(settings: Settings, vkey: str) -> LogSigner:
    """Return the signer of a verifier key that the log names, from the setting or a file.

    Raises
    ------
    KeyFileError
        When no private key of it is at hand.
    """
    origin = parse_verifier_key(vkey).name
    keys = [
        _read(path, may_create=False) for path in sorted(settings.keys.glob(f"{_SIGNING}*.key"))
    ]
    if settings.log_signing_key is not None:
        keys.insert(0, _decode(_SIGNING, settings.log_signing_key.get_secret_value()))
    for key in keys:
        signer = LogSigner(origin, Ed25519PrivateKey.from_private_bytes(key))
        if signer.verifier_key == vkey:
            return signer
    raise KeyFileError(f"the private key of {vkey} is missing")


def create_signer(settings: Settings, origin: str, *, is_new_origin: bool = False) -> LogSigner:
    """Make a new signing key, durable in a file of its own, and return its signer.

    Parameters
    ----------
    origin
        Name of the log.
    is_new_origin
        Whether the key begins an origin of its own, named after it.

    Raises
    ------
    StoreUnavailableError
        When the file cannot be written.
    """
    key = secrets.token_bytes(_SIZE_BYTES)
    private_key = Ed25519PrivateKey.from_private_bytes(key)
    mark = hashlib.sha256(private_key.public_key().public_bytes_raw()).hexdigest()[:16]
    _create(settings.keys / f"{_SIGNING}-{mark}.key", key)
    return LogSigner(f"{origin}/{mark}" if is_new_origin else origin, private_key)


def load_key_encryption(settings: Settings, *, may_create: bool) -> dict[int, bytes]:
    """Read the key-encryption keys, epoch to key.

    Parameters
    ----------
    settings
        A secret given here wins over files: base64 is epoch 1, ``1:base64,2:base64`` several.
    may_create
        Whether the first may be made when there is none.

    Raises
    ------
    KeyFileError
        When there is none, or one is not 32 bytes in base64.
    KeyUnavailableError
        When the key service does not give one.
    """
    given = settings.key_encryption_key
    epochs = {} if given is None else _parse_epochs(given.get_secret_value())
    # A key service takes over from a secret that is given; files never do.
    paths = _epoch_files(settings) if settings.kms_command or not epochs else {}
    if not paths and not epochs:
        _require_creation(f"{_KEY_ENCRYPTION}.key", may_create=may_create)
        _create_epoch(settings, 1)
        paths = _epoch_files(settings)
    return epochs | {epoch: _read_epoch(settings, path) for epoch, path in paths.items()}


def open_subject_key_store(settings: Settings, *, may_create: bool) -> SubjectKeyStore:
    """Open the keys of data subjects and the erasure ledger.

    Parameters
    ----------
    settings
        Name the folder and the key-encryption keys.
    may_create
        Whether a missing store may be made; true only while the log is empty.

    Raises
    ------
    KeyFileError
        When the store is missing, though the log has entries.
    KeyEncryptionError, StoreUnavailableError
        When it cannot be opened.
    """
    if not may_create and not (settings.keys / STORE_NAME).exists():
        raise KeyFileError(f"{STORE_NAME} is missing, but the log has entries")
    try:
        make_folder(settings.keys, mode=_PRIVATE_FOLDER)
        # Made private before anything is in it; SQLite gives its write-ahead log the same mode.
        (settings.keys / STORE_NAME).touch(mode=_PRIVATE)
    except OSError as error:
        raise _not_written(STORE_NAME, error) from error
    encryption = KeyEncryption(
        lambda: load_key_encryption(settings, may_create=False),
        lease_seconds=settings.kms_lease_seconds if settings.kms_command else None,
    )
    return open_subject_keys(settings.keys, encryption)


def rotate_key_encryption(settings: Settings, keys: SubjectKeyStore) -> tuple[int, int]:
    """Wrap all subject keys under a new key-encryption key, and remove the one before.

    A key given by a setting is not made here: give the next epoch beside it first.

    Parameters
    ----------
    settings
        Where the keys are.
    keys
        The store.

    Returns
    -------
    tuple of int
        The new epoch, and how many keys were wrapped.

    Raises
    ------
    KeyFileError
        When the setting gives no newer epoch.
    KeyEncryptionError, StoreUnavailableError
        When nothing was changed.
    """
    present = keys.epoch()
    given = settings.key_encryption_key is not None and not settings.kms_command
    if given and max(load_key_encryption(settings, may_create=False)) <= present:
        raise KeyFileError(f"CANDOR_KEY_ENCRYPTION_KEY gives no epoch above {present}")
    if not given and max(_epoch_files(settings), default=0) <= present:
        _create_epoch(settings, present + 1)
    wrapped = keys.rotate()
    # What a crash left of an earlier rotation goes too.
    for epoch, path in _epoch_files(settings).items():
        if not given and epoch < keys.epoch():
            path.unlink()
    return keys.epoch(), wrapped


def _epoch_files(settings: Settings) -> dict[int, Path]:
    return {
        int(matched[1] or 1): path
        for path in settings.keys.glob(f"{_KEY_ENCRYPTION}*")
        if (matched := _EPOCH_FILE.match(path.name))
    }


def _create_epoch(settings: Settings, epoch: int) -> None:
    key, name = secrets.token_bytes(_SIZE_BYTES), _KEY_ENCRYPTION
    if epoch > 1:
        name = f"{name}-{epoch}"
    service = _key_service(settings)
    if service is None:
        _create(settings.keys / f"{name}.key", key)
    else:
        _create(settings.keys / f"{name}{_WRAPPED}", service.wrap(name, key))


def _read_epoch(settings: Settings, path: Path) -> bytes:
    if path.suffix != _WRAPPED:
        return _read(path, may_create=False)
    service = _key_service(settings)
    if service is None:
        raise KeyFileError(
            f"{path.name} is wrapped by a key service, but none is set",
            "Set CANDOR_KMS_COMMAND as it was when the key was made.",
        )
    key = service.unwrap(path.stem, _decode_base64(path.name, _read_text(path)))
    return _verify_size(path.name, key)


def _key_service(settings: Settings) -> KeyService | None:
    command = settings.kms_command
    return KeyService(command, settings.kms_timeout_seconds) if command else None


def _parse_epochs(text: str) -> dict[int, bytes]:
    epochs: dict[int, bytes] = {}
    for part in text.split(","):
        matched = _EPOCH_GIVEN.match(part.strip())
        if matched is None:
            raise KeyFileError(f"{_KEY_ENCRYPTION} is not base64")
        epochs[int(matched[1] or 1)] = _decode(_KEY_ENCRYPTION, matched[2])
    return epochs


def _read(path: Path, *, may_create: bool) -> bytes:
    if not path.exists():
        _require_creation(path.name, may_create=may_create)
        _create(path, secrets.token_bytes(_SIZE_BYTES))
    return _decode(path.name, _read_text(path))


def _require_creation(name: str, *, may_create: bool) -> None:
    if not may_create:
        raise KeyFileError(f"{name} is missing, but the log has entries")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path.name} cannot be read") from error


def _create(path: Path, key: bytes) -> None:
    try:
        _write_new(path, key)
    except OSError as error:
        raise _not_written(path.name, error) from error


def _not_written(name: str, error: OSError) -> StoreUnavailableError:
    return StoreUnavailableError(f"{name} cannot be written: {error.strerror}")


def _write_new(path: Path, key: bytes) -> None:
    make_folder(path.parent, mode=_PRIVATE_FOLDER)
    staging = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(key) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # A hard link never replaces a key that another process made in the meantime.
        os.link(staging, path)
    except FileExistsError:
        return
    finally:
        staging.unlink()
    # Without this the file's name could be lost in a power cut that the log survives.
    sync_folder(path.parent)


def _decode(name: str, text: str) -> bytes:
    return _verify_size(name, _decode_base64(name, text))


def _decode_base64(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyFileError(f"{name} is not base64") from error


def _verify_size(name: str, key: bytes) -> bytes:
    if len(key) != _SIZE_BYTES:
        raise KeyFileError(f"{name} holds {len(key)} bytes, not {_SIZE_BYTES}")
    return key
