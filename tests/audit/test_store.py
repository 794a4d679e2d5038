"""Transactions of the store: all or nothing, one snapshot, errors of this package."""

from pathlib import Path

import pysqlite3
import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from audit.errors import EntryExistsError, StoreUnavailableError, UnsafeStoreError
from audit.log import append
from audit.store import open_store, own_errors
from audit.tables import CheckpointRow
from tests.audit.sample import SEALER, SIGNER, make_publication_entry, open_sample_store
from tests.databases import SampleDatabase


@pytest.mark.both_databases
def test_a_reading_does_not_see_what_is_written_meanwhile(database: SampleDatabase) -> None:
    """A reading is one snapshot from its first read to its end."""
    store = database.open()
    append(store, [make_publication_entry(0)], SIGNER, SEALER)
    with store.reading() as reading:
        assert reading.tree_size() == 1
        append(store, [make_publication_entry(1)], SIGNER, SEALER)
        assert reading.tree_size() == 1
    with store.reading() as reading:
        assert reading.tree_size() == 2
    store.close()


@pytest.mark.both_databases
def test_a_failed_writing_leaves_nothing(database: SampleDatabase) -> None:
    store = database.open()
    half = [{"tree_size": 1, "note": "x"}, {"tree_size": 1, "note": "x"}]
    with pytest.raises(EntryExistsError), store.writing() as writing:
        writing.insert(CheckpointRow, half)
    with store.reading() as reading:
        assert reading.head() is None
    store.close()


def test_opening_again_keeps_the_log_and_restores_dropped_triggers(tmp_path: Path) -> None:
    """Triggers that somebody dropped are there again after the next start."""
    store = open_sample_store(tmp_path)
    append(store, [make_publication_entry(0)], SIGNER, SEALER)
    store.close()
    connection = pysqlite3.connect(tmp_path / "log.db", isolation_level=None)
    connection.execute("DROP TRIGGER log_entry_no_update")
    open_sample_store(tmp_path).close()
    with pytest.raises(pysqlite3.IntegrityError, match="immutable"):
        connection.execute("UPDATE log_entry SET leaf = x'00'")
    connection.close()


def test_unsafe_settings_are_refused_before_the_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(UnsafeStoreError):
        open_sample_store(tmp_path, synchronous="normal")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError):
        open_store(f"sqlite:///{tmp_path / 'missing' / 'log.db'}")


def test_raw_texts_do_not_leak_into_later_readings(tmp_path: Path) -> None:
    store = open_sample_store(tmp_path)
    with store.raw() as connection:
        raw = connection.execute(text("SELECT CAST(x'ff41' AS TEXT)")).scalar()
    assert raw == "\udcffA"
    with pytest.raises(StoreUnavailableError, match="UTF-8"), store.reading() as reading:
        reading._connection.execute(text("SELECT CAST(x'ff41' AS TEXT)")).scalar()
    store.close()


def test_waiting_too_long_for_a_connection_is_unavailability() -> None:
    with pytest.raises(StoreUnavailableError, match="too many"), own_errors():
        raise PoolTimeoutError
