"""Cosignatures are kept if they hold, over our own checkpoints, of witnesses that we know."""

from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from audit.checkpoint import verify_checkpoint
from audit.cosignature import (
    add_cosignatures,
    cosigned_note,
    cosigned_receipt,
    newest_cosigned,
    parse_witness_key,
    verify_cosignatures,
)
from audit.errors import (
    CosignatureInvalidError,
    RecordNotFoundError,
    VerifierKeyInvalidError,
)
from audit.receipt import parse_receipt, verify_receipt
from audit.verify import verify_store
from tests.audit.sample import OTHER_SIGNER, SEALER, SIGNER, VKEY, Log
from tests.audit.witness import Witness

FIRST, SECOND, STRANGER = (Witness(f"witness.example/w{n}", 30 + n) for n in (1, 2, 3))
KNOWN = [parse_witness_key(one.vkey) for one in (FIRST, SECOND)]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path)
    log.add(1, 2)
    log.add(3)
    return log


def head(log: Log, size: int = 3) -> str:
    with log.store.reading() as reading:
        return reading.checkpoint_at(size)


def test_a_cosignature_is_kept_and_served(log: Log) -> None:
    note = head(log)
    with log.store.reading() as reading, pytest.raises(RecordNotFoundError):
        newest_cosigned(reading)
    [kept] = add_cosignatures(log.store, note + FIRST.line(note) + STRANGER.line(note), KNOWN)
    assert (kept.witness, kept.cosigned_at_seconds) == (FIRST.name, 1_790_000_000)
    add_cosignatures(log.store, note + SECOND.line(note), KNOWN)
    with log.store.reading() as reading:
        served = newest_cosigned(reading)
        assert served == cosigned_note(reading, 3) == note + FIRST.line(note) + SECOND.line(note)
        assert cosigned_note(reading, 2) == head(log, 2)
    assert verify_checkpoint(served, VKEY).tree_size == 3
    assert [one.witness for one in verify_cosignatures(served, KNOWN)] == [FIRST.name, SECOND.name]
    assert verify_store(log.store, [VKEY], SEALER).ok


def test_the_first_of_a_witness_stands(log: Log) -> None:
    note = head(log)
    for at_seconds in (100, 200, 100):
        add_cosignatures(log.store, note + FIRST.line(note, at_seconds), KNOWN)
    with log.store.reading() as reading:
        assert newest_cosigned(reading) == note + FIRST.line(note, 100)
    with log.store.raw() as connection, pytest.raises(Exception, match="immutable"):
        connection.exec_driver_sql("UPDATE cosignature SET line = ''")


def test_the_logs_own_line_may_be_left_out(log: Log) -> None:
    note = head(log)
    bare = note.split("\n\n")[0] + "\n\n" + FIRST.line(note)
    assert len(add_cosignatures(log.store, bare, KNOWN)) == 1


def test_a_receipt_carries_them(log: Log) -> None:
    """Each entry up to the cosigned checkpoint, whatever checkpoint it was answered with."""
    with pytest.raises(RecordNotFoundError):
        cosigned_receipt(log.store, "d-1")
    note = head(log)
    add_cosignatures(log.store, note + FIRST.line(note), KNOWN)
    log.add(4)
    for number in (1, 2, 3):
        receipt = cosigned_receipt(log.store, f"d-{number}")
        with log.store.reading() as reading:
            leaf = reading.record(f"d-{number}").leaf
        assert verify_receipt(receipt, leaf, VKEY).tree_size == 3
        assert len(verify_cosignatures(parse_receipt(receipt).checkpoint_note, KNOWN)) == 1
    with pytest.raises(RecordNotFoundError, match="covers"):
        cosigned_receipt(log.store, "d-4")


def altered(line: str, place: int) -> str:
    start, _, encoded = line.rstrip("\n").rpartition(" ")
    blob = bytearray(b64decode(encoded))
    blob[place] ^= 1
    return f"{start} {b64encode(bytes(blob)).decode()}\n"


@pytest.mark.parametrize("place", [4, 11, 12, 40, 75])
def test_a_cosignature_altered_anywhere_is_refused(log: Log, place: int) -> None:
    """The time is signed too."""
    note = head(log)
    with pytest.raises(CosignatureInvalidError, match=r"fails|names no time"):
        add_cosignatures(log.store, note + altered(FIRST.line(note), place), KNOWN)


def test_another_length_is_refused(log: Log) -> None:
    note = head(log)
    start, _, encoded = FIRST.line(note).rstrip("\n").rpartition(" ")
    short = f"{start} {b64encode(b64decode(encoded)[:-1]).decode()}\n"
    with pytest.raises(CosignatureInvalidError, match="72 bytes"):
        add_cosignatures(log.store, note + short, KNOWN)


def test_what_is_refused(log: Log) -> None:
    note = head(log)
    line = FIRST.line(note)
    cases = {
        "no cosignature": note + STRANGER.line(note),
        "no cosignature ": note,
        "two cosignatures": note + line + FIRST.line(note, 5),
        "names no time": note + FIRST.line(note, 0),
        "names no time ": note + FIRST.line(note, 2**63),
        "signatures after a blank line": "nonsense",
        "fails": note + FIRST.line(head(log, 2)),
    }
    for why, text in cases.items():
        with pytest.raises(CosignatureInvalidError, match=why.strip()):
            add_cosignatures(log.store, text, KNOWN)
    with log.store.reading() as reading:
        assert reading.newest_cosigned_size() is None


def test_a_checkpoint_of_another_tree_is_refused(log: Log) -> None:
    """A witness that saw a fork is not shown as one that saw us; nor is one of a larger tree."""
    fork = OTHER_SIGNER.sign(3, bytes(32))
    with pytest.raises(CosignatureInvalidError, match="not the log's"):
        add_cosignatures(log.store, fork + FIRST.line(fork), KNOWN)
    beyond = SIGNER.sign(4, bytes(32))
    with pytest.raises(RecordNotFoundError):
        add_cosignatures(log.store, beyond + FIRST.line(beyond), KNOWN)


def test_a_logs_key_is_no_witnesses_key() -> None:
    with pytest.raises(VerifierKeyInvalidError):
        parse_witness_key(VKEY)
    assert parse_witness_key(FIRST.vkey).name == FIRST.name
