"""The archive: months that are over in Parquet, released from the hot store, read as before."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from audit.archive import Archivist, MonthDone, archive_months, release_months
from audit.archive_index import Archived, parse_act, read_acts
from audit.archive_place import open_place
from audit.archive_source import ArchivedBodies
from audit.archive_stream import read_all
from audit.erasure import Vault, apply_ledger, build_line, erase, find_key
from audit.errors import (
    ArchiveDamagedError,
    ArchiveUnavailableError,
    EntryExistsError,
    ErasedError,
    IdempotencyConflictError,
    RecordMalformedError,
    StoreUnavailableError,
)
from audit.identifiers import Owner
from audit.key_encryption import KeyEncryption
from audit.ledger import Act
from audit.log import Appended, append, read_receipt
from audit.receipt import verify_receipt
from audit.records import Entry, EntryType
from audit.seal import Sealer
from audit.store import Record, Store, open_engine
from audit.subject_keys import open_subject_keys
from audit.verify import verify_store
from tests.audit.sample import (
    SIGNER,
    VKEY,
    make_decision_entry,
    make_override_entry,
    make_publication_entry,
)
from tests.databases import SampleDatabase

pytestmark = pytest.mark.both_databases
JANUARY = datetime(2026, 1, 30, tzinfo=UTC)
NOW = datetime(2026, 3, 5, tzinfo=UTC)
LOOKUP_KEY = b"\x02" * 32


class Archive:
    """A log whose entries of January and February 2026 can be archived."""

    def __init__(self, folder: Path, database: SampleDatabase) -> None:
        self.folder, self.database = folder, database
        self.root = folder / "archive"
        self.reopen()

    def reopen(self, url: str | None = None) -> None:
        self.bodies = ArchivedBodies(open_place(url or str(self.root)))
        self.store = self.database.open(bodies=self.bodies)
        self.keys = open_subject_keys(self.folder, KeyEncryption(lambda: {1: bytes(32)}))
        self.sealer = Sealer(self.keys, LOOKUP_KEY)
        self.archivist = Archivist(
            self.store, self.bodies.place, self.record, self.folder / "staging", "test"
        )

    def close(self) -> None:
        self.store.close()
        self.keys.close()

    def record(self, entry: Entry) -> Appended:
        [appended] = append(self.store, [entry], SIGNER, self.sealer)
        assert not isinstance(appended, IdempotencyConflictError)
        return appended

    def fill(self, batches: int = 4) -> None:
        """Add 14 decisions, one every third day, three overrides and two publications.

        Parameters
        ----------
        batches
            How many of the four batches; three end at 17 February.
        """
        entries = [
            replace(
                make_decision_entry(number, key=f"k{number}"),
                recorded_at=JANUARY + timedelta(days=3 * number, hours=number),
            )
            for number in range(14)
        ]
        entries[3] = replace(entries[3], header={**entries[3].header, "kind": "risk"})
        overrides = [
            replace(
                make_override_entry(number, f"d-{number}"),
                order_id=f"o-{number}",
                subject_id=f"s-{number}",
                recorded_at=JANUARY + timedelta(days=15),
            )
            for number in (1, 2, 4)
        ]
        published = [replace(make_publication_entry(n), recorded_at=JANUARY) for n in range(2)]
        for some in (published, entries[:7], overrides, entries[7:])[:batches]:
            append(self.store, some, SIGNER, self.sealer)

    def archive(self, now: datetime = NOW) -> list[MonthDone]:
        return archive_months(self.archivist, now)

    def release(self) -> list[MonthDone]:
        if self.database.server is None:
            return release_months(self.archivist, self.store, NOW)
        url = self.database.owner_url
        engine = open_engine(url, busy_timeout_ms=1000, wal_autocheckpoint_pages=0)
        owner = Store(engine)
        try:
            return release_months(self.archivist, owner, NOW)
        finally:
            owner.close()

    def records(self) -> list[Record]:
        with self.store.reading() as reading:
            return reading.records_between(0, 19)

    def hot_parts(self) -> int:
        connection = self.database.connect()
        counts = [
            connection.execute(f"SELECT count(*) FROM {table} WHERE leaf_index < 19").fetchone()[0]  # noqa: S608 - names of this test
            for table in ("facts_part", "personal_part")
        ]
        connection.close()
        return int(sum(counts))

    def problems(self) -> list[tuple[str, str]]:
        report = verify_store(self.store, [VKEY], self.sealer)
        return [(problem.code, problem.detail) for problem in report.problems]

    def files(self) -> list[Path]:
        return sorted(self.root.rglob("*.parquet"))


@pytest.fixture
def empty(tmp_path: Path, database: SampleDatabase) -> Iterator[Archive]:
    made = Archive(tmp_path, database)
    yield made
    made.close()


@pytest.fixture
def log(empty: Archive) -> Archive:
    empty.fill()
    return empty


def test_months_that_are_over_are_archived_once(log: Archive) -> None:
    """Two months, a file for each kind and day, named with digest and size in the log."""
    before = log.records()
    january, february = log.archive()
    assert (january.month, january.entries, january.files) == ("2026-01", 3, 1)
    assert (february.month, february.entries, february.files) == ("2026-02", 12, 9)
    with log.store.reading() as reading:
        act = parse_act(reading.record(february.entry_id))
    assert isinstance(act, Archived)
    assert [file.path for file in act.files] == sorted(
        (str(path.relative_to(log.root)) for path in log.files() if "month=2026-02" in str(path)),
        key=lambda path: path.split("day=")[1],
    )
    for file in act.files:
        content = (log.root / file.path).read_bytes()
        assert (sha256(content).hexdigest(), len(content)) == (file.sha256, file.size_bytes)
    assert (act.first_leaf, act.last_leaf) == (3, 14)
    assert sum(file.rows for file in act.files) == act.entries == 12
    assert log.archive() == []
    assert log.records() == before
    assert log.problems() == []


def test_a_month_that_is_not_over_stays(log: Archive) -> None:
    assert [done.month for done in log.archive(datetime(2026, 2, 28, 23, 59, tzinfo=UTC))] == [
        "2026-01"
    ]
    assert [done.month for done in log.archive(datetime(2026, 3, 1, tzinfo=UTC))] == ["2026-02"]


def test_the_same_rows_give_the_same_bytes(log: Archive) -> None:
    log.archive()
    first = {path: path.read_bytes() for path in log.files()}
    other = replace(log.archivist, place=open_place(str(log.root)), record=unrecorded)
    for path in first:
        path.unlink()
    log.database.tamper("DELETE FROM entry_lookup WHERE entry_type = 'archive'")
    with pytest.raises(StoreUnavailableError):
        archive_months(other, NOW)
    again = {path: path.read_bytes() for path in log.files()}
    assert again == {path: content for path, content in first.items() if path in again}
    assert len(again) == 1


def unrecorded(_entry: Entry) -> Appended:
    raise StoreUnavailableError("killed before the entry")


def test_no_file_or_name_holds_an_identifier_or_a_look_up_hash(log: Archive) -> None:
    log.archive()
    everything = b"".join(path.read_bytes() + str(path).encode() for path in log.files())
    for path in log.files():
        for row in pq.read_table(path, partitioning=None).to_pylist():
            everything += b"".join(
                value if isinstance(value, bytes) else str(value).encode() for value in row.values()
            )
    hashes = [log.sealer.keyed_hash("order", "o-1"), log.sealer.keyed_hash("subject", "s-1")]
    for secret in (b'"o-1"', b'"s-1"', "王小明".encode(), b"long-standing", *hashes):
        assert secret not in everything
    assert b"presale_lead_days" in everything


def test_released_records_read_as_before(log: Archive) -> None:
    """Parts of decisions and overrides leave; every read is byte for byte the same."""
    before = log.records()
    log.archive()
    hot = log.hot_parts()
    january, february = log.release()
    # A decision and an override have two parts each.
    assert (january.entries, february.entries) == (1, 12)
    assert hot - log.hot_parts() == 2 * (1 + 12)
    assert log.records() == before
    assert log.release() == []
    with log.store.reading() as reading:
        assert reading.record("d-5") == before[7]
        assert [one.entry_id for one in reading.records_about("d-1")] == ["v-1"]
        assert reading.latest(EntryType.OVERRIDE)[0].facts is not None
        assert reading.leaves(0, 19) == [record.leaf for record in before]
    verify_receipt(read_receipt(log.store, "d-5"), before[7].leaf, VKEY)
    assert log.sealer.open("d-5", before[7].sealed or b"")
    report = verify_store(log.store, [VKEY], log.sealer)
    assert (report.problems, report.tree_size) == ((), 23)
    # A retry of a released decision is answered as it was.
    [again] = append(log.store, [make_decision_entry(5, key="k5")], SIGNER, log.sealer)
    assert isinstance(again, Appended)
    assert (again.repeated, again.facts) == (True, before[7].facts)


def test_without_a_release_entry_nothing_leaves(log: Archive) -> None:
    log.archive()
    hot = log.hot_parts()
    log.archivist = replace(log.archivist, record=unrecorded)
    with pytest.raises(StoreUnavailableError):
        log.release()
    assert log.hot_parts() == hot


def test_the_service_may_not_release(log: Archive) -> None:
    """On PostgreSQL only the owner may; on both nobody may remove what is not named."""
    log.archive()
    if log.database.server is not None:
        with pytest.raises(StoreUnavailableError, match="permission denied"):
            release_months(log.archivist, log.store, NOW)
    connection = log.database.connect()
    for table in ("facts_part", "personal_part"):
        with pytest.raises(Exception, match=f"immutable: {table}"):
            connection.execute(f"DELETE FROM {table} WHERE leaf_index = 5")  # noqa: S608 - names of this test
    connection.close()


def test_an_entry_that_came_late_has_a_file_of_its_own(empty: Archive) -> None:
    """One that was stamped before the month's end, and recorded while the month was archived."""
    log = empty
    log.fill(batches=3)
    late = [replace(make_decision_entry(70), recorded_at=JANUARY + timedelta(days=20))]

    def overtaken(entry: Entry) -> Appended:
        while late:
            log.record(late.pop())
        return log.record(entry)

    archived = archive_months(replace(log.archivist, record=overtaken), NOW)
    assert [one.entries for one in archived] == [3, 9]
    log.release()
    [done] = log.archive()
    assert (done.month, done.entries, done.files) == ("2026-02", 1, 1)
    before = log.records()
    assert [one.entries for one in log.release()] == [1]
    assert log.records()[: len(before)] == before
    with log.store.reading() as reading:
        assert reading.record("d-70").facts is not None
    assert log.problems() == []


def test_a_run_that_was_killed_is_gone_on_with(log: Archive) -> None:
    """Before the entry, between two files, and in the middle of a release."""
    with pytest.raises(StoreUnavailableError):
        archive_months(replace(log.archivist, record=unrecorded), NOW)
    left = log.files()
    assert left
    left[0].write_bytes(b"half")
    left[0].with_name(f".{left[0].name}.part").write_bytes(b"half of another")
    assert log.problems() == []
    assert [done.entries for done in log.archive()] == [3, 12]
    assert log.problems() == []
    before, hot = log.records(), log.hot_parts()
    files = log.files()
    moved = files[-1].rename(files[-1].with_suffix(".away"))
    with pytest.raises(ArchiveUnavailableError, match=r"day=2026-02-.* cannot be read"):
        log.release()
    # January went, of February nothing.
    assert hot - log.hot_parts() == 2
    moved.rename(files[-1])

    def killed(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    if log.database.server is None:
        with pytest.raises(KeyboardInterrupt):
            release_months(log.archivist, log.store, NOW, killed)
        assert hot - log.hot_parts() == 4
    log.release()
    assert hot - log.hot_parts() == 2 * 13
    assert log.records() == before
    assert log.problems() == []


def test_two_runs_at_once_archive_once(log: Archive) -> None:
    def overtaken(entry: Entry) -> Appended:
        log.record(entry)
        raise EntryExistsError("already there")

    assert archive_months(replace(log.archivist, record=overtaken), NOW) == []
    assert log.archive() == []
    assert log.problems() == []


def alter(path: Path, _other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path, _other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def swap(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def remove(path: Path, _other: Path) -> None:
    path.unlink()


ATTACKS: dict[Callable[[Path, Path], None], str] = {
    alter: "archive-file-altered",
    cut: "archive-file-altered",
    swap: "archive-file-swapped",
    remove: "archive-file-missing",
}
# What the loss of a released part comes to for its entry.
LOST = {"facts-missing", "personal-missing", "lookup", "void", "idempotency-stray"}
BROKEN = (ArchiveDamagedError, ArchiveUnavailableError)


def test_each_attack_on_a_file_is_named(log: Archive) -> None:
    """Before a release and after it; what an altered file holds is neither released nor shown."""
    log.archive()
    days = ("day=2026-02-08", "day=2026-02-11")
    path, other = (path for path in log.files() if path.parent.name in days)
    content = path.read_bytes()
    for attack, code in ATTACKS.items():
        attack(path, other)
        [(found, detail)] = log.problems()
        assert (found, str(path.relative_to(log.root)) in detail) == (code, True)
        with pytest.raises(BROKEN):
            log.release()
        path.write_bytes(content)
    log.release()
    for attack, code in ATTACKS.items():
        attack(path, other)
        log.close()
        log.reopen()
        found, *more = [name for name, _ in log.problems()]
        assert found == code
        assert set(more) <= LOST
        with log.store.reading() as reading, pytest.raises(BROKEN):
            reading.record("d-4")
        with log.store.reading() as reading:
            assert reading.record("d-5").facts is not None
        path.write_bytes(content)
    assert log.problems() == []


def test_a_file_that_is_not_what_the_month_had_is_named(log: Archive) -> None:
    """Whoever archives must not leave out, alter or invent entries, whatever digests it logs."""
    log.archive()
    log.database.tamper("DELETE FROM entry_lookup WHERE entry_type = 'archive'")
    with log.store.raw() as connection:
        assert list(read_acts(connection)) == []
    path = log.files()[-1]
    table = pq.read_table(path, partitioning=None)
    rows = table.to_pylist()
    file: dict[str, Any] = {
        "path": str(path.relative_to(log.root)),
        "rows": 2,
        "first_leaf": rows[0]["leaf_index"],
        "last_leaf": rows[0]["leaf_index"],
        "kind": rows[0]["kind"],
        "day": "2026-02-26",
    }
    facts = rows[0]["facts"].replace(b"presale", b"PRESALE")
    column = table.schema.get_field_index("facts")
    pq.write_table(table.set_column(column, table.schema.field(column), [[facts]]), path)
    content = path.read_bytes()
    file |= {"sha256": sha256(content).hexdigest(), "size_bytes": len(content)}
    said: dict[str, Any] = {"act": "archive", "month": "2026-02", "begin": 0, "tree_size": 19}
    said |= {"entries": 2, "first_leaf": 0, "last_leaf": 18, "files": [file]}
    log.record(Entry("a-1", EntryType.ARCHIVE, NOW, {}, facts=said))
    log.record(Entry("a-2", EntryType.ARCHIVE, NOW, {}, facts={"act": "archive"}))
    found = log.problems()
    assert {code for code, _ in found} >= {"archive-entry", "archive-row", "archive-incomplete"}
    with pytest.raises(RecordMalformedError):
        log.release()


def test_an_altered_entry_is_not_archived(log: Archive) -> None:
    log.database.overwrite("facts_part", "body", lambda body: body.replace(b"45", b"46"))
    with pytest.raises(RecordMalformedError, match="facts part"):
        log.archive()


def test_parts_that_vanish_without_an_archive_stay_missing(log: Archive) -> None:
    log.database.tamper("DELETE FROM facts_part WHERE leaf_index = 5")
    assert log.records()[5].facts is None
    assert "facts-missing" in {code for code, _ in log.problems()}


def test_an_erased_subject_is_unreadable_in_the_archive(log: Archive) -> None:
    """Key and look-ups go although the parts lie in the archive; after a restored backup too."""
    log.archive()
    log.release()
    log.store.fold()
    vault = Vault(log.store, log.keys, log.sealer, log.record)
    key_id = find_key(vault, Owner("subject", "s-1"))
    line = build_line(
        Act.ERASE, entry_id="x-1", key_id=key_id, now=NOW, actor="cli", reason="request"
    )
    erased = erase(vault, Owner("subject", "s-1"), line, NOW)
    assert [one.entry_id for one in erased.records] == [*("d-1", "v-1", "d-11")]
    record = log.records()[3]
    assert record.sealed is not None
    with pytest.raises(ErasedError):
        log.sealer.open(record.entry_id, record.sealed)
    report = verify_store(log.store, [VKEY], log.sealer)
    assert (report.problems, report.erased) == ((), 3)
    # What a restored backup does again finds every sealed part, in the archive too.
    with log.store.reading() as reading:
        assert len(list(reading.scan_sealed())) == 17
    assert apply_ledger(vault, NOW) == 0


def test_archive_and_hot_store_are_one_stream(log: Archive) -> None:
    before = read_all(log.store).read_all()
    log.archive()
    log.release()
    batches = list(read_all(log.store))
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert rows[: len(before)] == before.to_pylist()
    assert [row["leaf_index"] for row in rows] == list(range(23))
    february = read_all(log.store, month="2026-02", kind="admission").read_all()
    assert set(february["kind"].to_pylist()) == {"admission"}
    assert february["recorded_at"][0].as_py().month == 2
    facts = orjson.loads(february["facts"][0].as_py())
    assert facts["features"]["presale_lead_days"] == 45.0
    assert len(read_all(log.store, month="2031-01").read_all()) == 0


def test_an_archive_elsewhere_is_read_through_fsspec(log: Archive) -> None:
    before = log.records()
    log.close()
    log.reopen(f"memory://{log.folder.name}-{log.database.name}/candor")
    assert [done.entries for done in log.archive()] == [3, 12]
    log.release()
    assert log.records() == before
    assert log.problems() == []
    assert not log.root.exists()
    log.close()
    log.reopen("memory://nowhere")
    with log.store.reading() as reading, pytest.raises(ArchiveUnavailableError):
        reading.record("d-5")
    assert log.problems()[0][0] == "archive-file-missing"
    log.close()
    log.reopen("nosuch://bucket")
    with log.store.reading() as reading, pytest.raises(ArchiveUnavailableError, match="nosuch"):
        reading.record("d-5")
