"""RFC 6962 hashing and RFC 9162 verification, apart from everything that Candor runs."""

from hashlib import sha256

from reports.verifier.findings import CheckError
from reports.verifier.signatures import decode_hash, parse_decimal

_RECEIPT = "c2sp.org/tlog-proof@v1"


def hash_leaf(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + leaf).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class GrowingTree:
    """A tree that grows leaf by leaf from a known right edge; keeps no more than that edge.

    Parameters
    ----------
    tree_size
        Number of leaves that it begins with.
    edge
        Hashes of its greatest complete subtrees, from right to left.
    """

    def __init__(self, tree_size: int, edge: list[bytes]) -> None:
        levels = [level for level in range(tree_size.bit_length()) if tree_size >> level & 1]
        if len(levels) != len(edge):
            raise CheckError("起始子树数目不符", "the tree's first edge has another length")
        self.tree_size = tree_size
        self._peaks = dict(zip(levels, edge, strict=True))

    def add(self, leaf_digest: bytes) -> None:
        """Add the hash of a leaf."""
        level = 0
        while level in self._peaks:
            leaf_digest = hash_node(self._peaks.pop(level), leaf_digest)
            level += 1
        self._peaks[level] = leaf_digest
        self.tree_size += 1

    def root_hash(self) -> bytes:
        """Return the root of the tree as it is."""
        digests = [self._peaks[level] for level in sorted(self._peaks)]
        if not digests:
            return sha256(b"").digest()
        root = digests[0]
        for digest in digests[1:]:
            root = hash_node(digest, root)
        return root


def verify_inclusion_proof(
    leaf_digest: bytes, leaf_index: int, tree_size: int, proof: list[bytes], root_hash: bytes
) -> None:
    """Check that a leaf stands at an index of a tree; raises `CheckError` when it does not."""
    place, last, current = leaf_index, tree_size - 1, leaf_digest
    fits = 0 <= leaf_index < tree_size
    for sibling in proof if fits else []:
        fits = fits and last > 0
        if place & 1 or place == last:
            current = hash_node(sibling, current)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            current = hash_node(current, sibling)
        place, last = place >> 1, last >> 1
    if not fits or last or current != root_hash:
        raise CheckError(
            f"条目 {leaf_index} 的包含证明不成立",
            f"the inclusion proof of entry {leaf_index} does not hold",
        )


def verify_consistency_proof(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: list[bytes]
) -> None:
    """Check that one tree is a prefix of a larger one; raises `CheckError` when it is not."""
    failure = CheckError(
        f"从 {old_size} 到 {new_size} 的一致性证明不成立",
        f"the consistency proof from {old_size} to {new_size} does not hold",
    )
    if not 0 < old_size < new_size:
        raise failure
    hashes = proof if old_size & (old_size - 1) else [old_root, *proof]
    if not hashes:
        raise failure
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise failure
        if place & 1 or place == last:
            old, new = hash_node(sibling, old), hash_node(sibling, new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new = hash_node(new, sibling)
        place, last = place >> 1, last >> 1
    if last or (old, new) != (old_root, new_root):
        raise failure


def parse_receipt(text: str) -> tuple[int, list[bytes], str]:
    """Return index, inclusion proof and checkpoint of a receipt; raises `CheckError`."""
    head, separator, note = text.partition("\n\n")
    form, _, rest = head.partition("\n")
    place, *proof = rest.split("\n")
    if not separator or form != _RECEIPT or not place.startswith("index "):
        raise CheckError("回执格式不对", "a receipt is malformed")
    index = parse_decimal(place.removeprefix("index "))
    return index, [decode_hash(line) for line in proof], note
