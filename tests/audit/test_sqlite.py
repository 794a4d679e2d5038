"""Unsafe pairs of SQLite version and journal are refused."""

from collections.abc import Callable
from pathlib import Path

import pysqlite3
import pytest
from sqlalchemy import Engine, text

from audit.errors import StoreUnavailableError, UnsafeStoreError
from audit.log import append
from audit.sqlite import IMMEDIATE, empty_wal, open_sqlite, settle, verify_safe_pair
from audit.store import open_store
from audit.verify import verify_store
from tests.audit.sample import SEALER, SIGNER, VKEY, make_publication_entry
from tests.faults.limits import small_files

SAFE = [
    ((3, 51, 3), "wal", "full"),
    ((3, 51, 3), "wal", "extra"),
    ((3, 53, 4), "wal", "full"),
    ((4, 0, 0), "wal", "full"),
    ((3, 7, 0), "delete", "extra"),
    ((3, 40, 1), "delete", "extra"),
    ((3, 51, 2), "delete", "extra"),
]
UNSAFE = [
    ((3, 7, 0), "wal", "full"),
    ((3, 40, 1), "wal", "extra"),
    ((3, 51, 2), "wal", "full"),
    ((3, 53, 4), "wal", "normal"),
    ((3, 53, 4), "wal", "off"),
    ((3, 53, 4), "delete", "full"),
    ((3, 53, 4), "truncate", "extra"),
    ((3, 53, 4), "memory", "extra"),
    ((3, 53, 4), "off", "extra"),
]


@pytest.mark.parametrize(("version", "journal_mode", "synchronous"), SAFE)
def test_a_safe_pair_is_taken(
    version: tuple[int, ...], journal_mode: str, synchronous: str
) -> None:
    verify_safe_pair(version, journal_mode, synchronous)


@pytest.mark.parametrize(("version", "journal_mode", "synchronous"), UNSAFE)
def test_an_unsafe_pair_is_refused(
    version: tuple[int, ...], journal_mode: str, synchronous: str
) -> None:
    with pytest.raises(UnsafeStoreError, match=r"3\."):
        verify_safe_pair(version, journal_mode, synchronous)


def test_the_linked_sqlite_is_outside_the_bad_range() -> None:
    assert pysqlite3.sqlite_version_info >= (3, 51, 3)


@pytest.mark.parametrize(
    ("journal_mode", "synchronous", "level"), [("wal", "full", 2), ("delete", "extra", 3)]
)
def test_connections_have_the_settings_asked_for(
    tmp_path: Path, journal_mode: str, synchronous: str, level: int
) -> None:
    engine = open_sqlite(
        f"sqlite:///{tmp_path / 'a.db'}",
        journal_mode=journal_mode,
        synchronous=synchronous,
        busy_timeout_ms=1234,
        wal_autocheckpoint_pages=77,
    )
    expected: dict[str, int | str] = {
        "journal_mode": journal_mode,
        "synchronous": level,
        "busy_timeout": 1234,
        "wal_autocheckpoint": 77,
        "foreign_keys": 1,
        "recursive_triggers": 1,
    }
    with engine.connect() as connection, connection.begin():
        for name, value in expected.items():
            assert connection.execute(text(f"PRAGMA {name}")).scalar() == value
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(UnsafeStoreError, match="memory"):
        open_sqlite(
            url,
            journal_mode="wal",
            synchronous="full",
            busy_timeout_ms=100,
            wal_autocheckpoint_pages=0,
        )


@pytest.mark.parametrize("is_empty", [True, False])
def test_no_database_is_made_beside_a_write_ahead_log(tmp_path: Path, *, is_empty: bool) -> None:
    """SQLite would remove the log, and what was recorded with it; put back, all is there."""
    path = tmp_path / "it's a log#1.db"
    store = open_store(f"sqlite:///{path}")
    append(store, [make_publication_entry(0)], SIGNER, SEALER)
    wal = Path(f"{path}-wal").read_bytes()
    assert wal
    path.rename(tmp_path / "away")
    with pytest.raises(StoreUnavailableError), store.reading():
        pass
    with pytest.raises(StoreUnavailableError), store.reading():
        pass
    assert not path.exists()
    if is_empty:
        path.touch()
        with pytest.raises(StoreUnavailableError), store.reading():
            pass
    with pytest.raises(StoreUnavailableError, match="its write-ahead log is there"):
        open_store(f"sqlite:///{path}")
    assert Path(f"{path}-wal").read_bytes() == wal
    (tmp_path / "away").replace(path)
    append(store, [make_publication_entry(1)], SIGNER, SEALER)
    assert verify_store(store, [VKEY], SEALER).tree_size == 2
    store.close()


def test_an_immediate_transaction_takes_the_write_lock(tmp_path: Path) -> None:
    engine = open_sqlite(
        f"sqlite:///{tmp_path / 'a.db'}",
        journal_mode="wal",
        synchronous="full",
        busy_timeout_ms=1,
        wal_autocheckpoint_pages=0,
    )
    with engine.connect() as first, engine.connect() as second:
        immediate = first.execution_options(**{IMMEDIATE: True})
        with immediate.begin():
            with second.begin():
                assert second.execute(text("SELECT 1")).scalar() == 1
            with pytest.raises(pysqlite3.OperationalError, match="locked"):
                second.connection.dbapi_connection.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr] # a DBAPI connection has no type
    engine.dispose()


@pytest.mark.parametrize("act", [empty_wal, settle])
def test_a_log_that_cannot_be_folded_is_an_error_of_ours(
    tmp_path: Path, act: Callable[[Engine], object]
) -> None:
    """The file may not grow; with room again the log is folded back."""
    engine = open_sqlite(
        f"sqlite:///{tmp_path / 'log.db'}",
        journal_mode="wal",
        synchronous="full",
        busy_timeout_ms=1000,
        wal_autocheckpoint_pages=0,
    )
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE one (x)"))
        connection.execute(text("INSERT INTO one VALUES (zeroblob(50000))"))
    with small_files(8192), pytest.raises(StoreUnavailableError, match="the store answered"):
        act(engine)
    act(engine)
    assert (tmp_path / "log.db").stat().st_size > 50_000
    engine.dispose()
