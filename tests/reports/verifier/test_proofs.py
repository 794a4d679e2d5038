"""The verifier's own Merkle code against the log's, for every pair of small sizes."""

import pytest

from audit.merkle import EMPTY_ROOT, Tree, extend, leaf_hash, peaks
from reports.verifier.findings import CheckError
from reports.verifier.proofs import (
    GrowingTree,
    hash_leaf,
    verify_consistency_proof,
    verify_inclusion_proof,
)

LEAVES = [leaf_hash(bytes([n])) for n in range(20)]
NODES = extend(0, LEAVES, {})
TREES = {size: Tree(size, NODES) for size in range(1, 21)}


def test_leaves_are_hashed_alike() -> None:
    assert [hash_leaf(bytes([n])) for n in range(20)] == LEAVES


@pytest.mark.parametrize("begin", range(20))
def test_a_tree_grows_from_any_edge(begin: int) -> None:
    tree = GrowingTree(begin, [NODES[name] for name in peaks(begin)])
    assert tree.root_hash() == (TREES[begin].root_hash if begin else EMPTY_ROOT)
    for size in range(begin + 1, 21):
        tree.add(LEAVES[size - 1])
        assert tree.root_hash() == TREES[size].root_hash
    with pytest.raises(CheckError):
        GrowingTree(begin, [NODES[name] for name in peaks(begin)] + [bytes(32)])


@pytest.mark.parametrize("size", range(1, 21))
def test_inclusion_proofs_hold_and_no_other_does(size: int) -> None:
    """Each for its own index; not shorter, longer, altered, elsewhere or under another root."""
    tree = TREES[size]
    for index in range(size):
        proof, leaf, root = tree.inclusion_proof(index), LEAVES[index], tree.root_hash
        verify_inclusion_proof(leaf, index, size, proof, root)
        wrong = [
            (leaf, index, size, [*proof, bytes(32)], root),
            (leaf, index, size, proof, bytes(32)),
            (bytes(32), index, size, proof, root),
            (leaf, size, size, proof, root),
            (leaf, -1, size, proof, root),
        ]
        if proof:
            wrong += [(leaf, index, size, proof[:-1], root), (leaf, index ^ 1, size, proof, root)]
        for arguments in wrong:
            with pytest.raises(CheckError):
                verify_inclusion_proof(*arguments)


@pytest.mark.parametrize("old", range(1, 20))
def test_consistency_proofs_hold_and_no_other_does(old: int) -> None:
    before = TREES[old].root_hash
    for new in range(old + 1, 21):
        tree = TREES[new]
        proof = tree.consistency_proof(old)
        verify_consistency_proof(old, new, before, tree.root_hash, proof)
        for wrong in (proof[:-1], [*proof, bytes(32)], [bytes(32), *proof[1:]], []):
            with pytest.raises(CheckError):
                verify_consistency_proof(old, new, before, tree.root_hash, wrong)
        with pytest.raises(CheckError):
            verify_consistency_proof(old, new, bytes(32), tree.root_hash, proof)
    for sizes in ((old, old), (0, old), (old + 1, old)):
        with pytest.raises(CheckError):
            verify_consistency_proof(*sizes, before, before, [])
