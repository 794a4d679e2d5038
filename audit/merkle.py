"""RFC 6962 hashing, proofs and their verification; pure, apart from any storage.

The rules kept here:

- a leaf is hashed with prefix 0x00 and a node with 0x01, so neither passes for the other;
- a node is named (level, index): it covers the leaves index * 2**level to
  (index + 1) * 2**level - 1, and only complete nodes are ever kept, so a kept node never changes;
- a proof has exactly the length that its sizes ask for: one hash more or less is refused.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

from audit.errors import ProofInvalidError

NodeId: TypeAlias = tuple[int, int]
HASH_SIZE_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's bytes (RFC 6962 section 2.1).

    Examples
    --------
    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node from its children's hashes.

    Examples
    --------
    >>> node_hash(leaf_hash(b""), leaf_hash(b"")) == leaf_hash(b"")
    False
    """
    return sha256(b"\x01" + left + right).digest()


def peaks(tree_size: int) -> list[NodeId]:
    """Return the greatest complete nodes of a tree, from right to left.

    Examples
    --------
    >>> peaks(6)
    [(1, 2), (2, 0)]
    """
    return [
        (level, (tree_size >> level) - 1)
        for level in range(tree_size.bit_length())
        if tree_size >> level & 1
    ]


def root_of_peaks(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree that has these `peaks`, given from right to left.

    Examples
    --------
    >>> root_of_peaks([]) == EMPTY_ROOT
    True
    """
    root = hashes[0] if hashes else EMPTY_ROOT
    for digest in hashes[1:]:
        root = node_hash(digest, root)
    return root


def extend(
    tree_size: int, leaf_hashes: Sequence[bytes], known: Mapping[NodeId, bytes]
) -> dict[NodeId, bytes]:
    """Return every node that becomes complete when leaves are added, the leaves included.

    Parameters
    ----------
    tree_size
        Number of leaves before.
    leaf_hashes
        Hashes of the leaves to add, in order.
    known
        At least the `peaks` of `tree_size`.

    Examples
    --------
    >>> sorted(extend(0, [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")], {}))
    [(0, 0), (0, 1), (0, 2), (1, 0)]
    """
    nodes: dict[NodeId, bytes] = {}
    level, start, hashes = 0, tree_size, list(leaf_hashes)
    while hashes:
        nodes.update(((level, start + place), digest) for place, digest in enumerate(hashes))
        if start & 1:
            hashes.insert(0, known[(level, start - 1)])
        pairs = zip(hashes[::2], hashes[1::2], strict=False)
        hashes = [node_hash(left, right) for left, right in pairs]
        level, start = level + 1, start >> 1
    return nodes


def edge_ids(tree_size: int) -> list[NodeId]:
    """Return the nodes that the right edge of a tree, and so its root, is made from."""
    last = tree_size - 1
    inner = [
        (level, (last >> level) - 1) for level in range(last.bit_length()) if last >> level & 1
    ]
    return [(0, last), *inner] if tree_size > 0 else []


def inclusion_ids(leaf_index: int, tree_size: int) -> list[NodeId]:
    """Return the nodes of an inclusion proof, from the leaf up (RFC 6962 section 2.1.1)."""
    ids: list[NodeId] = []
    place, last, level = leaf_index, tree_size - 1, 0
    while last:
        if place & 1 or place < last:
            ids.append((level, place ^ 1))
        place, last, level = place >> 1, last >> 1, level + 1
    return ids


def consistency_ids(old_size: int, new_size: int) -> list[NodeId]:
    """Return the nodes of a consistency proof, in proof order (RFC 6962 section 2.1.2)."""
    if old_size in (0, new_size):
        return []
    level = ((old_size - 1) ^ old_size).bit_length() - 1
    place, last = (old_size - 1) >> level, (new_size - 1) >> level
    first: list[NodeId] = [(level, place)] if place else []
    ids = inclusion_ids(place, last + 1)
    return first + [(level + above, index) for above, index in ids]


class Tree:
    """A tree of one size, read through the nodes that are kept.

    Parameters
    ----------
    tree_size
        Number of leaves.
    nodes
        At least `edge_ids` of the size, and the complete nodes among the ids of each proof that
        is asked for.

    Examples
    --------
    >>> hashes = [leaf_hash(bytes([n])) for n in range(5)]
    >>> tree = Tree(5, extend(0, hashes, {}))
    >>> verify_inclusion(hashes[3], 3, 5, tree.inclusion_proof(3), tree.root_hash)
    """

    def __init__(self, tree_size: int, nodes: Mapping[NodeId, bytes]) -> None:
        self.tree_size = tree_size
        self._nodes = nodes
        # The last node of each level may be incomplete; it is made here and kept nowhere.
        self._edge: list[bytes] = [nodes[(0, tree_size - 1)]] if tree_size else [EMPTY_ROOT]
        last = max(tree_size - 1, 0)
        for level in range(last.bit_length()):
            right = self._edge[level]
            place = last >> level
            self._edge.append(node_hash(nodes[(level, place - 1)], right) if place & 1 else right)

    @property
    def root_hash(self) -> bytes:
        """The Merkle tree hash."""
        return self._edge[-1]

    def inclusion_proof(self, leaf_index: int) -> list[bytes]:
        """Return the inclusion proof of a leaf, 0 <= leaf_index < tree_size."""
        return [self._hash(name) for name in inclusion_ids(leaf_index, self.tree_size)]

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """Return the proof that the tree of `old_size` leaves is a prefix of this one."""
        return [self._hash(name) for name in consistency_ids(old_size, self.tree_size)]

    def _hash(self, name: NodeId) -> bytes:
        level, index = name
        return self._edge[level] if index == (self.tree_size - 1) >> level else self._nodes[name]


def verify_inclusion(
    leaf: bytes, leaf_index: int, tree_size: int, proof: Sequence[bytes], root_hash: bytes
) -> None:
    """Check that a leaf hash stands at an index of a tree (RFC 9162 section 2.1.3.2).

    Parameters
    ----------
    leaf
        Hash of the leaf, 32 bytes.
    leaf_index, tree_size
        Place and number of leaves.
    proof
        Hashes from the leaf up.
    root_hash
        Root to arrive at.

    Raises
    ------
    ProofInvalidError
        If the proof does not lead from this leaf at this index to this root.
    """
    if not 0 <= leaf_index < tree_size:
        raise ProofInvalidError(f"leaf index {leaf_index} is outside a tree of {tree_size}")
    _verify_hash_sizes([leaf, root_hash, *proof])
    place, last, current = leaf_index, tree_size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalidError("the inclusion proof is too long")
        if place & 1 or place == last:
            current = node_hash(sibling, current)
            place, last = _skip_missing_siblings(place, last)
        else:
            current = node_hash(current, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofInvalidError("the inclusion proof is too short")
    if current != root_hash:
        raise ProofInvalidError("the inclusion proof leads to another root")


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that one tree is a prefix of another (RFC 9162 section 2.1.4.2).

    Raises
    ------
    ProofInvalidError
        If the proof does not join the two roots at these sizes.
    """
    if not 0 <= old_size <= new_size:
        raise ProofInvalidError(f"a tree of {old_size} is no prefix of one of {new_size}")
    _verify_hash_sizes([old_root, new_root, *proof])
    if old_size in (0, new_size):
        _verify_trivial_consistency(old_size, new_size, old_root, new_root, proof)
        return
    hashes = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not hashes:
        raise ProofInvalidError("the consistency proof is too short")
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofInvalidError("the consistency proof is too long")
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            place, last = _skip_missing_siblings(place, last)
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofInvalidError("the consistency proof is too short")
    if old != old_root or new != new_root:
        raise ProofInvalidError("the consistency proof leads to other roots")


def _verify_trivial_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    if proof:
        raise ProofInvalidError("the consistency proof has to be empty at these sizes")
    if old_size == new_size and old_root != new_root:
        raise ProofInvalidError("two roots for one tree size")
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise ProofInvalidError("the empty tree has another root")


def _skip_missing_siblings(place: int, last: int) -> NodeId:
    # A node that ends its level without a sibling is promoted unchanged.
    while place and not place & 1:
        place, last = place >> 1, last >> 1
    return place, last


def _verify_hash_sizes(hashes: Sequence[bytes]) -> None:
    if any(len(digest) != HASH_SIZE_BYTES for digest in hashes):
        raise ProofInvalidError("a hash is not 32 bytes long")
