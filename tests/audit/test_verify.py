"""Verification finds every change and names the entry; a clean store never alarms."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysqlite3
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit.log import Appended, append
from audit.receipt import verify_receipt
from audit.seal import Sealer
from audit.store import Store, open_store
from audit.verify import Report, verify_store
from tests.audit.sample import (
    OTHER_SIGNER,
    SEALER,
    SIGNER,
    UNHURRIED,
    VKEY,
    DerivedKeys,
    make_decision_entry,
    make_order,
    make_override_entry,
    make_publication_entry,
    open_sample_store,
)
from tests.databases import SampleDatabase

COLUMNS = {
    "log_entry": ["leaf_index", "entry_id", "leaf", "leaf_hash", "tree_size", "month"],
    "facts_part": ["leaf_index", "body", "month"],
    "personal_part": ["leaf_index", "sealed", "month"],
    "tree_node": ["level", "node_index", "hash"],
    "checkpoint": ["tree_size", "note"],
    "entry_lookup": [
        *["leaf_index", "entry_id", "entry_type", "kind", "outcome", "automated"],
        *["recorded_at", "order_hash", "subject_hash", "about", "chain_id"],
    ],
    "idempotency": ["key_hash", "leaf_index", "body_hash"],
}
ORDER = {"tree_node": "level, node_index", "checkpoint": "tree_size"}
CHANGES = ["flip", "null", "other type", "swap", "longer"]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of 14 entries in four batches, in one file, without triggers."""
    folder = tmp_path_factory.mktemp("clean")
    store = open_sample_store(folder)
    append(store, [make_publication_entry(0)], SIGNER, SEALER)
    append(store, [make_decision_entry(n, key=f"k{n}") for n in range(7)], SIGNER, SEALER)
    append(store, [make_override_entry(n, f"d-{n}") for n in range(2)], SIGNER, SEALER)
    append(store, [make_decision_entry(n) for n in range(7, 11)], SIGNER, SEALER)
    store.close()
    connection = pysqlite3.connect(folder / "log.db", isolation_level=None)
    drop_triggers(connection)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return folder / "log.db"


@pytest.fixture(scope="module")
def loose(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the clean store in tables without keys, types or constraints."""
    path = tmp_path_factory.mktemp("loose") / "log.db"
    shutil.copy(clean, path)
    connection = pysqlite3.connect(path, isolation_level=None)
    for table, columns in COLUMNS.items():
        connection.execute(f"ALTER TABLE {table} RENAME TO was_{table}")
        connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        connection.execute(f"INSERT INTO {table} SELECT {', '.join(columns)} FROM was_{table}")  # noqa: S608 - constants above
    connection.execute("PRAGMA foreign_keys=OFF")
    for table in COLUMNS:
        connection.execute(f"DROP TABLE was_{table}")
    connection.close()
    return path


def drop_triggers(connection: Any) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in rows:
        connection.execute(f"DROP TRIGGER {name}")


def verify_copy(path: Path, sealer: Sealer | None = SEALER) -> Report:
    store = open_store(f"sqlite:///{path}", journal_mode="delete", synchronous="extra")
    try:
        return verify_store(store, [VKEY], sealer)
    finally:
        store.close()


def change_value(value: Any, how: str) -> Any:  # noqa: ANN401 - any column value
    if how == "null":
        return None
    if how == "other type":
        if isinstance(value, bytes):
            return value.decode("latin-1")
        return value.encode() if isinstance(value, str) else f"{value}!"
    if isinstance(value, int):
        return value + (1 if how == "flip" else 1000)
    if isinstance(value, str):
        return value + "x" if how == "longer" or not value else chr(ord(value[0]) ^ 1) + value[1:]
    raw = value or b"\x00"
    return raw + b"\x00" if how == "longer" else raw[:-1] + bytes([raw[-1] ^ 1])


def place_of(table: str, row: dict[str, Any]) -> int:
    """Return the leaf index by which a problem with this row is named."""
    if table == "tree_node":
        return int(row["node_index"]) << int(row["level"])
    return int(row["tree_size"]) - 1 if table == "checkpoint" else int(row["leaf_index"])


def read_rows(connection: Any, table: str) -> list[dict[str, Any]]:  # noqa: ANN401 - a DBAPI connection has no type
    order = ORDER.get(table, "leaf_index")
    names = ["rowid", *COLUMNS[table]]
    query = f"SELECT {', '.join(names)} FROM {table} ORDER BY {order}"  # noqa: S608 - constants above
    return [dict(zip(names, row, strict=True)) for row in connection.execute(query)]


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, names in COLUMNS.items() for column in names]
)
def test_a_change_to_any_value_is_found_and_named(
    loose: Path, tmp_path: Path, table: str, column: str
) -> None:
    """Whatever is done to a value of any audit table, verify finds it and names the entry."""
    connection = pysqlite3.connect(loose)
    rows = read_rows(connection, table)
    connection.close()
    chosen = [rows[0], rows[len(rows) // 2], rows[-1]]
    tried = 0
    for how in CHANGES:
        for row in chosen:
            others = [other[column] for other in rows if other[column] != row[column]]
            old = row[column]
            if how == "swap":
                new = others[0] if others else change_value(old, "flip")
            elif old is None:
                new = "x" if how == "flip" else b"\x00"
            else:
                new = change_value(old, how)
            if new == old:
                continue
            path = tmp_path / "log.db"
            shutil.copy(loose, path)
            connection = pysqlite3.connect(path, isolation_level=None)
            update = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"  # noqa: S608 - constants above
            connection.execute(update, (new, row["rowid"]))
            connection.close()
            report = verify_copy(path)
            named = {problem.leaf_index: problem.entry_id for problem in report.problems}
            assert not report.ok, (how, row)
            assert place_of(table, row) in named, (how, row, report.problems)
            tried += 1
    assert tried >= 10


@pytest.mark.parametrize("table", COLUMNS)
def test_a_missing_row_is_found_and_named(loose: Path, tmp_path: Path, table: str) -> None:
    """Deleting any row of any audit table is found, and the entry named."""
    connection = pysqlite3.connect(loose)
    rows = read_rows(connection, table)
    connection.close()
    for row in rows:
        path = tmp_path / "log.db"
        shutil.copy(loose, path)
        connection = pysqlite3.connect(path, isolation_level=None)
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row["rowid"],))  # noqa: S608 - constants above
        connection.close()
        report = verify_copy(path)
        assert place_of(table, row) in {problem.leaf_index for problem in report.problems}, row
        assert any(problem.entry_id for problem in report.problems)


EXTRA_ROWS = {
    "a facts part without entry": ("facts_part", (99, b"{}", "2026-01")),
    "a facts part where none was": ("facts_part", (0, b"{}", "always")),
    "a personal part without entry": ("personal_part", (99, b"x", "2026-01")),
    "a personal part where none was": ("personal_part", (0, b"x", "always")),
    "a node outside the tree": ("tree_node", (1, 40, bytes(32))),
    "a node of an impossible level": ("tree_node", (70, 0, bytes(32))),
    "a node of level 0": ("tree_node", (0, 0, bytes(32))),
    "a node below the tree": ("tree_node", (1, -1, bytes(32))),
    "a node between two": ("tree_node", (1, 0.5, bytes(32))),
    "a node named by text": ("tree_node", ("a", "b", bytes(32))),
    "a node between two levels": ("tree_node", (1.5, 0, bytes(32))),
    "a checkpoint between batches": ("checkpoint", (3, "x")),
    "a checkpoint of the future": ("checkpoint", (99, "x")),
    "a checkpoint of nothing": ("checkpoint", (0, "x")),
    "a look-up row without entry": (
        "entry_lookup",
        (99, "d-99", "decision", None, None, None, "2026", None, None, None, None),
    ),
    "an Idempotency-Key of an entry without one": ("idempotency", (b"k", 0, b"b")),
    "an Idempotency-Key without entry": ("idempotency", (b"k", 99, b"b")),
    "an entry behind the end": ("log_entry", (14, "d-14", b"{}", bytes(32), 15, "always")),
    "an entry far behind the end": ("log_entry", (10**9, "d-14", b"{}", bytes(32), 15, "always")),
}


@pytest.mark.parametrize("desc", EXTRA_ROWS)
def test_an_extra_row_is_found(clean: Path, tmp_path: Path, desc: str) -> None:
    """A row that nothing calls for is found, in every audit table."""
    table, values = EXTRA_ROWS[desc]
    path = tmp_path / "log.db"
    shutil.copy(clean, path)
    connection = pysqlite3.connect(path, isolation_level=None)
    marks = ", ".join("?" * len(values))
    names = ", ".join(COLUMNS[table])
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)  # noqa: S608 - constants above
    connection.close()
    assert not verify_copy(path).ok


@pytest.mark.parametrize("table", [table for table in COLUMNS if table != "tree_node"])
def test_two_rows_that_change_places_are_found(clean: Path, tmp_path: Path, table: str) -> None:
    """Exchanging two whole rows is found, in the tables as they really are."""
    key = COLUMNS[table][0] if table != "idempotency" else "leaf_index"
    path = tmp_path / "log.db"
    shutil.copy(clean, path)
    connection = pysqlite3.connect(path, isolation_level=None)
    query = f"SELECT {key} FROM {table} ORDER BY {key} DESC LIMIT 2"  # noqa: S608 - constants above
    (first,), (second,) = connection.execute(query).fetchall()
    update = f"UPDATE {table} SET {key} = ? WHERE {key} = ?"  # noqa: S608 - constants above
    for new, old in ((-5, first), (first, second), (second, -5)):
        connection.execute(update, (new, old))
    connection.close()
    report = verify_copy(path)
    assert not report.ok
    assert any(problem.entry_id for problem in report.problems)


def test_a_text_that_is_not_utf8_is_a_problem_not_an_error(clean: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    shutil.copy(clean, path)
    connection = pysqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE entry_lookup SET kind = CAST(x'ff00fe' AS TEXT)")
    connection.execute("UPDATE checkpoint SET note = CAST(x'ff0a0afe0a' AS TEXT)")
    connection.close()
    assert {"lookup", "checkpoint-invalid"} <= {p.code for p in verify_copy(path).problems}


def test_a_missing_table_is_a_problem_not_an_error(clean: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    shutil.copy(clean, path)
    connection = pysqlite3.connect(path, isolation_level=None)
    connection.execute("DROP INDEX entry_lookup_about")
    connection.execute("ALTER TABLE entry_lookup DROP COLUMN about")
    connection.close()
    report = verify_copy(path)
    assert [problem.code for problem in report.problems] == ["store-unreadable"]


def test_a_record_rewritten_with_all_its_hashes_is_found(clean: Path, tmp_path: Path) -> None:
    """Rewriting header, hash and nodes alike still breaks the signature's root."""
    path = tmp_path / "log.db"
    store = open_sample_store(tmp_path)
    entries = [make_decision_entry(n, order=make_order(n + 50)) for n in range(3)]
    append(store, entries, OTHER_SIGNER, SEALER)
    store.close()
    report = verify_copy(path)
    assert {problem.code for problem in report.problems} == {"checkpoint-invalid"}
    assert verify_copy(clean).ok


def test_problems_are_limited(clean: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    shutil.copy(clean, path)
    connection = pysqlite3.connect(path, isolation_level=None)
    rows = [(1, 100 + number, bytes(32)) for number in range(1500)]
    connection.executemany("INSERT INTO tree_node VALUES (?, ?, ?)", rows)
    connection.close()
    assert len(verify_copy(path).problems) == 1000


def test_a_wrong_sealing_key_is_seen_and_no_key_is_enough_for_the_rest(clean: Path) -> None:
    wrong = verify_copy(clean, Sealer(DerivedKeys(b"\x09" * 32), b"\x02" * 32))
    assert {problem.code for problem in wrong.problems} == {"seal-broken"}
    assert verify_copy(clean, None).ok


def test_a_wrong_lookup_key_is_seen(clean: Path) -> None:
    wrong = verify_copy(clean, Sealer(DerivedKeys(b"\x01" * 32), b"\x09" * 32))
    assert {problem.code for problem in wrong.problems} == {"seal-broken"}


def test_without_verifier_key_no_checkpoint_holds(clean: Path) -> None:
    store = open_store(f"sqlite:///{clean}", journal_mode="delete", synchronous="extra")
    report = verify_store(store, [], SEALER)
    store.close()
    assert [problem.code for problem in report.problems] == ["checkpoint-invalid"] * 4


def test_any_of_several_keys_may_have_signed(clean: Path) -> None:
    store = open_store(f"sqlite:///{clean}", journal_mode="delete", synchronous="extra")
    report = verify_store(store, [OTHER_SIGNER.verifier_key, VKEY], SEALER)
    store.close()
    assert report.ok


@pytest.mark.both_databases
def test_progress_is_told_and_an_empty_store_is_good(database: SampleDatabase) -> None:
    store = database.open()
    told: list[tuple[int, int]] = []
    assert verify_store(store, [VKEY], SEALER, lambda done, total: told.append((done, total))).ok
    entries = [make_publication_entry(number) for number in range(1100)]
    append(store, entries, SIGNER, SEALER)
    report = verify_store(store, [VKEY], SEALER, lambda done, total: told.append((done, total)))
    store.close()
    assert report.ok
    assert told == [(0, 0), (1024, 1100), (1100, 1100)]


class StoreMachine(RuleBasedStateMachine):
    """Appends, retries, conflicts and reopenings in any order leave a store without problems."""

    make: Callable[[], SampleDatabase]

    def __init__(self) -> None:
        super().__init__()
        self.database = type(self).make()
        self.store: Store = self.database.open()
        self.next_number = 0
        self.keys: dict[str, Appended] = {}
        self.count = 0

    @rule(size=st.integers(1, 9), keyed=st.booleans())
    def append_batch(self, size: int, *, keyed: bool) -> None:
        numbers = range(self.next_number, self.next_number + size)
        keys = [f"k{number}" if keyed else None for number in numbers]
        entries = [make_decision_entry(n, key=k) for n, k in zip(numbers, keys, strict=True)]
        for key, answer in zip(keys, append(self.store, entries, SIGNER, SEALER), strict=True):
            assert isinstance(answer, Appended)
            verify_receipt(answer.receipt, answer.leaf, VKEY)
            assert answer.leaf_index == self.count
            self.count += 1
            if key:
                self.keys[key] = answer
        self.next_number += size

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.keys)))
        entry = make_decision_entry(
            5000 + self.next_number, key=key, order=make_order(int(key[1:]))
        )
        (answer,) = append(self.store, [entry], SIGNER, SEALER)
        first = self.keys[key]
        assert isinstance(answer, Appended)
        assert (answer.leaf, answer.receipt) == (first.leaf, first.receipt)
        assert answer.repeated

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def conflict(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.keys)))
        entry = make_decision_entry(7000, key=key, order=make_order(9999))
        (answer,) = append(self.store, [entry], SIGNER, SEALER)
        assert not isinstance(answer, Appended)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.database.open()

    @invariant()
    def has_no_problems(self) -> None:
        report = verify_store(self.store, [VKEY], SEALER)
        assert report.problems == ()
        assert report.tree_size == self.count

    def teardown(self) -> None:
        self.store.close()
        self.database.close()


@pytest.mark.both_databases
def test_a_clean_store_never_alarms(
    make_database: Callable[[], SampleDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order of appends, retries, conflicts and reopenings, verify is content."""
    monkeypatch.setattr(StoreMachine, "make", make_database, raising=False)
    run_state_machine_as_test(
        StoreMachine, settings=settings(max_examples=12, stateful_step_count=8, **UNHURRIED)
    )
