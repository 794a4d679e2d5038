"""Cosignatures of witnesses over our checkpoints (C2SP tlog-cosignature, Ed25519 cosignature/v1).

A witness says: at this time, this was the largest consistent tree that I had seen of this log.
Cosignatures stand beside the checkpoint, not in the tree; the first of each witness for each
checkpoint is kept, and only when it holds. What is served with them is an ordinary signed note
with more signature lines, so whoever does not know the witnesses ignores them.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import func, select
from sqlmodel import col

from audit.checkpoint import VerifierKey, parse_checkpoint, parse_verifier_key, split_note
from audit.errors import (
    CheckpointInvalidError,
    CosignatureInvalidError,
    RecordNotFoundError,
)
from audit.merkle import Tree, edge_ids, inclusion_ids
from audit.reading import Reading
from audit.receipt import format_receipt
from audit.store import Store
from audit.tables import CosignatureRow

COSIGNATURE: Final = b"\x04"
_KEY_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 72
_LATEST_TIME: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness's signature that holds.

    Parameters
    ----------
    witness
        The witness's name.
    key_id
        4 bytes of its key.
    cosigned_at_seconds
        Seconds since 1970, by the witness's clock.
    line
        The signature line of the note, without its line feed.
    """

    witness: str
    key_id: bytes
    cosigned_at_seconds: int
    line: str


def parse_witness_key(vkey: str) -> VerifierKey:
    """Read a witness's verifier key (signature type 0x04).

    Raises
    ------
    VerifierKeyInvalidError
        If it is malformed, or the key of a log.
    """
    return parse_verifier_key(vkey, COSIGNATURE)


def cosigned_message(body: str, cosigned_at_seconds: int) -> bytes:
    r"""Return the bytes that a witness signs.

    Parameters
    ----------
    body
        The note without its signatures, with its last line feed.

    Examples
    --------
    >>> cosigned_message("example.com/log\n0\n...\n", 7)[:22]
    b'cosignature/v1\ntime 7\n'
    """
    return f"cosignature/v1\ntime {cosigned_at_seconds}\n{body}".encode()


def verify_cosignatures(note: str, witnesses: Sequence[VerifierKey]) -> list[Cosignature]:
    """Return the cosignatures of known witnesses on a note; those of others are ignored.

    Parameters
    ----------
    note
        A checkpoint with more signature lines.
    witnesses
        From `parse_witness_key`.

    Raises
    ------
    CheckpointInvalidError
        If the note is no checkpoint.
    CosignatureInvalidError
        If a known witness's cosignature does not hold, or there are two of one witness.
    """
    parse_checkpoint(note)
    body, signatures = split_note(note)
    known = {(one.name, one.key_id): one for one in witnesses}
    found: dict[tuple[str, bytes], Cosignature] = {}
    for name, blob in signatures:
        place = (name, blob[:_KEY_ID_BYTES])
        if place not in known:
            continue
        if place in found:
            raise CosignatureInvalidError(f"two cosignatures of {name}")
        at_seconds = _verify_one(known[place], blob[_KEY_ID_BYTES:], body)
        line = f"— {name} {b64encode(blob).decode('ascii')}"
        found[place] = Cosignature(name, place[1], at_seconds, line)
    return list(found.values())


def add_cosignatures(
    store: Store, note: str, witnesses: Sequence[VerifierKey]
) -> list[Cosignature]:
    """Keep what known witnesses signed of a checkpoint in the store, and return it.

    Parameters
    ----------
    store
        The log.
    note
        The checkpoint with the witnesses' lines; the log's own line may be left out.
    witnesses
        Whose cosignatures are kept.

    Raises
    ------
    RecordNotFoundError
        If the log has no checkpoint of this size.
    CosignatureInvalidError
        If the note is malformed, of another tree than ours, or holds no cosignature of a known
        witness that holds.
    StoreUnavailableError
        If they could not be kept.
    """
    # 1. The note is a checkpoint with cosignatures of known witnesses, and all of them hold.
    try:
        head = parse_checkpoint(note)
        cosignatures = verify_cosignatures(note, witnesses)
    except CheckpointInvalidError as error:
        raise CosignatureInvalidError(error.detail) from error
    if not cosignatures:
        raise CosignatureInvalidError("no cosignature of a known witness")
    with store.writing() as writing:
        # 2. It is our own checkpoint of this size: a witness of a forked log is not ours.
        own = writing.checkpoint_at(head.tree_size)
        if split_note(own)[0] != split_note(note)[0]:
            raise CosignatureInvalidError("the checkpoint cosigned is not the log's of this size")
        # 3. Keep the first of each witness.
        kept = set(writing.cosignatures(head.tree_size))
        rows = [
            {
                "tree_size": head.tree_size,
                "witness": f"{one.witness}+{one.key_id.hex()}",
                "cosigned_at_seconds": one.cosigned_at_seconds,
                "line": one.line,
            }
            for one in cosignatures
            if f"{one.witness}+{one.key_id.hex()}" not in kept
        ]
        writing.insert(CosignatureRow, rows)
    return cosignatures


def cosigned_note(reading: Reading, tree_size: int) -> str:
    """Return a checkpoint with every cosignature that is kept of it.

    Raises
    ------
    RecordNotFoundError
        If there is no checkpoint of this size.
    """
    lines = reading.cosignatures(tree_size)
    return reading.checkpoint_at(tree_size) + "".join(f"{line}\n" for line in lines.values())


def cosignatures_between(reading: Reading, least: int, most: int) -> dict[int, list[str]]:
    """Return the signature lines kept of checkpoints, least <= tree size <= most, by size."""
    size, witness = col(CosignatureRow.tree_size), col(CosignatureRow.witness)
    query = select(size, col(CosignatureRow.line)).where(size >= least, size <= most)
    found: dict[int, list[str]] = {}
    for tree_size, line in reading.rows(query.order_by(size, witness)):
        found.setdefault(tree_size, []).append(line)
    return found


def first_cosigned_size(reading: Reading, least: int) -> int | None:
    """Return the size of the first cosigned checkpoint of at least a size, or None."""
    size = col(CosignatureRow.tree_size)
    [row] = reading.rows(select(func.min(size)).where(size >= least))
    return None if row[0] is None else int(row[0])


def newest_cosigned(reading: Reading) -> str:
    """Return the newest checkpoint that a witness cosigned, with its cosignatures.

    Raises
    ------
    RecordNotFoundError
        If no checkpoint was cosigned.
    """
    tree_size = reading.newest_cosigned_size()
    if tree_size is None:
        raise RecordNotFoundError("no checkpoint of the log was cosigned yet")
    return cosigned_note(reading, tree_size)


def cosigned_receipt(store: Store, entry_id: str) -> str:
    """Return a receipt of an entry under the newest checkpoint that a witness cosigned.

    Raises
    ------
    RecordNotFoundError
        If there is no such entry, or no cosigned checkpoint covers it yet.
    """
    with store.reading() as reading:
        record = reading.record(entry_id)
        note = newest_cosigned(reading)
        tree_size = parse_checkpoint(note).tree_size
        if record.leaf_index >= tree_size:
            raise RecordNotFoundError("no cosigned checkpoint covers the entry yet")
        ids = edge_ids(tree_size) + inclusion_ids(record.leaf_index, tree_size)
        proof = Tree(tree_size, reading.nodes(ids)).inclusion_proof(record.leaf_index)
        return format_receipt(record.leaf_index, proof, note)


def _verify_one(witness: VerifierKey, blob: bytes, body: str) -> int:
    if len(blob) != _SIGNATURE_BYTES:
        raise CosignatureInvalidError(f"the cosignature of {witness.name} is not 72 bytes long")
    at_seconds = int.from_bytes(blob[:_TIME_BYTES], "big")
    if not 0 < at_seconds <= _LATEST_TIME:
        raise CosignatureInvalidError(f"the cosignature of {witness.name} names no time")
    try:
        public_key = Ed25519PublicKey.from_public_bytes(witness.public_key)
        public_key.verify(blob[_TIME_BYTES:], cosigned_message(body, at_seconds))
    except (InvalidSignature, ValueError) as error:
        raise CosignatureInvalidError(f"the cosignature of {witness.name} fails") from error
    return at_seconds
