"""After a loss the log goes on under another name, and says what is lost."""

from pathlib import Path

import orjson
import pytest

from audit.checkpoint import parse_checkpoint, verify_checkpoint
from audit.errors import (
    CheckpointInvalidError,
    EntryExistsError,
    LogDamagedError,
    LogRolledBackError,
    NothingToRecoverError,
)
from audit.kept import KeptCheckpoint
from audit.log import Appended, append
from audit.receipt import verify_receipt
from audit.recovery import Loss, _Recovering, assess_loss, recover
from audit.rotation import KeyRange, range_of
from audit.verify import verify_store
from tests.audit.sample import (
    OTHER_SIGNER,
    SEALER,
    SIGNER,
    START,
    VKEY,
    Log,
    make_decision_entry,
    make_publication_entry,
    make_signer,
)

FRESH = make_signer("candor.example/log/fresh", 21)
FRESHER = make_signer("candor.example/log/fresher", 22)


def recover_log(log: Log, number: int = 1) -> tuple[Loss, Appended]:
    signer = FRESH if number == 1 else FRESHER
    log.signers[signer.verifier_key] = signer
    return recover(
        log.store,
        log.notary,
        signer,
        SEALER,
        entry_id=f"recovered-{number}",
        recorded_at=START,
        facts={"actor": "test"},
    )


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


@pytest.fixture
def lost(log: Log) -> list[Appended]:
    """Five entries, of which the database has lost the last two; returns them all."""
    answered = log.add(1, 2, 3)
    copy = log.copy_database()
    answered += [*log.add(4), *log.add(5)]
    log.put_database(copy)
    return answered


def test_the_first_entry_of_the_new_origin_names_the_lost_range(
    log: Log, lost: list[Appended]
) -> None:
    loss, appended = recover_log(log)
    assert (loss.found_size, loss.signed_size) == (3, 5)
    header = orjson.loads(appended.leaf)
    assert header["type"] == "log-recovered"
    assert (header["found_size"], header["signed_size"]) == (3, 5)
    assert verify_checkpoint(header["found"], VKEY).tree_size == 3
    assert verify_checkpoint(header["kept"], VKEY).tree_size == 5
    assert (header["old_key"], header["new_key"]) == (VKEY, FRESH.verifier_key)
    assert verify_receipt(appended.receipt, appended.leaf, FRESH.verifier_key).tree_size == 4
    assert lost[-1].tree_size == 5


def test_the_log_goes_on_and_everything_verifies(log: Log, lost: list[Appended]) -> None:
    """Old receipts, those of lost entries too, by the old key; all that is stored by the new."""
    recover_log(log)
    [after] = log.add(6)
    assert verify_receipt(after.receipt, after.leaf, FRESH.verifier_key).origin == FRESH.origin
    for answered in lost:
        assert verify_receipt(answered.receipt, answered.leaf, VKEY).tree_size <= 5
    assert verify_store(log.store, [FRESH.verifier_key], SEALER).problems == ()
    [problem] = verify_store(log.store, [VKEY], SEALER).problems
    assert problem.code == "log-key"
    with log.store.reading() as reading:
        ranges = log.notary.ranges(reading)
    assert ranges == [
        KeyRange(VKEY, 0, 5, follows=False),
        KeyRange(FRESH.verifier_key, 4, None, follows=False),
    ]
    assert range_of(ranges, 3).vkey == VKEY
    assert log.notary.verify(log.store) == 5


def test_no_smaller_tree_is_ever_signed_again(log: Log, lost: list[Appended]) -> None:
    recover_log(log)
    log.add(6, 7, 8)
    with log.store.reading() as reading:
        notes = [reading.checkpoint_at(size) for size in (3, 4, 7)]
    assert [parse_checkpoint(note).origin for note in notes] == [
        SIGNER.origin,
        FRESH.origin,
        FRESH.origin,
    ]
    assert max(one.tree_size for one in lost) == 5


@pytest.mark.usefixtures("lost")
def test_a_recovery_killed_before_it_was_kept_is_no_alarm(log: Log) -> None:
    """The entry is committed, the file still holds the old origin: the entry names just that."""
    before = log.kept_path.read_bytes()
    recover_log(log)
    log.kept_path.write_bytes(before)
    log.reopen()
    assert log.notary.verify(log.store) == 4
    log.add(6)
    kept = KeptCheckpoint(log.kept_path).read(FRESH.origin)
    assert kept is not None
    assert parse_checkpoint(kept).tree_size == 5
    assert log.notary.verify(log.store) == 5


@pytest.mark.usefixtures("lost")
def test_a_database_from_before_the_recovery_is_refused(log: Log) -> None:
    copy = log.copy_database()
    recover_log(log)
    log.add(6)
    log.put_database(copy)
    with pytest.raises(LogRolledBackError, match="another origin"):
        log.add(7)
    loss, appended = recover_log(log, 2)
    assert (loss.found_size, loss.signed_size) == (3, 5)
    assert verify_receipt(appended.receipt, appended.leaf, FRESHER.verifier_key)
    log.add(8)


@pytest.mark.usefixtures("lost")
def test_a_rotated_and_recovered_log_is_lost_and_recovered_again(log: Log) -> None:
    recover_log(log)
    log.add(6)
    copy = log.copy_database()
    log.add(7)
    log.put_database(copy)
    loss, _ = recover_log(log, 2)
    assert loss.old_key == FRESH.verifier_key
    assert verify_store(log.store, [FRESHER.verifier_key], SEALER).problems == ()


def test_a_database_lost_altogether_is_recovered(log: Log) -> None:
    empty = log.copy_database()
    log.add(1, 2)
    log.put_database(empty)
    loss, appended = recover_log(log)
    assert (loss.found_size, loss.signed_size, loss.found_note) == (0, 2, None)
    assert appended.leaf_index == 0
    log.add(1, 2)
    assert verify_store(log.store, [FRESH.verifier_key], SEALER).ok


def test_a_checkpoint_lost_for_good_is_recovered(log: Log) -> None:
    log.add(1, 2)
    log.kept_path.write_bytes(b"")
    log.reopen()
    loss, _ = recover_log(log)
    assert (loss.kept_note, loss.signed_size) == (None, 2)
    log.add(3)


def test_a_forked_database_is_recovered(log: Log) -> None:
    log.add(1)
    copy = log.copy_database()
    log.add(2)
    log.put_database(copy)
    append(log.store, [make_publication_entry(1)], SIGNER, SEALER)
    loss, _ = recover_log(log)
    assert (loss.found_size, loss.signed_size) == (2, 2)
    assert "another history" in loss.reason
    log.add(3)
    assert verify_store(log.store, [FRESH.verifier_key], SEALER).ok


def test_a_whole_log_is_not_recovered(log: Log) -> None:
    log.add(1)
    with pytest.raises(NothingToRecoverError):
        recover_log(log)
    assert log.notary.verify(log.store) == 1


@pytest.mark.usefixtures("lost")
def test_a_log_damaged_otherwise_is_not_recovered(log: Log) -> None:
    with log.store.raw() as connection:
        connection.exec_driver_sql("DROP TRIGGER checkpoint_no_update")
        connection.exec_driver_sql("UPDATE checkpoint SET note = 'x'")
        connection.commit()
    with pytest.raises(CheckpointInvalidError):
        recover_log(log)


@pytest.mark.usefixtures("lost")
def test_a_log_that_changed_in_between_is_not_recovered(log: Log) -> None:
    loss = assess_loss(log.store, log.notary)
    append(log.store, [make_decision_entry(77)], SIGNER, SEALER)
    recovering = _Recovering(loss, OTHER_SIGNER, log.notary.kept)
    with pytest.raises(NothingToRecoverError):
        append(log.store, [make_publication_entry(1)], recovering, SEALER)


@pytest.mark.usefixtures("lost")
def test_an_entry_that_is_refused_recovers_nothing(log: Log) -> None:
    with pytest.raises(EntryExistsError):
        recover(log.store, log.notary, FRESH, SEALER, entry_id="d-1", recorded_at=START, facts={})
    with pytest.raises(LogDamagedError):
        log.add(9)
