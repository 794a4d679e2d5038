"""Which key signs which checkpoint, when the log's key was changed.

A rotation stands in a tree that the old key signed, so whoever trusts the old key may trust the new
one; a recovery begins a new origin, which only its own key vouches for. Every change is also in the
newest tree, so the key that signed that one vouches for all that was signed before.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.verifier.findings import CheckError
from reports.verifier.proofs import hash_leaf, parse_receipt, verify_inclusion_proof
from reports.verifier.signatures import (
    Head,
    LogKey,
    decode_hash,
    parse_head,
    parse_log_key,
    verify_note,
)

ROTATED, RECOVERED = "log-key-rotated", "log-recovered"


@dataclass(frozen=True)
class KeyChange:
    """An entry that changed the log's key.

    Parameters
    ----------
    index, leaf_digest
        Its place and the hash of its header.
    is_recovery
        Whether a new origin began here.
    old, new
        Keys; the old one is None where it was lost too.
    first_size
        Of the trees that the new key signs.
    proof
        Of its inclusion in the newest tree.
    """

    index: int
    leaf_digest: bytes
    is_recovery: bool
    old: "LogKey | None"
    new: LogKey
    first_size: int
    proof: list[bytes]


def read_key_change(line: bytes) -> KeyChange:
    """Read an entry that changed the key, and check its receipt; raises `CheckError`."""
    said = json.loads(line)
    leaf = said["header"].encode()
    header = json.loads(leaf)
    index, proof, note = parse_receipt(said["receipt"])
    is_recovery = header["type"] == RECOVERED
    new, old_text = parse_log_key(header["new_key"]), header.get("old_key")
    old = None if old_text is None else parse_log_key(old_text)
    # The old key hands over to a new one; after a loss there is only the new key.
    signer = new if is_recovery else old
    is_known = is_recovery or header["type"] == ROTATED
    if not is_known or index != said["leaf_index"] or signer is None or signer.name != new.name:
        raise CheckError(
            f"条目 {index} 不是密钥更换", f"entry {index} is no change of the log's key"
        )
    verify_note(note, [signer])
    head = parse_head(note, signer.name)
    digest = hash_leaf(leaf)
    verify_inclusion_proof(digest, index, head.tree_size, proof, head.root_hash)
    first_size = index + 1 if is_recovery else head.tree_size + 1
    newest = [decode_hash(text) for text in said["proof"]]
    return KeyChange(index, digest, is_recovery, old, new, first_size, newest)


class KeyChain:
    """The keys of a log.

    Parameters
    ----------
    lines
        The entries that changed its key, from its beginning.
    given
        Keys that are trusted.

    Raises
    ------
    CheckError
        When one change does not follow from the one before.
    """

    def __init__(self, lines: Iterable[bytes], given: Sequence[LogKey]) -> None:
        self._changes = [read_key_change(line) for line in lines]
        self._given = list(given)
        before: KeyChange | None = None
        for change in self._changes:
            follows = before is None or (
                before.index < change.index and change.old in (before.new, None)
            )
            if not follows:
                raise CheckError(
                    f"条目 {change.index} 的密钥更换不接前一次",
                    f"the change of the key in entry {change.index} does not follow",
                )
            before = change

    def signers(self) -> list[LogKey]:
        """Return the keys that speak for the log now, as far as a trusted key leads to them."""
        if not self._changes:
            return self._given
        for change in reversed(self._changes):
            if change.new in self._given:
                return [self._changes[-1].new]
            if change.is_recovery:
                return self._given
        return [self._changes[-1].new] if self._changes[0].old in self._given else self._given

    def keys_of(self, tree_size: int) -> list[LogKey]:
        """Return the keys that may have signed the checkpoint of a size."""
        if not self._changes:
            return self._given
        for change in reversed(self._changes):
            if change.first_size <= tree_size:
                return [change.new]
        first = self._changes[0].old
        return [] if first is None else [first]

    def origin_of(self, tree_size: int) -> "str | None":
        """Return the name that the log had at a size; None when it always had the same."""
        keys = self.keys_of(tree_size) if self._changes else []
        return keys[0].name if keys else None

    def verify_included(self, newest: Head) -> None:
        """Check that the newest tree holds every change; raises `CheckError`."""
        for change in self._changes:
            verify_inclusion_proof(
                change.leaf_digest,
                change.index,
                newest.tree_size,
                change.proof,
                newest.root_hash,
            )
