"""A rolled-back or forked database is refused; a crash at any moment is no false alarm."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from audit.checkpoint import parse_checkpoint, verify_checkpoint
from audit.errors import CheckpointLostError, LogDamagedError, LogRolledBackError
from audit.kept import KeptCheckpoint
from audit.log import append
from audit.receipt import parse_receipt
from audit.verify import verify_store
from tests.audit.sample import (
    OTHER_SIGNER,
    SEALER,
    SIGNER,
    VKEY,
    Log,
    make_decision_entry,
    make_order,
    make_signer,
)

KILLS = 12


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def kept_size(log: Log) -> int:
    note = KeptCheckpoint(log.kept_path).read(SIGNER.origin)
    return 0 if note is None else parse_checkpoint(note).tree_size


def test_what_was_answered_is_kept_outside(log: Log) -> None:
    assert log.notary.verify(log.store) == 0
    for number in range(1, 6):
        [appended] = log.add(number)
        assert kept_size(log) == appended.tree_size == number
    assert log.notary.verify(log.store) == 5


def test_a_database_rolled_back_is_refused(log: Log) -> None:
    """Whatever size it is rolled back to, an empty database included."""
    copies = [log.copy_database()]
    for number in range(1, 8):
        log.add(number)
        copies.append(log.copy_database())
    for size, copy in enumerate(copies[:-1]):
        log.put_database(copy)
        with pytest.raises(LogRolledBackError, match=f"holds {size} entries, but 7 were signed"):
            log.notary.verify(log.store)
        with pytest.raises(LogRolledBackError):
            log.add(100)
    log.put_database(copies[-1])
    assert log.notary.verify(log.store) == 7
    log.add(8)


@pytest.mark.parametrize("more", [0, 1, 5])
def test_a_forked_database_is_refused(log: Log, more: int) -> None:
    """A database that grew otherwise from an older copy, to the same size or beyond."""
    log.add(1, 2, 3)
    copy = log.copy_database()
    log.add(4, 5)
    log.put_database(copy)
    for number in range(2 + more):
        append(log.store, [make_decision_entry(50 + number)], SIGNER, SEALER)
    assert verify_store(log.store, [VKEY], SEALER).ok
    with pytest.raises(LogRolledBackError, match="another history"):
        log.notary.verify(log.store)
    with pytest.raises(LogRolledBackError):
        log.add(9)


def test_a_checkpoint_that_lags_is_no_alarm(log: Log) -> None:
    """Killed between commit and keeping: the database is ahead, and goes on."""
    log.add(1, 2, 3)
    for number in range(10, 15):
        append(log.store, [make_decision_entry(number)], SIGNER, SEALER)
    assert kept_size(log) == 3
    assert log.notary.verify(log.store) == 8
    log.add(4)
    assert kept_size(log) == 9


def test_a_retry_keeps_what_was_not_answered(log: Log) -> None:
    """A retry of a decision that was recorded but not answered is answered only once it is kept."""
    entry = make_decision_entry(1, key="k-1")
    append(log.store, [entry], SIGNER, SEALER)
    assert kept_size(log) == 0
    [again] = log.append([make_decision_entry(2, key="k-1", order=make_order(1))])
    assert (again.repeated, again.entry_id) == (True, "d-1")
    assert kept_size(log) == 1


def test_a_missing_node_is_another_history(log: Log) -> None:
    log.add(1, 2, 3, 4, 5)
    append(log.store, [make_decision_entry(9)], SIGNER, SEALER)
    with log.store.raw() as connection:
        connection.exec_driver_sql("DROP TRIGGER tree_node_no_delete")
        connection.exec_driver_sql("DELETE FROM tree_node")
        connection.commit()
    with pytest.raises(LogRolledBackError):
        log.notary.verify(log.store)


def test_a_log_of_another_origin_is_refused(tmp_path: Path, log: Log) -> None:
    log.add(1)
    elsewhere = make_signer("candor.example/other", 7)
    log.kept_path.unlink()
    log.reopen()
    log.notary.keep(elsewhere.sign(1, bytes(32)))
    with pytest.raises(LogRolledBackError, match="another origin"):
        log.notary.verify(log.store)
    (tmp_path / "b").mkdir()
    other = Log(tmp_path / "b")
    append(other.store, [make_decision_entry(1)], elsewhere, SEALER)
    with pytest.raises(LogDamagedError):
        other.add(2)


def test_a_file_removed_while_running_is_missed(log: Log) -> None:
    log.add(1)
    log.kept_path.unlink()
    with pytest.raises(CheckpointLostError):
        log.add(2)


def test_nothing_is_answered_that_could_not_be_kept(log: Log) -> None:
    log.add(1)
    log.kept_path.unlink()
    log.kept_path.mkdir()
    with pytest.raises(Exception, match="kept checkpoint"):
        log.add(2)


def test_killed_at_any_moment_it_goes_on_without_alarm(tmp_path: Path) -> None:
    """Killed many times: all answered is kept, and the database always continues the kept."""
    chance = random.Random(4)  # noqa: S311 - a draw, not a secret
    answered: set[str] = set()
    for kill in range(KILLS):
        answered |= killed_writer(tmp_path, kill * 100_000, chance.randint(1, 40))
        log = Log(tmp_path)
        size = log.notary.verify(log.store)
        assert len(answered) <= kept_size(log) <= size
        with log.store.reading() as reading:
            for entry_id in answered:
                assert reading.record(entry_id).facts is not None
    log = Log(tmp_path)
    assert verify_store(log.store, [VKEY], SEALER).ok
    [last] = log.add(10_000_000)
    verify_checkpoint(parse_receipt(last.receipt).checkpoint_note, VKEY)


def killed_writer(folder: Path, first: int, answers: int) -> set[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.audit.notary_writer", str(folder), str(first)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ,
    ) as process:
        assert process.stdout is not None
        seen = {process.stdout.readline().strip() for _ in range(answers)}
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    seen |= set(rest.split("\n")[:-1])
    assert "" not in seen
    return seen


def test_the_other_key_does_not_matter_to_what_is_kept(log: Log) -> None:
    log.add(1)
    log.rotate(1, OTHER_SIGNER)
    log.add(2)
    copy = log.copy_database()
    log.add(3)
    log.put_database(copy)
    with pytest.raises(LogRolledBackError):
        log.add(4)
