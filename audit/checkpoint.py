"""Signed tree heads: C2SP tlog-checkpoint in a C2SP signed-note, with Ed25519.

A checkpoint says: the log named `origin` had `tree_size` leaves under `root_hash`. Existing
tools (Go's sumdb/note, witnesses) read it as it is. Strictness is kept here: one way to write a
number or a base64 text, no control characters, bounded length.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from audit.errors import CheckpointInvalidError, VerifierKeyInvalidError
from audit.merkle import HASH_SIZE_BYTES

ED25519: Final = b"\x01"
_KEY_SIZE_BYTES: Final = 32
_KEY_ID_SIZE_BYTES: Final = 4
_SIGNATURE_SIZE_BYTES: Final = 64
_LEAST_BODY_LINES: Final = 3
_LARGEST_TREE_SIZE: Final = 2**63 - 1
_LONGEST_NOTE_CHARACTERS: Final = 65_536
_MOST_SIGNATURES: Final = 64
_SIGNATURE_PREFIX: Final = "— "
_LONGEST_NAME_CHARACTERS: Final = 256
_LONGEST_KEY_CHARACTERS: Final = 512


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head.

    Parameters
    ----------
    origin
        Name of the log.
    tree_size
        Number of leaves.
    root_hash
        Merkle tree hash, 32 bytes.
    """

    origin: str
    tree_size: int
    root_hash: bytes


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A signed-note verifier key.

    Parameters
    ----------
    name
        Name of the signer; for a log its origin.
    key_id
        First 4 bytes of the hash of name and key.
    public_key
        Raw Ed25519 key, 32 bytes.
    """

    name: str
    key_id: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class LogSigner:
    """Signs checkpoints in the name of one log.

    Parameters
    ----------
    origin
        Name of the log: no space, no plus sign; a schema-less URL by custom.
    private_key
        The log's key.

    Raises
    ------
    VerifierKeyInvalidError
        If the origin cannot be the name of a key.

    Examples
    --------
    >>> signer = LogSigner("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    >>> note = signer.sign(0, sha256(b"").digest())
    >>> verify_checkpoint(note, signer.verifier_key).tree_size
    0
    """

    origin: str
    private_key: Ed25519PrivateKey
    verifier_key: str = field(init=False)
    _key_id: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _verify_key_name(self.origin)
        public_key = self.private_key.public_key().public_bytes_raw()
        key_id = build_key_id(self.origin, public_key)
        text = f"{self.origin}+{key_id.hex()}+{_to_base64(ED25519 + public_key)}"
        object.__setattr__(self, "_key_id", key_id)
        object.__setattr__(self, "verifier_key", text)

    def sign(self, tree_size: int, root_hash: bytes) -> str:
        """Return the signed checkpoint of a tree head."""
        body = f"{self.origin}\n{tree_size}\n{_to_base64(root_hash)}\n"
        signature = self._key_id + self.private_key.sign(body.encode())
        return f"{body}\n{_SIGNATURE_PREFIX}{self.origin} {_to_base64(signature)}\n"

    def sign_statement(self, statement: str, lines: Sequence[str]) -> str:
        """Return a signed note that says something else than a tree head.

        Parameters
        ----------
        statement
            What it is, as its first line; it has a space, so that it can be no log's origin and
            the note never passes for a checkpoint.
        lines
            What it says, after the name of the log.

        Raises
        ------
        CheckpointInvalidError
            If the note could be taken for another.
        """
        said = [statement, self.origin, *lines]
        if " " not in statement or not all(line and "\n" not in line for line in said):
            raise CheckpointInvalidError("a statement has a space in its name, and plain lines")
        body = "".join(f"{line}\n" for line in said)
        signature = self._key_id + self.private_key.sign(body.encode())
        return f"{body}\n{_SIGNATURE_PREFIX}{self.origin} {_to_base64(signature)}\n"


def parse_verifier_key(text: str, algorithm: bytes = ED25519) -> VerifierKey:
    """Read a verifier key of the form name+hash+base64.

    Parameters
    ----------
    text
        One line.
    algorithm
        Signature type that the key has to be of, 1 byte.

    Raises
    ------
    VerifierKeyInvalidError
        If the form, the hash or the kind of key is another.
    """
    if len(text) > _LONGEST_KEY_CHARACTERS:
        raise VerifierKeyInvalidError("the verifier key is too long")
    name, _, rest = text.removesuffix("\n").partition("+")
    hash_hex, _, encoded = rest.partition("+")
    _verify_key_name(name)
    key = _from_base64(encoded)
    if key is None or len(key) != 1 + _KEY_SIZE_BYTES or key[:1] != algorithm:
        raise VerifierKeyInvalidError("the verifier key does not hold an Ed25519 key")
    key_id = build_key_id(name, key[1:], algorithm)
    if hash_hex != key_id.hex():
        raise VerifierKeyInvalidError("the verifier key's hash does not match its name and key")
    return VerifierKey(name, key_id, key[1:])


def build_key_id(name: str, public_key: bytes, algorithm: bytes = ED25519) -> bytes:
    """Return the 4 bytes that stand before each signature of a key."""
    digest = sha256(name.encode() + b"\n" + algorithm + public_key).digest()
    return digest[:_KEY_ID_SIZE_BYTES]


def parse_checkpoint(note: str) -> Checkpoint:
    """Read a checkpoint without checking who signed it.

    Raises
    ------
    CheckpointInvalidError
        If the note or its body is malformed.
    """
    body, _ = split_note(note)
    lines = body.split("\n")[:-1]
    if len(lines) < _LEAST_BODY_LINES or "" in lines:
        raise CheckpointInvalidError("a checkpoint has an origin, a size and a root, each a line")
    root_hash = _from_base64(lines[2])
    if root_hash is None or len(root_hash) != HASH_SIZE_BYTES:
        raise CheckpointInvalidError("the root hash is not 32 bytes in base64")
    return Checkpoint(lines[0], parse_decimal(lines[1]), root_hash)


def verify_checkpoint(note: str, vkey: str) -> Checkpoint:
    """Check that a log's key signed a checkpoint, and return it.

    Parameters
    ----------
    note
        The signed note; signatures of other keys are ignored.
    vkey
        The log's verifier key, name+hash+base64.

    Raises
    ------
    VerifierKeyInvalidError
        If the verifier key is malformed.
    CheckpointInvalidError
        If the note is malformed, of another log, or not signed by this key.
    """
    # 1. The key is what its own hash says.
    key = parse_verifier_key(vkey)
    # 2. The body is a checkpoint of this key's log.
    checkpoint = parse_checkpoint(note)
    if checkpoint.origin != key.name:
        raise CheckpointInvalidError("the checkpoint is of another log than the key")
    # 3. Exactly one signature is by this key, and it holds.
    body, signatures = split_note(note)
    ours = [sig for name, sig in signatures if name == key.name and sig[:4] == key.key_id]
    if len(ours) != 1:
        raise CheckpointInvalidError(f"{len(ours)} signatures by the log's key, not one")
    if len(ours[0]) != _KEY_ID_SIZE_BYTES + _SIGNATURE_SIZE_BYTES:
        raise CheckpointInvalidError("the log's signature is not 64 bytes long")
    try:
        public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
        public_key.verify(ours[0][_KEY_ID_SIZE_BYTES:], body.encode())
    except (InvalidSignature, ValueError) as error:
        raise CheckpointInvalidError("the log's signature does not hold") from error
    return checkpoint


def parse_decimal(text: str) -> int:
    """Read a size or an index: ASCII digits, no sign, no leading zero, below 2**63.

    Raises
    ------
    CheckpointInvalidError
        If it is written in any other way.

    Examples
    --------
    >>> parse_decimal("41")
    41
    """
    well_formed = text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
    if not well_formed or len(text) > len(str(_LARGEST_TREE_SIZE)):
        raise CheckpointInvalidError("a number is not written as plain decimal digits")
    if int(text) > _LARGEST_TREE_SIZE:
        raise CheckpointInvalidError("a number is 2**63 or more")
    return int(text)


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return what a note signs, and each signer's name with its key id and signature.

    Raises
    ------
    CheckpointInvalidError
        If the note is malformed.
    """
    if len(note) > _LONGEST_NOTE_CHARACTERS:
        raise CheckpointInvalidError("the note is too long")
    if any(character < " " and character != "\n" for character in note) or not _is_utf8(note):
        raise CheckpointInvalidError("the note holds control characters or is not UTF-8")
    text, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise CheckpointInvalidError("the note has no signatures after a blank line")
    lines = tail.split("\n")[:-1]
    if len(lines) > _MOST_SIGNATURES:
        raise CheckpointInvalidError("the note has too many signatures")
    return text + "\n", [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    signature = _from_base64(encoded)
    if not line.startswith(_SIGNATURE_PREFIX) or not _is_key_name(name):
        raise CheckpointInvalidError("a signature line does not begin with a dash and a name")
    if signature is None or len(signature) <= _KEY_ID_SIZE_BYTES:
        raise CheckpointInvalidError("a signature is not base64, or too short")
    return name, signature


def _is_key_name(name: str) -> bool:
    odd = any(character.isspace() or not character.isprintable() for character in name)
    return 0 < len(name) <= _LONGEST_NAME_CHARACTERS and "+" not in name and not odd


def _verify_key_name(name: str) -> None:
    if not _is_key_name(name):
        raise VerifierKeyInvalidError("a key's name has 1 to 256 characters, no space, no plus")


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _to_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _from_base64(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # b64decode accepts stray bits in the last character; the encoder has one way only.
    return raw if _to_base64(raw) == text else None
