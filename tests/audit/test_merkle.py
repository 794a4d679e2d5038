"""Merkle proofs against a reference that is RFC 6962's text and nothing else."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from audit.errors import ProofInvalidError
from audit.merkle import (
    EMPTY_ROOT,
    Tree,
    consistency_ids,
    edge_ids,
    extend,
    inclusion_ids,
    leaf_hash,
    node_hash,
    peaks,
    verify_consistency,
    verify_inclusion,
)

VECTORS = json.loads(Path(__file__).with_name("vectors").joinpath("merkle.json").read_text("utf-8"))
HASHES = [leaf_hash(f"leaf {number}".encode()) for number in range(300)]
ALL_NODES = extend(0, HASHES, {})


def reference_root(hashes: list[bytes]) -> bytes:
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(reference_root(hashes[:split]), reference_root(hashes[split:]))


def reference_inclusion(index: int, hashes: list[bytes]) -> list[bytes]:
    if len(hashes) == 1:
        return []
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    if index < split:
        return [*reference_inclusion(index, hashes[:split]), reference_root(hashes[split:])]
    return [*reference_inclusion(index - split, hashes[split:]), reference_root(hashes[:split])]


def reference_consistency(old: int, hashes: list[bytes], *, whole: bool = True) -> list[bytes]:
    if old == len(hashes):
        return [] if whole else [reference_root(hashes)]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    if old <= split:
        left = reference_consistency(old, hashes[:split], whole=whole)
        return [*left, reference_root(hashes[split:])]
    right = reference_consistency(old - split, hashes[split:], whole=False)
    return [*right, reference_root(hashes[:split])]


def test_every_leaf_of_every_size_to_300_is_proved() -> None:
    """An inclusion proof holds for every leaf of every tree up to 300 leaves."""
    for size in range(1, 301):
        tree = Tree(size, ALL_NODES)
        for index in range(size):
            proof = tree.inclusion_proof(index)
            verify_inclusion(HASHES[index], index, size, proof, tree.root_hash)


def test_roots_and_inclusion_proofs_are_those_of_the_text() -> None:
    """The incremental tree gives what RFC 6962's recursive definition gives."""
    for size in [0, 1, 2, 3, 5, 8, 13, 64, 100, 255, 256, 257, 300]:
        tree = Tree(size, ALL_NODES)
        assert tree.root_hash == reference_root(HASHES[:size])
        for index in {0, size // 2, size - 1} if size else set():
            assert tree.inclusion_proof(index) == reference_inclusion(index, HASHES[:size])


def test_every_pair_of_sizes_to_64_is_consistent() -> None:
    """A consistency proof holds, and is the text's, for every pair of sizes up to 64."""
    roots = [reference_root(HASHES[:size]) for size in range(65)]
    for new in range(65):
        tree = Tree(new, ALL_NODES)
        for old in range(new + 1):
            proof = tree.consistency_proof(old)
            assert proof == (reference_consistency(old, HASHES[:new]) if old else [])
            verify_consistency(old, new, roots[old], roots[new], proof)


def test_random_pairs_of_sizes_are_consistent() -> None:
    source = random.Random(7)  # noqa: S311 - repeatable choice of cases, nothing secret
    for _ in range(300):
        old, new = sorted(source.choices(range(1, 301), k=2))
        tree = Tree(new, ALL_NODES)
        root = Tree(old, ALL_NODES).root_hash
        verify_consistency(old, new, root, tree.root_hash, tree.consistency_proof(old))


def test_growing_by_pieces_gives_the_same_nodes_as_growing_at_once() -> None:
    """Only the peaks of the old tree are needed to extend it."""
    source = random.Random(3)  # noqa: S311 - repeatable choice of cases, nothing secret
    kept: dict[tuple[int, int], bytes] = {}
    size = 0
    while size < len(HASHES):
        step = source.randint(1, 40)
        known = {name: kept[name] for name in peaks(size)}
        kept |= extend(size, HASHES[size : size + step], known)
        size = min(size + step, len(HASHES))
    assert kept == ALL_NODES


def test_a_proof_reads_a_logarithmic_number_of_nodes() -> None:
    size = 2**40 + 12345
    assert len(peaks(size)) <= 41
    assert len(edge_ids(size)) + len(inclusion_ids(77, size)) <= 82
    assert len(consistency_ids(2**39 + 1, size)) <= 42


def test_every_mutation_of_an_inclusion_proof_is_refused() -> None:
    tree = Tree(77, ALL_NODES)
    proof = tree.inclusion_proof(41)
    mutants = [proof[:-1], proof[1:], [*proof, HASHES[0]], proof[::-1]]
    mutants += [[*proof[:at], HASHES[299], *proof[at + 1 :]] for at in range(len(proof))]
    mutants += [[*proof[:at], proof[at][:-1], *proof[at + 1 :]] for at in range(len(proof))]
    for mutant in mutants:
        with pytest.raises(ProofInvalidError):
            verify_inclusion(HASHES[41], 41, 77, mutant, tree.root_hash)
    for index, size in [(40, 77), (42, 77), (41, 64), (41, 300)]:
        with pytest.raises(ProofInvalidError):
            verify_inclusion(HASHES[41], index, size, proof, tree.root_hash)


def test_every_mutation_of_a_consistency_proof_is_refused() -> None:
    tree = Tree(77, ALL_NODES)
    for old in (1, 2, 31, 32, 64, 65, 76):
        proof, root = tree.consistency_proof(old), Tree(old, ALL_NODES).root_hash
        mutants = [proof[:-1], proof[1:], [*proof, HASHES[0]]]
        mutants += [[*proof[:at], HASHES[299], *proof[at + 1 :]] for at in range(len(proof))]
        for mutant in mutants:
            with pytest.raises(ProofInvalidError):
                verify_consistency(old, 77, root, tree.root_hash, mutant)


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=lambda case: case["desc"])
def test_inclusion_vector(case: dict[str, Any]) -> None:
    proof = [bytes.fromhex(digest) for digest in case["proof"]]
    leaf, root = bytes.fromhex(case["leaf_hash"]), bytes.fromhex(case["root_hash"])
    if case["want_error"] is None:
        verify_inclusion(leaf, case["leaf_index"], case["tree_size"], proof, root)
        return
    with pytest.raises(ProofInvalidError, match=case["want_error"]):
        verify_inclusion(leaf, case["leaf_index"], case["tree_size"], proof, root)


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=lambda case: case["desc"])
def test_consistency_vector(case: dict[str, Any]) -> None:
    proof = [bytes.fromhex(digest) for digest in case["proof"]]
    old, new = bytes.fromhex(case["old_root"]), bytes.fromhex(case["new_root"])
    if case["want_error"] is None:
        verify_consistency(case["old_size"], case["new_size"], old, new, proof)
        return
    with pytest.raises(ProofInvalidError, match=case["want_error"]):
        verify_consistency(case["old_size"], case["new_size"], old, new, proof)
