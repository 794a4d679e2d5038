"""Parsers take one form only: whatever is altered, cut or drawn at random is refused cleanly."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checkpoint import (
    Checkpoint,
    parse_checkpoint,
    parse_verifier_key,
    split_note,
    verify_checkpoint,
)
from audit.errors import (
    AuditError,
    CheckpointInvalidError,
    ProofInvalidError,
    RecordNotFoundError,
    VerifierKeyInvalidError,
)
from audit.receipt import format_receipt, parse_receipt
from audit.tiles import TilePath, format_tile_path, parse_tile_path
from tests.audit.sample import SIGNER, UNHURRIED, VKEY, make_signer

NOTE = SIGNER.sign(42, b"\x05" * 32)
RECEIPT = format_receipt(41, [b"\x01" * 32, b"\x02" * 32], NOTE)
SIZES = st.integers(0, 2**63 - 1)
HASHES = st.binary(min_size=32, max_size=32)
ALPHABET = st.characters(min_codepoint=0, max_codepoint=0x2100)


@settings(**UNHURRIED)
@given(SIZES, HASHES)
def test_a_checkpoint_comes_back_as_it_was(size: int, root_hash: bytes) -> None:
    """What is signed is read again, and is the only text of it that verifies."""
    note = SIGNER.sign(size, root_hash)
    assert verify_checkpoint(note, VKEY) == Checkpoint(SIGNER.origin, size, root_hash)


@settings(**UNHURRIED)
@given(st.integers(0, len(NOTE) - 1), ALPHABET)
def test_no_character_of_a_checkpoint_can_be_another(place: int, other: str) -> None:
    """Size, root, origin, dash, name, key id and signature all count."""
    altered = NOTE[:place] + other + NOTE[place + 1 :]
    if altered != NOTE:
        with pytest.raises(CheckpointInvalidError):
            verify_checkpoint(altered, VKEY)


@settings(**UNHURRIED)
@given(st.integers(0, len(NOTE) - 1))
def test_no_part_of_a_checkpoint_is_enough(length: int) -> None:
    """A cut note is refused wherever it is cut."""
    with pytest.raises(CheckpointInvalidError):
        verify_checkpoint(NOTE[:length], VKEY)


@settings(**UNHURRIED)
@given(st.integers(0, len(RECEIPT) - len(NOTE) - 1), ALPHABET)
def test_a_receipt_has_one_form(place: int, other: str) -> None:
    """An altered head is refused, or says another index or hash; it never reads the same."""
    altered = RECEIPT[:place] + other + RECEIPT[place + 1 :]
    if altered != RECEIPT:
        with suppress(ProofInvalidError):
            assert parse_receipt(altered) != parse_receipt(RECEIPT)


@settings(**UNHURRIED)
@given(SIZES, st.lists(HASHES, max_size=63))
def test_a_receipt_comes_back_as_it_was(index: int, proof: list[bytes]) -> None:
    """Format and parse are inverse."""
    text = format_receipt(index, proof, NOTE)
    receipt = parse_receipt(text)
    assert (receipt.leaf_index, list(receipt.proof)) == (index, proof)
    assert format_receipt(receipt.leaf_index, receipt.proof, receipt.checkpoint_note) == text


@pytest.mark.parametrize("extra", ["!", "AA", "AB==", "", " AA==", "AA== "])
def test_extra_data_is_base64_in_its_one_form(extra: str) -> None:
    head, rest = RECEIPT.split("\n", 1)
    if extra:
        with pytest.raises(ProofInvalidError):
            parse_receipt(f"{head}\nextra {extra}\n{rest}")
    assert parse_receipt(f"{head}\nextra AA==\n{rest}") == parse_receipt(RECEIPT)


@settings(**UNHURRIED)
@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, 10**15), st.integers(1, 256))
def test_a_tile_has_one_path(level: int | None, index: int, width: int) -> None:
    """Format and parse are inverse."""
    tile = TilePath(level, index, width)
    assert parse_tile_path(format_tile_path(tile)) == tile


@settings(**UNHURRIED)
@given(st.text(alphabet="0123456789x/.pentris-", max_size=70))
def test_a_tile_path_read_is_written_so(path: str) -> None:
    """Whatever is taken for a tile is the one way to write it."""
    with suppress(RecordNotFoundError):
        assert format_tile_path(parse_tile_path(path)) == path


@settings(**UNHURRIED)
@given(st.text(max_size=300))
def test_any_text_is_refused_cleanly(text: str) -> None:
    """No parser fails with anything but its own error."""
    for parse in (parse_checkpoint, parse_receipt, parse_verifier_key, parse_tile_path, split_note):
        with suppress(AuditError):
            parse(text)


@settings(**UNHURRIED)
@given(st.integers(0, len(VKEY) - 1), ALPHABET)
def test_no_character_of_a_key_can_be_another(place: int, other: str) -> None:
    """The key's hash covers its name and its bytes."""
    altered = VKEY[:place] + other + VKEY[place + 1 :]
    if altered != VKEY:
        with pytest.raises(VerifierKeyInvalidError):
            parse_verifier_key(altered)


def test_lengths_are_bounded() -> None:
    with pytest.raises(VerifierKeyInvalidError, match="256"):
        make_signer("a" * 257, 1)
    assert parse_verifier_key(make_signer("a" * 256, 1).verifier_key).name == "a" * 256
    with pytest.raises(VerifierKeyInvalidError, match="long"):
        parse_verifier_key("a" * 600)
    with pytest.raises(VerifierKeyInvalidError):
        parse_verifier_key(f"{VKEY}\n\n")
    for text in ("x/" * 40 + "000", "0/" + "x000/" * 20 + "000"):
        with pytest.raises(RecordNotFoundError):
            parse_tile_path(text)
