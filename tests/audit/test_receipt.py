"""Receipts: proof in one text, refused when any part of it is otherwise."""

from collections.abc import Callable

import pytest

from audit.errors import AuditError, CheckpointInvalidError, ProofInvalidError
from audit.merkle import Tree, extend, leaf_hash
from audit.receipt import Receipt, format_receipt, parse_receipt, verify_receipt
from tests.audit.sample import OTHER_SIGNER, SIGNER, VKEY

LEAVES = [f"leaf {number}".encode() for number in range(11)]
TREE = Tree(11, extend(0, [leaf_hash(leaf) for leaf in LEAVES], {}))
PROOF = TREE.inclusion_proof(5)
NOTE = SIGNER.sign(11, TREE.root_hash)
TEXT = format_receipt(5, PROOF, NOTE)


def test_a_receipt_proves_its_leaf() -> None:
    assert verify_receipt(TEXT, LEAVES[5], VKEY).tree_size == 11
    assert parse_receipt(TEXT) == Receipt(5, tuple(PROOF), NOTE)


def test_an_extra_line_is_allowed() -> None:
    text = TEXT.replace("\nindex", "\nextra Y2FuZG9y\nindex")
    assert verify_receipt(text, LEAVES[5], VKEY).tree_size == 11


def test_the_only_leaf_needs_no_hashes() -> None:
    tree = Tree(1, extend(0, [leaf_hash(b"x")], {}))
    text = format_receipt(0, [], SIGNER.sign(1, tree.root_hash))
    assert verify_receipt(text, b"x", VKEY).root_hash == leaf_hash(b"x")


MUTATIONS: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "another version": lambda text: text.replace("@v1", "@v2"),
    "no index": lambda text: text.replace("index 5\n", ""),
    "no index but extra": lambda text: text.replace("index 5\n", "extra AAAA\n"),
    "leading zero": lambda text: text.replace("index 5", "index 05"),
    "negative": lambda text: text.replace("index 5", "index -5"),
    "another index": lambda text: text.replace("index 5", "index 4"),
    "index beyond": lambda text: text.replace("index 5", "index 11"),
    "a hash less": lambda text: "\n".join([*text.split("\n")[:2], *text.split("\n")[3:]]),
    "a hash more": lambda text: text.replace("index 5\n", "index 5\n" + "A" * 43 + "=\n"),
    "a short hash": lambda text: text.replace("index 5\n", "index 5\nAAAA\n"),
    "stray bits": lambda text: text.replace("index 5\n", "index 5\n" + "A" * 42 + "B=\n"),
    "no base64": lambda text: text.replace("index 5\n", "index 5\n?\n"),
    "no ASCII": lambda text: text.replace("index 5\n", "index 5\n键\n"),
    "too many hashes": lambda text: text.replace("index 5\n", "index 5\n" + "AAAA\n" * 64),
    "too long": lambda text: text + "x" * 200_000,
    "no blank line": lambda text: text.replace("\n\n", "\n"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("desc", MUTATIONS)
def test_a_changed_receipt_is_refused(desc: str) -> None:
    changed = MUTATIONS[desc](TEXT)
    assert changed != TEXT
    with pytest.raises(ProofInvalidError) as caught:
        verify_receipt(changed, LEAVES[5], VKEY)
    assert caught.value.remedy


def test_any_character_of_a_receipt_matters() -> None:
    for place in range(len(TEXT)):
        changed = TEXT[:place] + ("A" if TEXT[place] != "A" else "B") + TEXT[place + 1 :]
        with pytest.raises(AuditError):
            verify_receipt(changed, LEAVES[5], VKEY)


def test_another_leaf_or_key_is_refused() -> None:
    with pytest.raises(ProofInvalidError, match="another root"):
        verify_receipt(TEXT, LEAVES[4], VKEY)
    with pytest.raises(CheckpointInvalidError):
        verify_receipt(TEXT, LEAVES[5], OTHER_SIGNER.verifier_key)
