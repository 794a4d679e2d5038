"""Sealing of personal parts, and keyed hashes for look-ups.

A personal part is sealed with AES-256-GCM under the key of its owner, with the entry's id as
additional data: moved to another entry it does not open. Identifiers are looked up by
HMAC-SHA256, never stored in clear. Keys are kept elsewhere (`audit.subject_keys`): once an
owner's key is destroyed, nothing that was sealed under it opens again.

A sealed part is: form byte 2, nonce (12), handle (16), ciphertext with tag. The handle is the
key's id, masked with the nonce under the look-up key, so that the stored bytes alone do not say
which parts belong to one owner. Inside: salt (32), length of the identifiers (4, big-endian),
identifiers, plaintext. The header commits to all of that with SHA-256 over salt, identifiers and
plaintext: without the salt, which is gone with the key, nothing can be guessed from it.
"""

import hmac
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import SealBrokenError

KEY_SIZE_BYTES: Final = 32
KEY_ID_SIZE_BYTES: Final = 16
_NONCE_SIZE_BYTES: Final = 12
_SALT_SIZE_BYTES: Final = 32
_LENGTH_SIZE_BYTES: Final = 4
_FORM: Final = b"\x02"
# How much of a sealed part tells whose key it was sealed under.
HEAD_SIZE_BYTES: Final = len(_FORM) + _NONCE_SIZE_BYTES + KEY_ID_SIZE_BYTES
_LEAST_SEALED_BYTES: Final = HEAD_SIZE_BYTES + _SALT_SIZE_BYTES + _LENGTH_SIZE_BYTES + 16


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """An owner's key: its random id, 16 bytes, and the key, 32 bytes."""

    key_id: bytes
    key: bytes


class SubjectKeys(Protocol):
    """Where owners' keys are kept."""

    def prepare(self, owners: Iterable[bytes]) -> None:
        """Make the keys of those owners who have none; durable when this returns."""

    def key_of(self, owner: bytes) -> SubjectKey:
        """Return an owner's key; it is made, durably, if there is none."""

    def find(self, key_id: bytes) -> SubjectKey:
        """Return a key, or raise ErasedError or SubjectKeyMissingError."""

    def owns(self, owner: bytes, key_id: bytes) -> bool:
        """Tell whether a key is kept as this owner's."""

    def generation(self) -> int:
        """Return a number that is another one as soon as a key was destroyed."""


@dataclass(frozen=True, slots=True)
class SealedPart:
    """A sealed part, and what the header says of it.

    Parameters
    ----------
    content
        The bytes to store.
    commitment
        Salted SHA-256 of what is inside, hex.
    """

    content: bytes
    commitment: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the bytes, hex."""
        return sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class OpenedPart:
    """What was sealed.

    Parameters
    ----------
    identifiers, plaintext
        As given to `Sealer.seal`.
    salt
        What keeps the commitment from being guessed, 32 bytes.
    commitment
        As the header has to hold it.
    """

    identifiers: bytes
    plaintext: bytes
    salt: bytes
    commitment: str


class Sealer:
    """Seals, opens and hashes under keys that live outside the store.

    Parameters
    ----------
    keys
        The owners' keys.
    lookup_key
        32 random bytes for the keyed hashes.
    random_bytes
        Source of nonces and salts.

    Raises
    ------
    ValueError
        If the look-up key is not 32 bytes long.
    """

    def __init__(
        self,
        keys: SubjectKeys,
        lookup_key: bytes,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if len(lookup_key) != KEY_SIZE_BYTES:
            raise ValueError("the look-up key has to be 32 bytes long")
        self._keys = keys
        self._lookup_key = lookup_key
        self._random_bytes = random_bytes

    @property
    def keys(self) -> SubjectKeys:
        """Return the owners' keys."""
        return self._keys

    def seal(
        self, entry_id: str, owner: bytes, plaintext: bytes, identifiers: bytes = b""
    ) -> SealedPart:
        """Seal a part under its owner's key.

        Parameters
        ----------
        entry_id
            The entry it belongs to.
        owner
            Keyed hash of whose key it is, 32 bytes.
        plaintext, identifiers
            What to seal.

        Raises
        ------
        StoreUnavailableError
            If the owner has no key yet and none could be made durable.
        """
        key = self._keys.key_of(owner)
        nonce, salt = self._random_bytes(_NONCE_SIZE_BYTES), self._random_bytes(_SALT_SIZE_BYTES)
        inside = b"".join(
            (salt, len(identifiers).to_bytes(_LENGTH_SIZE_BYTES, "big"), identifiers, plaintext)
        )
        body = AESGCM(key.key).encrypt(nonce, inside, entry_id.encode())
        content = _FORM + nonce + self._mask(nonce, key.key_id) + body
        return SealedPart(content, sha256(inside).hexdigest())

    def key_id(self, sealed: bytes) -> bytes:
        """Return the id of the key that a part was sealed under.

        Parameters
        ----------
        sealed
            The part, or its first `HEAD_SIZE_BYTES`.

        Raises
        ------
        SealBrokenError
            If the bytes are not in the present form.
        """
        if len(sealed) < HEAD_SIZE_BYTES or sealed[:1] != _FORM:
            raise SealBrokenError("the sealed part is not in the form that this version reads")
        nonce = sealed[1 : 1 + _NONCE_SIZE_BYTES]
        return self._mask(nonce, sealed[1 + _NONCE_SIZE_BYTES : HEAD_SIZE_BYTES])

    def open_part(self, entry_id: str, sealed: bytes) -> OpenedPart:
        """Return what was sealed for this entry.

        Raises
        ------
        ErasedError
            If the owner's key was destroyed by an erasure.
        SubjectKeyMissingError
            If the key is not there, and no erasure says why.
        SealBrokenError
            If the bytes were changed, moved from another entry, or sealed under another key.
        """
        key = self._keys.find(self.key_id(sealed))
        if len(sealed) < _LEAST_SEALED_BYTES:
            raise SealBrokenError("the sealed part is cut off")
        nonce, body = sealed[1 : 1 + _NONCE_SIZE_BYTES], sealed[HEAD_SIZE_BYTES:]
        try:
            inside = AESGCM(key.key).decrypt(nonce, body, entry_id.encode())
        except InvalidTag as error:
            raise SealBrokenError("the sealed part does not open for this entry") from error
        begin = _SALT_SIZE_BYTES + _LENGTH_SIZE_BYTES
        end = begin + int.from_bytes(inside[_SALT_SIZE_BYTES:begin], "big")
        salt, commitment = inside[:_SALT_SIZE_BYTES], sha256(inside).hexdigest()
        return OpenedPart(inside[begin:end], inside[end:], salt, commitment)

    def open(self, entry_id: str, sealed: bytes) -> bytes:
        """Return the plaintext that was sealed for this entry.

        Raises
        ------
        ErasedError, SubjectKeyMissingError, SealBrokenError
            See `open_part`.
        """
        return self.open_part(entry_id, sealed).plaintext

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

    def _mask(self, nonce: bytes, key_id: bytes) -> bytes:
        # Applied twice it gives back what it was given.
        mask = hmac.digest(self._lookup_key, b"handle\x00" + nonce, "sha256")
        return bytes(one ^ other for one, other in zip(key_id, mask, strict=False))
