"""Verifier keys, notes and checkpoints, read strictly."""

import pytest

from audit.checkpoint import parse_checkpoint, verify_checkpoint
from audit.errors import CheckpointInvalidError
from reports.verifier.findings import CheckError
from reports.verifier.signatures import (
    STATEMENT,
    decode_base64,
    decode_hash,
    parse_decimal,
    parse_head,
    parse_log_key,
    verify_note,
)
from tests.audit.sample import OTHER_SIGNER, SIGNER, VKEY

KEY = parse_log_key(VKEY)
NOTE = SIGNER.sign(7, bytes(32))


def test_a_checkpoint_is_read_and_its_signer_known() -> None:
    assert parse_head(NOTE, SIGNER.origin).tree_size == 7
    assert verify_note(NOTE, [KEY])[0] == SIGNER.origin
    both = NOTE + OTHER_SIGNER.sign(7, bytes(32)).rpartition("\n\n")[2]
    assert verify_note(both, [KEY]) == verify_note(both, [parse_log_key(OTHER_SIGNER.verifier_key)])


def test_a_manifest_never_passes_for_a_checkpoint() -> None:
    note = SIGNER.sign_statement(STATEMENT, ["sha256 00"])
    assert verify_note(note, [KEY]) == [STATEMENT, SIGNER.origin, "sha256 00"]
    with pytest.raises(CheckpointInvalidError):
        verify_checkpoint(SIGNER.sign_statement(STATEMENT, ["7"]), VKEY)
    with pytest.raises(CheckError):
        parse_head(note, SIGNER.origin)
    for statement, lines in ((SIGNER.origin, ["7"]), (STATEMENT, [""]), (STATEMENT, ["a\nb"])):
        with pytest.raises(CheckpointInvalidError):
            SIGNER.sign_statement(statement, lines)
    assert parse_checkpoint(NOTE).tree_size == 7


@pytest.mark.parametrize(
    "note",
    [
        "",
        NOTE[:-1],
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("— ", "- "),
        NOTE + "x",
        NOTE[:-5] + "!!!=\n",
        NOTE.replace("\n7\n", "\n8\n"),
        OTHER_SIGNER.sign(7, bytes(32)),
        NOTE + NOTE.rpartition("\n\n")[2] * 64,
        "x" * 70_000 + NOTE,
    ],
)
def test_other_notes_are_refused(note: str) -> None:
    with pytest.raises(CheckError):
        verify_note(note, [KEY])


@pytest.mark.parametrize(
    "note",
    [
        NOTE.replace("\n7\n", "\n07\n"),
        NOTE.replace("\n7\n", "\n-7\n"),
        NOTE.replace("\n7\n", "\n\n"),
        NOTE.replace("AAAA", "AAA"),
        NOTE.replace(SIGNER.origin, "other/log", 1),
    ],
)
def test_other_checkpoints_are_refused(note: str) -> None:
    with pytest.raises(CheckError):
        parse_head(note, SIGNER.origin)


@pytest.mark.parametrize(
    "text",
    ["", "name", VKEY[:-4], VKEY.replace("+", "-"), VKEY.replace("candor", "condor"), "+" + VKEY],
)
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(CheckError):
        parse_log_key(text)


def test_numbers_and_hashes_have_one_writing() -> None:
    assert parse_decimal("0") == 0
    for text in ("", "٣", "01", "1 ", str(2**63), "9" * 40):
        with pytest.raises(CheckError):
            parse_decimal(text)
    assert decode_base64("AB==") is None
    for value in ("AAAA", 7, None):
        with pytest.raises(CheckError):
            decode_hash(value)
