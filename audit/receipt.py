"""Receipts: proof in one text that a leaf is in the log (C2SP tlog-proof).

A receipt holds the leaf's index, its inclusion proof and a signed checkpoint. It proves by
itself, offline, against the log's verifier key; it does not hold the leaf.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.checkpoint import Checkpoint, parse_decimal, verify_checkpoint
from audit.errors import CheckpointInvalidError, ProofInvalidError
from audit.merkle import HASH_SIZE_BYTES, leaf_hash, verify_inclusion

_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_LONGEST_RECEIPT_CHARACTERS: Final = 131_072
_LONGEST_PROOF: Final = 63


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says, not yet checked.

    Parameters
    ----------
    leaf_index
        Place of the leaf.
    proof
        Inclusion proof, hashes of 32 bytes from the leaf up.
    checkpoint_note
        The signed note, verbatim.
    """

    leaf_index: int
    proof: tuple[bytes, ...]
    checkpoint_note: str


def format_receipt(leaf_index: int, proof: Sequence[bytes], checkpoint_note: str) -> str:
    """Return the tlog-proof text.

    Examples
    --------
    >>> print(format_receipt(0, [], "origin..."))
    c2sp.org/tlog-proof@v1
    index 0
    <BLANKLINE>
    origin...
    """
    hashes = "".join(f"{base64.b64encode(digest).decode('ascii')}\n" for digest in proof)
    return f"{_FIRST_LINE}\nindex {leaf_index}\n{hashes}\n{checkpoint_note}"


def parse_receipt(text: str) -> Receipt:
    """Read a tlog-proof text; an `extra` line of base64 is allowed and not used.

    Raises
    ------
    ProofInvalidError
        If the text is not of that form.
    """
    if len(text) > _LONGEST_RECEIPT_CHARACTERS:
        raise ProofInvalidError("the receipt is too long")
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines[0] != _FIRST_LINE:
        raise ProofInvalidError(f"the receipt does not begin with {_FIRST_LINE}")
    rest = lines[1:]
    if rest and rest[0].startswith("extra "):
        _from_base64(rest.pop(0).removeprefix("extra "))
    if not rest or not rest[0].startswith("index "):
        raise ProofInvalidError("the receipt names no index")
    if len(rest) - 1 > _LONGEST_PROOF:
        raise ProofInvalidError("the receipt holds too many hashes")
    return Receipt(
        leaf_index=_parse_index(rest[0].removeprefix("index ")),
        proof=tuple(_parse_hash(line) for line in rest[1:]),
        checkpoint_note=note,
    )


def verify_receipt(text: str, leaf: bytes, vkey: str) -> Checkpoint:
    """Check that a leaf is in the log, and return the checkpoint that covers it.

    Parameters
    ----------
    text
        The receipt.
    leaf
        The exact bytes of the header.
    vkey
        The log's verifier key.

    Raises
    ------
    ProofInvalidError
        If the receipt is malformed or does not lead from the leaf to the signed root.
    CheckpointInvalidError
        If the checkpoint is malformed or not signed by the log.
    VerifierKeyInvalidError
        If the verifier key is malformed.
    """
    # 1. The text is a receipt.
    receipt = parse_receipt(text)
    # 2. Its checkpoint is signed by the log.
    checkpoint = verify_checkpoint(receipt.checkpoint_note, vkey)
    # 3. The leaf, hashed here, is at its index under the signed root.
    verify_inclusion(
        leaf_hash(leaf),
        receipt.leaf_index,
        checkpoint.tree_size,
        receipt.proof,
        checkpoint.root_hash,
    )
    return checkpoint


def _parse_index(text: str) -> int:
    try:
        return parse_decimal(text)
    except CheckpointInvalidError as error:
        raise ProofInvalidError("the receipt's index is not a plain number") from error


def _parse_hash(line: str) -> bytes:
    digest = _from_base64(line)
    if len(digest) != HASH_SIZE_BYTES:
        raise ProofInvalidError("a line of the receipt is not 32 bytes in base64")
    return digest


def _from_base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofInvalidError("a line of the receipt is not base64") from error
    # The decoder accepts stray bits in the last character; the encoder has one way only.
    if base64.b64encode(raw).decode("ascii") != text:
        raise ProofInvalidError("a line of the receipt is not base64 in its one form")
    return raw
