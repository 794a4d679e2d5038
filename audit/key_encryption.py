"""Wrapping keys under key-encryption keys of several epochs, with AES-256-GCM.

Where these come from (a file, the environment, a key service) is not known here: they are asked
for when one is missing and when their lease is over.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import KeyEncryptionError, KeyUnavailableError

_NONCE_SIZE_BYTES: Final = 12
_REFUSED_SECONDS: Final = 1.0


class KeyEncryption:
    """Wraps and unwraps under key-encryption keys by epoch.

    Parameters
    ----------
    load
        Reads epoch to key, 32 bytes each; asked again when an epoch is not known, as another
        process may have rotated.
    random_bytes
        Source of nonces.
    lease_seconds
        How long keys are used before `load` is asked for them again; None means for ever.
    clock
        Seconds, rising.

    Raises
    ------
    KeyUnavailableError
        Here and in every method, when `load` raises it.

    Examples
    --------
    >>> encryption = KeyEncryption(lambda: {1: bytes(32)})
    >>> encryption.unwrap(1, b"id", encryption.wrap(1, b"id", b"a key")) == b"a key"
    True
    """

    def __init__(
        self,
        load: Callable[[], Mapping[int, bytes]],
        random_bytes: Callable[[int], bytes] = os.urandom,
        *,
        lease_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._random_bytes = random_bytes
        self._lease_seconds = float("inf") if lease_seconds is None else lease_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._refused: tuple[float, KeyUnavailableError] | None = None
        self._keys: dict[int, bytes] = {}
        self._renew_at = float("-inf")
        self.renew()

    def renew(self) -> None:
        """Ask for the keys again if their lease is over; without them nothing is left in memory."""
        if self._clock() < self._renew_at:
            return
        with self._lock:
            # Others waited while this one asked, and need not ask again.
            if self._refused is not None and self._clock() < self._refused[0]:
                raise self._refused[1]
            if self._clock() >= self._renew_at:
                self._ask()

    def newest(self) -> int:
        """Return the highest epoch that there is a key for."""
        with self._lock:
            self._ask()
        return max(self._keys)

    def wrap(self, epoch: int, key_id: bytes, key: bytes) -> bytes:
        """Return a key as it may be stored: nonce and ciphertext with tag.

        Raises
        ------
        KeyEncryptionError
            If there is no key of this epoch.
        """
        nonce = self._random_bytes(_NONCE_SIZE_BYTES)
        return nonce + AESGCM(self._key(epoch)).encrypt(nonce, key, key_id)

    def unwrap(self, epoch: int, key_id: bytes, wrapped: bytes) -> bytes:
        """Return a key that was wrapped.

        Raises
        ------
        KeyEncryptionError
            If it was wrapped under another key, or there is no key of this epoch.
        """
        try:
            nonce, body = wrapped[:_NONCE_SIZE_BYTES], wrapped[_NONCE_SIZE_BYTES:]
            return AESGCM(self._key(epoch)).decrypt(nonce, body, key_id)
        except (InvalidTag, ValueError, TypeError) as error:
            # Whoever edits the file can leave there what is no bytes.
            detail = f"the key-encryption key of epoch {epoch} is not the one that was used"
            raise KeyEncryptionError(detail) from error

    def _key(self, epoch: int) -> bytes:
        self.renew()
        keys = self._keys
        if epoch not in keys:
            with self._lock:
                keys = self._ask()
        if epoch not in keys:
            raise KeyEncryptionError(f"there is no key-encryption key of epoch {epoch}")
        return keys[epoch]

    def _ask(self) -> dict[int, bytes]:
        try:
            self._keys = dict(self._load())
        except KeyUnavailableError as error:
            self._keys = {}
            self._renew_at = float("-inf")
            # A key service that is down is not asked anew by every request that waits.
            self._refused = (self._clock() + _REFUSED_SECONDS, error)
            raise
        self._refused = None
        self._renew_at = self._clock() + self._lease_seconds
        return self._keys
