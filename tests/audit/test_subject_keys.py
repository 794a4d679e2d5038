"""A key for each subject: durable before use, gone when destroyed, wrapped by epoch."""

from collections.abc import Iterator
from pathlib import Path

import pysqlite3
import pytest

from audit.errors import (
    ErasedError,
    KeyEncryptionError,
    StoreUnavailableError,
    SubjectKeyMissingError,
)
from audit.key_encryption import KeyEncryption
from audit.ledger import Act, LedgerLine
from audit.subject_keys import STORE_NAME, SubjectKeyStore, open_subject_keys

FIRST, SECOND = bytes(range(32)), bytes(range(32, 64))
ADA, BOB = b"a" * 32, b"b" * 32


def open_keys(folder: Path, epochs: dict[int, bytes] | None = None) -> SubjectKeyStore:
    known = {1: FIRST} if epochs is None else epochs
    return open_subject_keys(folder, KeyEncryption(lambda: known))


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[SubjectKeyStore]:
    opened = open_keys(tmp_path)
    yield opened
    opened.close()


def line(act: Act, key_id: bytes, entry_id: str = "e-1") -> LedgerLine:
    return LedgerLine(act, entry_id, key_id.hex(), "2026-01-15T08:30:00.000000Z", "cli", "request")


def file_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(f"{STORE_NAME}*"))


def test_an_owner_has_one_key_in_every_process(tmp_path: Path, keys: SubjectKeyStore) -> None:
    keys.prepare([ADA, BOB, ADA])
    ada = keys.key_of(ADA)
    assert ada == keys.key_of(ADA) == keys.find(ada.key_id)
    assert keys.key_of(BOB) != ada
    other = open_keys(tmp_path)
    assert other.find(ada.key_id) == ada
    assert other.key_of(ADA) == ada
    assert (other.find_owner(ADA), other.find_owner(b"c" * 32)) == (ada.key_id, None)
    other.close()


def test_keys_lie_wrapped_in_the_file(tmp_path: Path, keys: SubjectKeyStore) -> None:
    key = keys.key_of(ADA)
    stored = file_bytes(tmp_path)
    assert key.key_id in stored
    assert key.key not in stored


def test_a_destroyed_key_leaves_no_bytes(tmp_path: Path, keys: SubjectKeyStore) -> None:
    """Neither id, owner nor wrapped key stay in the file or its write-ahead log."""
    keys.prepare(bytes([number]) * 32 for number in range(50))
    key = keys.key_of(ADA)
    raw = pysqlite3.connect(tmp_path / STORE_NAME)
    query = "SELECT wrapped FROM subject_key WHERE key_id = ?"
    (wrapped,) = raw.execute(query, (key.key_id,)).fetchone()
    raw.close()
    assert wrapped in file_bytes(tmp_path)
    keys.destroy([key.key_id])
    stored = file_bytes(tmp_path)
    assert [part in stored for part in (key.key_id, ADA, wrapped, key.key)] == [False] * 4
    assert keys.find_owner(b"\x07" * 32) is not None


def test_an_erasure_in_another_process_is_known_at_once(
    tmp_path: Path, keys: SubjectKeyStore
) -> None:
    """From the ledger's line on nothing opens or is sealed under the key, cached or not."""
    old = keys.key_of(ADA)
    other = open_keys(tmp_path)
    generation = keys.generation()
    other.ledger.append(line(Act.ERASE, old.key_id))
    assert keys.generation() != generation
    with pytest.raises(ErasedError):
        keys.find(old.key_id)
    # The row is still there; who comes back gets a new key all the same.
    new = keys.key_of(ADA)
    assert new.key_id != old.key_id
    other.destroy([old.key_id])
    keys.prepare([ADA])
    assert keys.key_of(ADA) == new
    other.close()


def test_a_key_that_is_simply_missing_is_no_erasure(keys: SubjectKeyStore) -> None:
    key = keys.key_of(ADA)
    keys.destroy([key.key_id])
    with pytest.raises(SubjectKeyMissingError):
        keys.find(key.key_id)


def test_known_destroyed_keys_are_removed_from_a_restored_copy(keys: SubjectKeyStore) -> None:
    key = keys.key_of(ADA)
    keys.destroy_known([b"\x00" * 16])
    assert keys.find_owner(ADA) == key.key_id
    keys.destroy_known([key.key_id])
    assert keys.find_owner(ADA) is None


def test_a_reader_that_hinders_is_named(tmp_path: Path, keys: SubjectKeyStore) -> None:
    key = keys.key_of(ADA)
    other = pysqlite3.connect(tmp_path / STORE_NAME, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM subject_key").fetchone()
    quick = open_keys(tmp_path)
    with quick._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=10")
        connection.rollback()
    with pytest.raises(StoreUnavailableError, match="another reader"):
        quick.destroy([key.key_id])
    other.close()
    quick.destroy([key.key_id])
    quick.close()


def test_rotation_wraps_every_key_anew(tmp_path: Path, keys: SubjectKeyStore) -> None:
    """After a rotation the former key-encryption key opens nothing, the new one everything."""
    ada = keys.key_of(ADA)
    both = open_keys(tmp_path, {1: FIRST, 2: SECOND})
    assert (both.epoch(), both.rotate(), both.epoch()) == (1, 1, 2)
    both.close()
    new = open_keys(tmp_path, {2: SECOND})
    assert new.find(ada.key_id) == ada
    new.close()
    with pytest.raises(KeyEncryptionError):
        open_keys(tmp_path, {1: FIRST})


def test_a_running_process_learns_of_a_rotation(tmp_path: Path) -> None:
    known = {1: FIRST}
    running = open_subject_keys(tmp_path, KeyEncryption(lambda: dict(known)))
    ada = running.key_of(ADA)
    known[2] = SECOND
    rotating = open_keys(tmp_path, known)
    rotating.rotate()
    del known[1]
    # What it makes now is wrapped under the new epoch, although it began under the old one.
    bob = running.key_of(BOB)
    running.close()
    rotating.close()
    reopened = open_keys(tmp_path, {2: SECOND})
    assert (reopened.find(bob.key_id), reopened.find(ada.key_id)) == (bob, ada)
    reopened.close()


def test_another_key_encryption_key_is_refused(tmp_path: Path, keys: SubjectKeyStore) -> None:
    keys.key_of(ADA)
    with pytest.raises(KeyEncryptionError, match="epoch 1"):
        open_keys(tmp_path, {1: SECOND})
    with pytest.raises(KeyEncryptionError, match="no key-encryption key of epoch 1"):
        open_keys(tmp_path, {2: SECOND})


def test_a_store_that_cannot_be_written_is_unavailable(
    tmp_path: Path, keys: SubjectKeyStore
) -> None:
    keys.key_of(ADA)
    raw = pysqlite3.connect(tmp_path / STORE_NAME, isolation_level=None)
    raw.execute("DROP TABLE subject_key")
    raw.close()
    with pytest.raises(StoreUnavailableError, match="no such table"):
        keys.key_of(BOB)
    with pytest.raises(StoreUnavailableError):
        keys.destroy([BOB])


def test_the_cache_is_bounded(
    tmp_path: Path, keys: SubjectKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tmp_path.exists()
    monkeypatch.setattr("audit.subject_keys._MOST_CACHED", 3)
    keys.prepare(bytes([number]) * 32 for number in range(10))
    assert len(keys._keys) == len(keys._ids) == 3
    assert keys.key_of(b"\x00" * 32) == keys.find(keys.key_of(b"\x00" * 32).key_id)
