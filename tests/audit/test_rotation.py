"""The log says which key signs it; a checkpoint counts only by the key of its range."""

from pathlib import Path

import pytest

from audit.checkpoint import verify_checkpoint
from audit.errors import (
    CheckpointInvalidError,
    LogKeyChangedError,
    RecordMalformedError,
    VerifierKeyInvalidError,
)
from audit.receipt import verify_receipt
from audit.records import Entry, EntryType
from audit.rotation import (
    KeyRange,
    build_rotation_entry,
    parse_key_change,
    range_of,
    read_key_changes,
    trusted_ranges,
)
from audit.verify import verify_store
from models.domain import Json
from tests.audit.sample import OTHER_SIGNER, SEALER, SIGNER, START, VKEY, Log, make_signer

THIRD = make_signer(SIGNER.origin, 11)
NEXT = OTHER_SIGNER.verifier_key


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path)
    log.add(1, 2)
    log.rotate(1, OTHER_SIGNER)
    log.add(3)
    log.rotate(2, THIRD)
    log.add(4, 5)
    return log


def test_the_entry_is_signed_by_the_old_key_and_the_next_checkpoint_by_the_new(
    tmp_path: Path,
) -> None:
    log = Log(tmp_path)
    log.add(1, 2)
    rotation = log.rotate(1, OTHER_SIGNER)
    assert verify_receipt(rotation.receipt, rotation.leaf, VKEY).tree_size == 3
    [after] = log.add(3)
    assert verify_receipt(after.receipt, after.leaf, NEXT).tree_size == 4
    with pytest.raises(CheckpointInvalidError):
        verify_receipt(after.receipt, after.leaf, VKEY)
    change = parse_key_change(rotation.leaf, 2, 3)
    assert change is not None
    assert (change.old_key, change.new_key, change.is_recovery) == (VKEY, NEXT, False)


def test_all_keys_are_listed_with_the_sizes_they_signed(log: Log) -> None:
    with log.store.reading() as reading:
        assert log.notary.ranges(reading) == [
            KeyRange(VKEY, 0, 3, follows=False),
            KeyRange(NEXT, 4, 5, follows=True),
            KeyRange(THIRD.verifier_key, 6, None, follows=True),
        ]
        for size in (2, 3, 4, 5, 7):
            vkey = range_of(log.notary.ranges(reading), size).vkey
            assert vkey is not None
            verify_checkpoint(reading.checkpoint_at(size), vkey)


def test_any_of_the_keys_vouches_for_the_whole_log(log: Log) -> None:
    for vkey in log.signers:
        assert verify_store(log.store, [vkey], SEALER).problems == ()
    stranger = make_signer(SIGNER.origin, 12).verifier_key
    [problem] = verify_store(log.store, [stranger], SEALER).problems
    assert problem.code == "log-key"


def test_a_checkpoint_by_a_key_outside_its_range_is_refused(log: Log) -> None:
    """The old key, stolen after the rotation, signs nothing that counts; nor the new one before."""
    with log.store.reading() as reading:
        notes = {size: reading.checkpoint_at(size) for size in (2, 7)}
    for size, signer in ((2, THIRD), (7, SIGNER)):
        root_hash = verify_checkpoint(notes[size], range_key(log, size)).root_hash
        replace_checkpoint(log, size, signer.sign(size, root_hash))
        problems = verify_store(log.store, list(log.signers), SEALER).problems
        assert [problem.code for problem in problems] == ["checkpoint-invalid"]
        replace_checkpoint(log, size, notes[size])
    assert verify_store(log.store, [VKEY], SEALER).ok


def range_key(log: Log, size: int) -> str:
    with log.store.reading() as reading:
        return range_of(log.notary.ranges(reading), size).vkey or ""


def replace_checkpoint(log: Log, size: int, note: str) -> None:
    with log.store.raw() as connection:
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS checkpoint_no_update")
        query = "UPDATE checkpoint SET note = ? WHERE tree_size = ?"
        connection.exec_driver_sql(query, (note, size))
        connection.commit()


def test_another_process_follows_a_rotation(tmp_path: Path) -> None:
    """A service that runs on learns of the new key from the log, before it signs again."""
    service, command = Log(tmp_path), Log(tmp_path)
    service.add(1)
    command.signers = service.signers
    command.reopen()
    service.signers[NEXT] = OTHER_SIGNER
    command.rotate(1, OTHER_SIGNER)
    [appended] = service.add(2)
    assert verify_receipt(appended.receipt, appended.leaf, NEXT).tree_size == 3


def test_a_key_that_is_missing_stops_the_log_and_not_its_readers(log: Log) -> None:
    del log.signers[THIRD.verifier_key]
    log.reopen()
    with pytest.raises(KeyError):
        log.add(9)
    with log.store.reading() as reading:
        assert log.notary.keyring.present_key(reading) == THIRD.verifier_key
    assert log.notary.verify(log.store) == 7


def rotation(number: int, old: str, new: str) -> Entry:
    return build_rotation_entry(f"x-{number}", START, old, new, {})


def test_a_rotation_has_to_follow_from_the_key_in_use(log: Log) -> None:
    present, later = THIRD.verifier_key, make_signer(SIGNER.origin, 13).verifier_key
    stale = [rotation(1, NEXT, later)]
    twice = [rotation(1, present, later), rotation(2, present, NEXT)]
    header: dict[str, Json] = {"old_key": present, "new_key": later}
    invented = [Entry("x-1", EntryType.LOG_RECOVERED, START, header)]
    for entries in (stale, twice, invented):
        with pytest.raises(LogKeyChangedError):
            log.append(list(entries))
    assert log.notary.verify(log.store) == 7


def test_a_rotation_stays_within_its_origin() -> None:
    elsewhere = make_signer("candor.example/other", 8).verifier_key
    for new in (VKEY, elsewhere):
        with pytest.raises(LogKeyChangedError):
            rotation(1, VKEY, new)
    with pytest.raises(VerifierKeyInvalidError):
        rotation(1, VKEY, "no key")


@pytest.mark.parametrize(
    "header",
    [
        b'{"type": "log-key-rotated"}',
        b'{"type": "log-key-rotated", "old_key": 1, "new_key": "a"}',
        b'{"type": "log-recovered", "new_key": "a", "signed_size": "1"}',
        b'{"type": "log-recovered", "new_key": "a", "kept": 1}',
    ],
)
def test_a_change_of_the_key_in_another_form_is_named(header: bytes) -> None:
    with pytest.raises(RecordMalformedError):
        parse_key_change(header, 0, 1)
    assert parse_key_change(b'{"type": "decision"}', 0, 1) is None
    assert parse_key_change(b"[]", 0, 1) is None


def test_a_tampered_change_of_the_key_is_named(log: Log) -> None:
    with log.store.reading() as reading:
        place = read_key_changes(reading)[0].leaf_index
    with log.store.raw() as connection:
        connection.exec_driver_sql("DROP TRIGGER log_entry_no_update")
        leaf = b'{"type": "log-key-rotated", "new_key": 5}'
        query = "UPDATE log_entry SET leaf = ? WHERE leaf_index = ?"
        connection.exec_driver_sql(query, (leaf, place))
        connection.commit()
    problems = verify_store(log.store, [VKEY], SEALER).problems
    assert (place, "log-key") in {(problem.leaf_index, problem.code) for problem in problems}


def test_trust_does_not_cross_a_recovery_forwards() -> None:
    ranges = [
        KeyRange("a", 0, 9, follows=False),
        KeyRange("b", 5, 7, follows=False),
        KeyRange("c", 8, None, follows=True),
    ]
    assert trusted_ranges(ranges, ["c"])
    assert trusted_ranges(ranges, ["b"])
    assert not trusted_ranges(ranges, ["a"])
    assert not trusted_ranges(ranges, [])
