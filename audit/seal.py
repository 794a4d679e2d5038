"""Sealing of personal parts, and keyed hashes for look-ups.

A personal part is sealed with AES-256-GCM under a key derived for its entry, with the entry's
id as additional data: moved to another entry it does not open. Identifiers are looked up by
HMAC-SHA256, never stored. Keys come in as arguments and are kept nowhere by this module.
"""

import hmac
import os
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import SealBrokenError

_KEY_SIZE_BYTES: Final = 32
_NONCE_SIZE_BYTES: Final = 12
_FORM: Final = b"\x01"
_LEAST_SEALED_BYTES: Final = len(_FORM) + _NONCE_SIZE_BYTES + 16


class Sealer:
    """Seals, opens and hashes under two keys that live outside the store.

    Parameters
    ----------
    key_encryption_key
        32 random bytes; the key of each entry is derived from it (HKDF-Expand, RFC 5869).
    lookup_key
        32 random bytes for the keyed hashes.
    random_bytes
        Source of nonces.

    Raises
    ------
    ValueError
        If a key is not 32 bytes long.

    Examples
    --------
    >>> sealer = Sealer(bytes(32), bytes(32))
    >>> sealer.open("d-1", sealer.seal("d-1", b"an order"))
    b'an order'
    """

    def __init__(
        self,
        key_encryption_key: bytes,
        lookup_key: bytes,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if len(key_encryption_key) != _KEY_SIZE_BYTES or len(lookup_key) != _KEY_SIZE_BYTES:
            raise ValueError("both keys have to be 32 bytes long")
        self._key_encryption_key = key_encryption_key
        self._lookup_key = lookup_key
        self._random_bytes = random_bytes

    def seal(self, entry_id: str, plaintext: bytes) -> bytes:
        """Return form byte, nonce and ciphertext with tag."""
        nonce = self._random_bytes(_NONCE_SIZE_BYTES)
        return _FORM + nonce + self._cipher(entry_id).encrypt(nonce, plaintext, entry_id.encode())

    def open(self, entry_id: str, sealed: bytes) -> bytes:
        """Return what was sealed for this entry.

        Raises
        ------
        SealBrokenError
            If the bytes were changed, moved from another entry, or sealed under another key.
        """
        if len(sealed) < _LEAST_SEALED_BYTES or sealed[:1] != _FORM:
            raise SealBrokenError("the sealed part is not in a known form")
        nonce, body = sealed[1 : 1 + _NONCE_SIZE_BYTES], sealed[1 + _NONCE_SIZE_BYTES :]
        try:
            return self._cipher(entry_id).decrypt(nonce, body, entry_id.encode())
        except InvalidTag as error:
            raise SealBrokenError("the sealed part does not open for this entry") from error

    def keyed_hash(self, domain: str, value: str) -> bytes:
        """Return the look-up hash of a value, 32 bytes.

        Parameters
        ----------
        domain
            What the value is ("order", "subject"): equal values of two domains differ.
        value
            The identifier.
        """
        message = domain.encode() + b"\x00" + value.encode("utf-8", "surrogatepass")
        return hmac.digest(self._lookup_key, message, "sha256")

    def _cipher(self, entry_id: str) -> AESGCM:
        # HKDF-Expand for one block (RFC 5869 section 2.3), without building an object for it.
        info = b"candor/personal/v1\x00" + entry_id.encode()
        return AESGCM(hmac.digest(self._key_encryption_key, info + b"\x01", "sha256"))
