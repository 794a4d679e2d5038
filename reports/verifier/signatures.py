"""Who signed: C2SP signed notes, verifier keys and checkpoints, read strictly.

The manifest is signed in a note whose first line is none that a log could be named by, so that it
never passes for a checkpoint, nor a checkpoint for it.
"""

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from reports.verifier.ed25519 import is_signed
from reports.verifier.findings import CheckError

STATEMENT = "candor evidence bundle v1"
_PREFIX = "— "
_ED25519 = b"\x01"
_LONGEST_NOTE = 65_536
_MOST_SIGNATURES = 64
_LARGEST_SIZE = 2**63 - 1


@dataclass(frozen=True)
class LogKey:
    """A log's verifier key.

    Parameters
    ----------
    text
        name+hash+base64, as given.
    name
        Name of the log.
    key_id, public_key
        4 and 32 bytes.
    """

    text: str
    name: str
    key_id: bytes
    public_key: bytes


@dataclass(frozen=True)
class Head:
    """A signed tree head.

    Parameters
    ----------
    tree_size, root_hash
        The tree; the root is 32 bytes.
    note_digest
        SHA-256 of the note as it stands.
    """

    tree_size: int
    root_hash: bytes
    note_digest: bytes


def parse_log_key(text: str, kind: bytes = _ED25519) -> LogKey:
    """Read a verifier key of a signature type; raises `CheckError` when it is not one."""
    name, _, rest = text.strip().partition("+")
    hash_hex, _, encoded = rest.partition("+")
    key = decode_base64(encoded)
    is_key = key is not None and len(key) == 33 and key[:1] == kind  # noqa: PLR2004 - type and key
    if key is None or not is_key or not name or any(map(str.isspace, name)):
        raise CheckError("验证密钥格式不对", "the verifier key is malformed")
    key_id = sha256(name.encode() + b"\n" + key).digest()[:4]
    if key_id.hex() != hash_hex:
        raise CheckError("验证密钥的校验值不符", "the verifier key's own hash does not match")
    return LogKey(text.strip(), name, key_id, key[1:])


def verify_note(note: str, keys: list[LogKey]) -> list[str]:
    """Return the lines of a note that one of some keys signed.

    Raises
    ------
    CheckError
        When the note is malformed or none of the keys signed it.
    """
    body, separator, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if len(note) > _LONGEST_NOTE or not separator or lines.pop() or len(lines) > _MOST_SIGNATURES:
        raise CheckError("签名注记格式不对", "the signed note is malformed")
    body += "\n"
    for line in lines:
        name, _, encoded = line.removeprefix(_PREFIX).partition(" ")
        signature = decode_base64(encoded)
        if not line.startswith(_PREFIX) or signature is None:
            raise CheckError("签名注记格式不对", "the signed note is malformed")
        for key in keys:
            if key.name == name and key.key_id == signature[:4]:
                if is_signed(key.public_key, body.encode(), signature[4:]):
                    return body.split("\n")[:-1]
                raise CheckError("签名不成立", "the signature does not hold")
    raise CheckError("不是由该日志的密钥签署", "it is not signed by the log's key")


def parse_head(note: str, origin: str) -> Head:
    """Return the tree head in a checkpoint, whoever signed it; raises `CheckError`."""
    lines = note.rpartition("\n\n")[0].split("\n")
    if len(lines) < 3 or "" in lines or lines[0] != origin:  # noqa: PLR2004 - origin, size, root
        raise CheckError("检查点格式不对或属于别的日志", "the checkpoint is of another form or log")
    root_hash = decode_base64(lines[2])
    if root_hash is None or len(root_hash) != sha256().digest_size:
        raise CheckError("检查点的根哈希格式不对", "the checkpoint's root hash is malformed")
    return Head(parse_decimal(lines[1]), root_hash, sha256(note.encode()).digest())


def parse_decimal(text: str) -> int:
    """Read plain decimal digits below 2**63; raises `CheckError` for any other writing."""
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_SIZE))
    if not plain or str(int(text)) != text or int(text) > _LARGEST_SIZE:
        raise CheckError("数字格式不对", "a number is not written plainly")
    return int(text)


def decode_base64(text: str) -> "bytes | None":
    """Return what a base64 text says, or None when it is not the one way to write it."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode("ascii") == text else None


def decode_hash(text: object) -> bytes:
    """Return a hash of 32 bytes from base64; raises `CheckError` when it is none."""
    digest = decode_base64(text) if isinstance(text, str) else None
    if digest is None or len(digest) != sha256().digest_size:
        raise CheckError("哈希格式不对", "a hash is malformed")
    return digest
