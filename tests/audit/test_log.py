"""Appending: receipts that hold, retries that repeat, nothing half done."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pysqlite3
import pytest

from audit.checkpoint import LogSigner, parse_checkpoint
from audit.errors import (
    EntryExistsError,
    IdempotencyConflictError,
    LogDamagedError,
    RecordNotFoundError,
    RecordVoidError,
    StoreUnavailableError,
)
from audit.log import Appended, append, consistency, read_receipt
from audit.merkle import verify_consistency
from audit.receipt import verify_receipt
from audit.records import Counted, CounterKey, Entry
from audit.store import Store, open_store
from audit.verify import verify_store
from tests.audit.sample import (
    SEALER,
    SIGNER,
    START,
    VKEY,
    make_decision_entry,
    make_order,
    make_override_entry,
    make_publication_entry,
    open_sample_store,
)
from tests.databases import SampleDatabase

REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.both_databases, pytest.mark.pooled]


@pytest.fixture
def store(database: SampleDatabase) -> Iterator[Store]:
    store = database.open()
    yield store
    store.close()


def add(store: Store, entries: list[Entry]) -> list[Appended]:
    answers = append(store, entries, SIGNER, SEALER)
    appended = [answer for answer in answers if isinstance(answer, Appended)]
    assert len(appended) == len(entries)
    return appended


def test_every_entry_gets_a_receipt_that_holds(store: Store) -> None:
    """Each entry of each batch is proved by its receipt, also when it is read again."""
    for size in (1, 2, 5, 1, 8, 3):
        with store.reading() as reading:
            begin = reading.tree_size()
        answers = add(store, [make_decision_entry(n) for n in range(begin, begin + size)])
        for place, answer in enumerate(answers):
            head = verify_receipt(answer.receipt, answer.leaf, VKEY)
            assert head.tree_size == answer.tree_size == begin + size
            assert (answer.leaf_index, answer.repeated) == (begin + place, False)
    for number in range(20):
        with store.reading() as reading:
            record = reading.record(f"d-{number}")
        assert verify_receipt(read_receipt(store, f"d-{number}"), record.leaf, VKEY)


def test_a_receipt_is_read_as_it_was_given(store: Store) -> None:
    """However the log grew since, a receipt is the same bytes."""
    first = add(store, [make_decision_entry(n) for n in range(5)])
    add(store, [make_decision_entry(n) for n in range(5, 40)])
    for answer in first:
        assert read_receipt(store, answer.entry_id) == answer.receipt


def test_entries_of_every_shape_are_appended(store: Store) -> None:
    entries = [make_publication_entry(0), make_decision_entry(0), make_override_entry(0, "d-0")]
    answers = add(store, entries)
    assert [answer.facts is None for answer in answers] == [True, False, False]
    assert orjson.loads(answers[0].leaf)["bootstrap"] is True
    assert verify_store(store, [VKEY], SEALER).ok


def test_an_empty_batch_writes_nothing(store: Store) -> None:
    assert append(store, [], SIGNER, SEALER) == []
    with store.reading() as reading:
        assert reading.head() is None


def test_a_retry_gives_the_same_bytes(store: Store) -> None:
    """The same Idempotency-Key and body lead to the first decision, byte for byte."""
    (first,) = add(store, [make_decision_entry(1, key="k")])
    add(store, [make_decision_entry(2)])
    (again,) = add(store, [make_decision_entry(3, key="k", order=make_order(1))])
    assert again == replace(first, repeated=True)
    with store.reading() as reading:
        assert reading.tree_size() == 2


def test_a_retry_within_a_batch_gives_the_same_bytes(store: Store) -> None:
    entries = [
        make_decision_entry(1, key="k"),
        make_decision_entry(2),
        make_decision_entry(3, key="k", order=make_order(1)),
    ]
    first, other, again = add(store, entries)
    assert again == replace(first, repeated=True)
    assert (other.leaf_index, other.tree_size) == (1, 2)


def test_another_body_under_a_used_key_is_a_conflict(store: Store) -> None:
    """A conflict hinders neither the log nor the other entries of its batch."""
    add(store, [make_decision_entry(1, key="k")])
    entries = [
        make_decision_entry(2, key="k"),
        make_decision_entry(3, key="new"),
        make_decision_entry(4, key="new"),
    ]
    answers = append(store, entries, SIGNER, SEALER)
    assert [isinstance(answer, Appended) for answer in answers] == [False, True, False]
    assert isinstance(answers[0], IdempotencyConflictError)
    assert verify_store(store, [VKEY], SEALER).tree_size == 2


def test_the_same_key_of_another_caller_is_another_key(store: Store) -> None:
    entry = make_decision_entry(2, key="k")
    assert entry.idempotency is not None
    other = replace(entry, idempotency=replace(entry.idempotency, caller="shop"))
    answers = add(store, [make_decision_entry(1, key="k"), other])
    assert [answer.leaf_index for answer in answers] == [0, 1]


def test_an_id_is_used_once(store: Store) -> None:
    add(store, [make_decision_entry(1)])
    with pytest.raises(EntryExistsError):
        append(store, [make_decision_entry(2), make_decision_entry(1)], SIGNER, SEALER)
    assert verify_store(store, [VKEY], SEALER).tree_size == 1


def test_a_void_decision_takes_its_batch_along(store: Store) -> None:
    """The database's refusal of a void decision leaves nothing of the batch behind."""
    void = replace(make_decision_entry(2), facts={"version": 1})
    with pytest.raises(RecordVoidError, match="snapshot"):
        append(store, [make_decision_entry(1), void], SIGNER, SEALER)
    with store.reading() as reading:
        assert reading.tree_size() == 0


def test_two_sizes_of_the_log_are_consistent(store: Store) -> None:
    heads = {}
    for size in (1, 4, 6, 13):
        with store.reading() as reading:
            begin = reading.tree_size()
        add(store, [make_decision_entry(n) for n in range(begin, size)])
        with store.reading() as reading:
            heads[size] = parse_checkpoint(reading.checkpoint_at(size)).root_hash
    for old, old_root in heads.items():
        for new, new_root in heads.items():
            if old <= new:
                verify_consistency(old, new, old_root, new_root, consistency(store, old, new))
    assert consistency(store, 0, 13) == []
    for old, new in ((4, 14), (5, 4), (-1, 4)):
        with pytest.raises(RecordNotFoundError):
            consistency(store, old, new)


def test_an_unknown_entry_has_no_receipt(store: Store) -> None:
    with pytest.raises(RecordNotFoundError):
        read_receipt(store, "d-1")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tree_node SET hash = {zeros}",
        "DELETE FROM tree_node",
        "UPDATE log_entry SET leaf_hash = {zeros} WHERE leaf_index = 2",
        "DELETE FROM log_entry WHERE leaf_index = 2",
        "DELETE FROM checkpoint",
        "UPDATE checkpoint SET note = 'x'",
    ],
)
def test_a_damaged_log_is_never_signed_again(
    store: Store, database: SampleDatabase, statement: str
) -> None:
    """Nothing is appended to a tree that is not the one last signed."""
    add(store, [make_decision_entry(n) for n in range(3)])
    database.tamper(statement.format(zeros=database.zeros))
    with pytest.raises(LogDamagedError):
        append(store, [make_decision_entry(3)], SIGNER, SEALER)


def test_a_log_is_not_continued_under_another_name(store: Store) -> None:
    add(store, [make_decision_entry(1)])
    stranger = LogSigner("other.example/log", SIGNER.private_key)
    with pytest.raises(LogDamagedError):
        append(store, [make_decision_entry(2)], stranger, SEALER)


def test_a_locked_store_is_unavailable(tmp_path: Path) -> None:
    store = open_sample_store(tmp_path, busy_timeout_ms=10)
    other = pysqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked"):
        append(store, [make_decision_entry(1)], SIGNER, SEALER)
    other.execute("ROLLBACK")
    other.close()
    assert add(store, [make_decision_entry(1)])[0].leaf_index == 0
    store.close()


@pytest.mark.parametrize(("journal", "synchronous"), [("wal", "full"), ("delete", "extra")])
def test_a_full_disk_records_nothing(tmp_path: Path, journal: str, synchronous: str) -> None:
    """When the disk is full nothing is recorded, and the log goes on when there is room."""
    store = open_sample_store(tmp_path, journal_mode=journal, synchronous=synchronous)
    add(store, [make_decision_entry(1)])
    # The limit is a connection's own: from here on there is one.
    store._engine.dispose()
    with store._engine.connect() as connection, connection.begin():
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreUnavailableError, match="full"):
        append(store, [make_decision_entry(n) for n in range(2, 90)], SIGNER, SEALER)
    assert verify_store(store, [VKEY], SEALER).tree_size == 1
    with store._engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    assert add(store, [make_decision_entry(2)])[0].leaf_index == 1
    store.close()


def test_a_lost_store_is_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir()
    store = open_sample_store(folder)
    store.close()
    shutil.rmtree(folder)
    with pytest.raises(StoreUnavailableError):
        append(store, [make_decision_entry(1)], SIGNER, SEALER)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_that_is_deleted_while_open_is_unavailable(
    tmp_path: Path, *, replaced: bool
) -> None:
    """Nothing is acknowledged into a file that nobody can find again."""
    store = open_sample_store(tmp_path)
    add(store, [make_decision_entry(1)])
    for file in tmp_path.iterdir():
        file.unlink()
    if replaced:
        (tmp_path / "log.db").touch()
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            append(store, [make_decision_entry(2)], SIGNER, SEALER)
    store.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnavailableError):
        open_store(f"sqlite:///{tmp_path / 'log.db'}")


def start_writer(url: str, first_number: int, batches: int, size: int) -> Any:  # noqa: ANN401 - Popen of text
    script = Path(__file__).with_name("writer.py")
    numbers = [str(first_number), str(batches), str(size)]
    return subprocess.Popen(
        [sys.executable, str(script), url, *numbers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
    )


def test_two_processes_write_one_dense_log(database: SampleDatabase) -> None:
    """Processes that append at the same time share one tree without gap or loss."""
    writers = [start_writer(database.url, 10_000 * name, 12, 5) for name in range(2)]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    lines = [line.split() for writer in writers for line in writer.communicate()[0].splitlines()]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(int(place) for _, place in lines) == list(range(120))
    store = database.open()
    assert verify_store(store, [VKEY], SEALER).ok
    store.close()


def test_a_killed_writer_loses_nothing_acknowledged(database: SampleDatabase) -> None:
    """Kill -9 amid appends: every acknowledged entry is there, and the log is whole."""
    acknowledged: dict[str, int] = {}
    for round_number in range(4):
        writer = start_writer(database.url, 100_000 * round_number, 5000, 3)
        writer.stdin.write("go\n")
        writer.stdin.flush()
        for _ in range(7 + 9 * round_number):
            entry_id, place = writer.stdout.readline().split()
            acknowledged[entry_id] = int(place)
        writer.kill()
        rest = writer.communicate()[0].splitlines()
        acknowledged |= {line.split()[0]: int(line.split()[1]) for line in rest if line.count(" ")}
        store = database.open()
        assert verify_store(store, [VKEY], SEALER).problems == ()
        with store.reading() as reading:
            for entry_id, leaf_index in acknowledged.items():
                assert reading.record(entry_id).leaf_index == leaf_index
        store.close()
    assert len(acknowledged) > 60


def test_recorded_times_may_have_any_zone(store: Store) -> None:
    entry = replace(make_publication_entry(0), recorded_at=START.astimezone())
    assert orjson.loads(add(store, [entry])[0].leaf)["recorded_at"].endswith("Z")


_KEY = CounterKey("admission", "vip-full", "2026-01-15", "vip")


def _counted(number: int, assumed: int, *, key: str | None = None) -> Entry:
    """Return an entry that takes a place of the counter, and tells how many it knew of."""
    plain = make_decision_entry(number, key=key)
    said = replace(plain, header={**plain.header, "used": assumed})

    def redo(present: Mapping[CounterKey, int]) -> Entry:
        return _counted(number, present[_KEY], key=key)

    return said.with_counters(Counted({_KEY: assumed}, (_KEY,), redo))


def test_what_was_decided_with_a_count_that_moved_is_decided_again(store: Store) -> None:
    """Each entry is recorded with the count that holds in its own transaction."""
    appended = add(store, [_counted(number, 0) for number in range(3)])
    appended += add(store, [_counted(3, 1)])
    assert [orjson.loads(one.leaf)["used"] for one in appended] == [0, 1, 2, 3]
    with store.reading() as reading:
        assert reading.counts([_KEY, replace(_KEY, tier="gold")]) == {
            _KEY: 4,
            replace(_KEY, tier="gold"): 0,
        }
    assert verify_store(store, [VKEY], SEALER).problems == ()


@pytest.mark.parametrize("tier", ["\x00", "\\0", "\\\x00\\", "'\u2400\n"])
def test_a_counter_may_have_any_name(store: Store, tier: str) -> None:
    """Names come from orders, and may hold whatever JSON can."""
    key = replace(_KEY, tier=tier)

    def counted(number: int, used: int) -> Entry:
        return make_decision_entry(number).with_counters(
            Counted({key: used}, (key,), lambda present: counted(number, present[key]))
        )

    add(store, [counted(1, 0), counted(2, 0)])
    add(store, [counted(3, 2)])
    with store.reading() as reading:
        assert reading.counts([key, _KEY]) == {key: 3, _KEY: 0}
    assert verify_store(store, [VKEY], SEALER).problems == ()


def test_a_counter_that_was_changed_is_named(store: Store, database: SampleDatabase) -> None:
    add(store, [_counted(1, 0), make_decision_entry(2)])
    database.tamper("UPDATE cap_counter SET used = 0")
    (problem,) = verify_store(store, [VKEY], SEALER).problems
    assert problem.code == "counter"
    assert "vip-full of 2026-01-15, tier 'vip', is 0; the records add up to 1" in problem.detail


def test_a_retry_takes_no_place_of_a_counter(store: Store) -> None:
    first, again = add(store, [_counted(1, 0, key="k"), _counted(1, 0, key="k")])
    (later,) = add(store, [_counted(1, 0, key="k")])
    assert first.entry_id == again.entry_id == later.entry_id
    with store.reading() as reading:
        assert reading.counts([_KEY]) == {_KEY: 1}


def test_an_entry_and_its_rest_stand_together_or_not_at_all(store: Store) -> None:
    """All are proved by one checkpoint, and a retry gets all of them again."""
    rest = (make_decision_entry(2), make_decision_entry(3))
    head = replace(make_decision_entry(1, key="k"), rest=rest)
    (_, first) = add(store, [make_publication_entry(9), head])
    assert [one.entry_id for one in (first, *first.rest)] == ["d-1", "d-2", "d-3"]
    assert [one.leaf_index for one in (first, *first.rest)] == [1, 2, 3]
    for one in (first, *first.rest):
        assert verify_receipt(one.receipt, one.leaf, VKEY).tree_size == 4
    assert [orjson.loads(one.leaf).get("with") for one in first.rest] == ["d-1", "d-1"]
    (again,) = add(store, [head])
    assert again == replace(
        first, repeated=True, rest=tuple(replace(one, repeated=True) for one in first.rest)
    )
    void = replace(make_decision_entry(5), header={"kind": "admission"})
    with pytest.raises(RecordVoidError):
        append(store, [replace(make_decision_entry(4), rest=(void,))], SIGNER, SEALER)
    with store.reading() as reading:
        assert reading.tree_size() == 4
    assert verify_store(store, [VKEY], SEALER).problems == ()
