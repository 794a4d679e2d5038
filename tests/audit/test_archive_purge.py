"""Purging what is archived: it leaves the files too, named in the log, and a kill changes nothing.

The log's entries are of January and February 2026, archived and released in March; the purges are
of the years after.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex

import pyarrow.parquet as pq
import pytest

from audit.archive import archive_months
from audit.archive_index import (
    Archived,
    ArchivedFile,
    ArchiveIndex,
    Replaced,
    Thinned,
    read_acts,
)
from audit.archive_place import FolderPlace, open_place
from audit.archive_purge import ArchivePurged, purge_archive
from audit.archive_source import ArchivedBodies
from audit.archive_stream import read_all
from audit.erasure import Vault, build_line, erase, find_key, hold
from audit.errors import (
    ArchiveUnavailableError,
    ErasedError,
    IdempotencyConflictError,
    StoreUnavailableError,
    SubjectNotFoundError,
)
from audit.identifiers import Owner
from audit.ledger import Act
from audit.log import Appended, append, read_receipt
from audit.ownership import open_owner_engine
from audit.purge import Purged, purge_next
from audit.receipt import verify_receipt
from audit.records import Entry, EntryType
from audit.retention import Retention
from audit.store import Store
from audit.verify import verify_store
from tests.audit.sample import SIGNER, VKEY
from tests.audit.test_archive import JANUARY, NOW, Archive
from tests.databases import SampleDatabase
from tests.postgres import SERVICE

pytestmark = pytest.mark.both_databases
# The chains that ended before 19 February are due, or all.
HALF = JANUARY + timedelta(days=1_096 + 20)
ALL = JANUARY + timedelta(days=1_200)
RETENTION = Retention({"*": 1_096})


class Purging:
    """An archive, and whoever may purge it: PostgreSQL's owner."""

    def __init__(self, log: Archive) -> None:
        self.log = log
        self.owner = log.store
        if log.database.server is not None:
            engine = open_owner_engine(log.database.owner_url, SERVICE)
            self.owner = Store(engine, log.bodies)
        self.vault = Vault(self.owner, log.keys, log.sealer, self.record)

    def close(self) -> None:
        self.owner.close()

    def record(self, entry: Entry) -> Appended:
        [appended] = append(self.owner, [entry], SIGNER, self.log.sealer)
        assert not isinstance(appended, IdempotencyConflictError)
        return appended

    def purge(self, now: datetime = ALL, *, is_trial: bool = False) -> Purged:
        """Purge the database; the archive is not touched."""
        return purge_next(
            self.vault,
            RETENTION,
            now,
            new_id=lambda: f"purge-{token_hex(8)}",
            actor="test",
            is_trial=is_trial,
        )

    def finish(self, now: datetime = ALL) -> ArchivePurged:
        """Take what was purged out of the archive."""
        return purge_archive(self.log.archivist, now)

    def codes(self) -> set[str]:
        return {code for code, _ in self.log.problems()}

    def rows(self) -> list[int]:
        """Return the leaf indexes of all rows of all files."""
        tables = [pq.read_table(path, partitioning=None) for path in self.log.files()]
        return sorted(at for table in tables for at in table["leaf_index"].to_pylist())

    def hold(self, what: Act, name: str) -> None:
        key_id = find_key(self.vault, Owner("subject", "s-1"))
        line = build_line(what, entry_id=name, key_id=key_id, now=NOW, actor="test", reason="court")
        hold(self.vault, line, NOW)


@pytest.fixture
def archived(tmp_path: Path, database: SampleDatabase) -> Iterator[Purging]:
    """Return a log whose January and February are in the archive, and there alone."""
    log = Archive(tmp_path, database)
    log.fill()
    log.archive()
    log.release()
    with closing(log), closing(Purging(log)) as purging:
        yield purging


def test_what_is_purged_leaves_the_archive_too(archived: Purging) -> None:
    """Files lose the purged entries or go; every proof stays, and what is not due reads on."""
    log = archived.log
    before = log.records()
    receipts = {one.entry_id: read_receipt(log.store, one.entry_id) for one in before}
    done = archived.purge(HALF)
    gone = set(done.plan.places)
    assert done.plan.away == 0
    # A file holds what was purged until that leaves it too.
    assert archived.codes() == {"purge-unfinished"}
    finished = archived.finish(HALF)
    assert (finished.removed > 0, finished.left) == (True, ())
    assert log.problems() == []
    assert gone.isdisjoint(archived.rows())
    for one in before:
        verify_receipt(receipts[one.entry_id], one.leaf, VKEY)
        if one.leaf_index not in gone:
            with log.store.reading() as reading:
                assert reading.record(one.entry_id) == one
    assert verify_store(log.store, [VKEY], log.sealer).purged == len(gone)
    assert archived.finish(HALF) == ArchivePurged(0, 0, ())
    # What is left goes when its time has come, out of files that were replaced before.
    archived.purge()
    assert archived.finish().left == ()
    assert log.problems() == []
    stream = read_all(log.store).read_all().to_pylist()
    left = [row["entry_type"] for row in stream[: len(before)] if row["facts"] is not None]
    assert left == []
    assert archived.rows() == [0, 1]


def test_a_file_loses_some_of_its_rows(archived: Purging) -> None:
    """Two decisions of a day, one of a chain that goes on: the other alone leaves the file."""
    log = archived.log
    paths = {path: pq.read_table(path, partitioning=None).num_rows for path in log.files()}
    archived.hold(Act.HOLD, "h-1")
    archived.purge()
    finished = archived.finish()
    assert finished.replaced > 0
    assert log.problems() == []
    with log.store.reading() as reading:
        held, other = reading.record("d-1"), reading.record("d-2")
    assert held.facts is not None
    assert other.facts is None
    assert sum(paths.values()) > len(archived.rows())
    archived.hold(Act.RELEASE, "h-2")
    assert archived.purge().plan.records["decision"] == 4
    archived.finish()
    assert log.problems() == []


def test_keys_of_whoever_is_purged_in_the_archive_are_destroyed(archived: Purging) -> None:
    assert archived.purge(HALF).keys > 0
    archived.finish(HALF)
    archived.purge()
    archived.finish()
    with pytest.raises(SubjectNotFoundError):
        find_key(archived.vault, Owner("subject", "s-1"))
    assert archived.log.problems() == []


def test_archived_released_erased_and_purged_in_a_row(
    tmp_path: Path, database: SampleDatabase
) -> None:
    """The log verifies after each step."""
    log = Archive(tmp_path, database)
    log.fill()
    with closing(log), closing(Purging(log)) as purging:
        for step in (log.archive, log.release):
            assert step()
            assert log.problems() == []
        key_id = find_key(purging.vault, Owner("subject", "s-1"))
        line = build_line(
            Act.ERASE, entry_id="x-1", key_id=key_id, now=NOW, actor="test", reason="request"
        )
        erase(purging.vault, Owner("subject", "s-1"), line, NOW)
        assert log.problems() == []
        with log.store.reading() as reading, pytest.raises(ErasedError):
            log.sealer.open("d-1", reading.record("d-1").sealed or b"")
        purging.purge(HALF)
        purging.finish(HALF)
        assert log.problems() == []
        with log.store.reading() as reading:
            assert reading.record("d-1").sealed is None


def test_what_is_archived_and_in_the_database_leaves_both(
    tmp_path: Path, database: SampleDatabase
) -> None:
    log = Archive(tmp_path, database)
    log.fill()
    log.archive()
    with closing(log), closing(Purging(log)) as purging:
        gone = purging.purge(HALF).plan.places
        assert gone
        purging.finish(HALF)
        assert log.problems() == []
        assert set(gone).isdisjoint(purging.rows())
        # What is left is released as before, and what was purged is archived no more.
        assert log.archive(ALL)
        log.release()
        assert log.problems() == []


def test_what_cannot_be_read_is_away_and_purged_later(archived: Purging) -> None:
    log = archived.log
    away = log.root.rename(log.root.with_name("elsewhere"))
    plan = archived.purge(HALF, is_trial=True).plan
    assert (plan.places, plan.away) == ([], 6)
    away.rename(log.root)
    plan = archived.purge(HALF, is_trial=True).plan
    assert (len(plan.places), plan.away) == (9, 0)


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("attack", "code"), [(alter, "archive-file-altered"), (remove, "archive-file-missing")]
)
def test_a_purge_covers_up_no_attack_on_a_file(
    archived: Purging, attack: Callable[[Path], None], code: str
) -> None:
    """A file that is not the log's stays named, unless nothing of it was to be kept."""
    archived.hold(Act.HOLD, "h-1")
    archived.purge()
    with archived.log.store.raw() as connection:
        index = ArchiveIndex(read_acts(connection))
    path = (
        archived.log.root
        / max(
            (kept.file for kept in index.kept() if kept.file is not None),
            key=lambda file: file.rows,
        ).path
    )
    attack(path)
    assert str(path.relative_to(archived.log.root)) in archived.finish().left
    assert code in archived.codes()


def test_a_file_that_came_back_is_named_and_never_read(archived: Purging) -> None:
    log = archived.log
    old = {path: path.read_bytes() for path in log.files()}
    archived.purge()
    archived.finish()
    for path, content in old.items():
        path.write_bytes(content)
    assert archived.codes() == {"purge-unfinished"}
    fresh = log.database.open(bodies=ArchivedBodies(log.bodies.place))
    with closing(fresh), fresh.reading() as reading:
        assert reading.record("d-1").facts is None
        assert reading.record("d-1").sealed is None
    assert archived.finish() == ArchivePurged(0, 0, ())
    assert log.problems() == []


class _Stopping(FolderPlace):
    """A folder in which the first removals fail."""

    def __init__(self, root: Path, failures: int) -> None:
        super().__init__(root)
        self._failures = failures

    def remove(self, path: str) -> None:
        if self._failures:
            self._failures -= 1
            raise ArchiveUnavailableError("the disk is gone")
        super().remove(path)


def test_a_purge_of_the_archive_goes_on_where_it_stopped(archived: Purging) -> None:
    """Before the entry, between entry and removal, and between two removals."""
    log = archived.log
    archived.purge(HALF)
    with pytest.raises(StoreUnavailableError):
        purge_archive(replace(log.archivist, record=_unrecorded), HALF)
    assert archived.codes() == {"purge-unfinished"}
    with pytest.raises(ArchiveUnavailableError):
        purge_archive(replace(log.archivist, place=_Stopping(log.root, 1)), HALF)
    assert archived.codes() == {"purge-unfinished"}
    archived.finish(HALF)
    assert log.problems() == []


def _unrecorded(_entry: Entry) -> Appended:
    raise StoreUnavailableError("killed before the entry")


def test_a_month_purged_before_it_is_archived_has_no_parts_in_the_archive(
    tmp_path: Path, database: SampleDatabase
) -> None:
    log = Archive(tmp_path, database)
    log.fill()
    with closing(log), closing(Purging(log)) as purging:
        gone = purging.purge(HALF).plan.places
        archive_months(log.archivist, ALL)
        assert purging.finish() == ArchivePurged(0, 0, ())
        assert log.problems() == []
        log.release()
        assert log.problems() == []
        with log.store.reading() as reading:
            assert all(reading.record_at(place).facts is None for place in gone)


FORGED: dict[str, Callable[[dict[str, object]], dict[str, object]]] = {
    "a file of entries that are not due": lambda old: {**old, "by": None},
    "a file that never was": lambda old: {**old, "path": "no/such.parquet", "by": None},
    "another digest": lambda old: {**old, "sha256": "0" * 64, "by": None},
    "itself": lambda old: {
        **old,
        "by": {**old, "size_bytes": 1, "rows": 1, "first_leaf": 3, "last_leaf": 3}
        | {"kind": "admission", "day": "2026-02-02"},
    },
}


@pytest.mark.parametrize("desc", FORGED)
def test_an_entry_that_replaces_what_it_may_not_is_named(archived: Purging, desc: str) -> None:
    """Files that no purge was about may not go, whatever an entry of the archive says."""
    with archived.log.store.raw() as connection:
        [file, *_] = ArchiveIndex(read_acts(connection)).kept()
    assert file.file is not None
    old: dict[str, object] = {"path": file.file.path, "sha256": file.file.sha256}
    said = {"act": "purge", "month": "2026-02", "tree_size": 19, "files": [FORGED[desc](old)]}
    archived.record(Entry("f-1", EntryType.ARCHIVE, NOW, {}, facts=said))  # type: ignore[arg-type]  # JSON, built above
    assert archived.codes() & {"archive-entry", "archive-incomplete"}


def test_an_archive_elsewhere_is_purged_through_fsspec(
    tmp_path: Path, database: SampleDatabase
) -> None:
    log = Archive(tmp_path, database)
    log.fill()
    log.close()
    log.reopen(f"memory://{tmp_path.name}-{database.name}/candor")
    log.archive()
    log.release()
    with closing(log), closing(Purging(log)) as purging:
        purging.purge(HALF)
        assert purging.codes() == {"purge-unfinished"}
        assert purging.finish(HALF).removed > 0
        assert log.problems() == []


def test_what_an_entry_may_replace() -> None:
    """Files of the archive as it is then, by files of the same entries, under names never used."""
    file = ArchivedFile("a", "0" * 64, 1, 2, 3, 9, "risk", "2026-02-02")
    other = replace(file, path="b", first_leaf=20, last_leaf=21)
    month = Archived("2026-02", 0, 30, 4, 3, 21, (file, other), "archive", 30)
    good = replace(file, path="a2", last_leaf=5)

    def add(act: Thinned, *before: Thinned) -> str | None:
        return ArchiveIndex([month, *before]).add(act)

    def thin(*files: Replaced, tree_size: int = 32) -> Thinned:
        return Thinned("2026-02", tree_size, files, "purge", 32)

    fine = thin(Replaced("a", "0" * 64, good))
    assert add(fine) is None
    assert add(thin(Replaced("a", "0" * 64, None), Replaced("b", "0" * 64, None))) is None
    assert "behind itself" in str(add(thin(Replaced("a", "0" * 64, good), tree_size=33)))
    assert "twice" in str(add(thin(*fine.files, *fine.files)))
    assert "no file of the archive" in str(add(fine, fine))
    assert "no file of the archive" in str(add(thin(Replaced("a", "1" * 64, good))))
    for wrong in ({"kind": "split"}, {"day": "2026-02-03"}, {"first_leaf": 2}, {"last_leaf": 10}):
        changed = replace(good, **wrong)
        assert "of other entries" in str(add(thin(Replaced("a", "0" * 64, changed))))
    taken = replace(good, path="b")
    assert "before" in str(add(thin(Replaced("a", "0" * 64, taken))))
    index = ArchiveIndex([month, fine])
    assert (index.left(), [one.path for one in index.files_of(month)]) == (["a"], ["b", "a2"])


def test_what_cannot_be_removed_is_said(tmp_path: Path) -> None:
    place = open_place(str(tmp_path))
    place.remove("no/such/file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArchiveUnavailableError, match="cannot be removed"):
        place.remove("folder")
    far = open_place(f"memory://{tmp_path.name}")
    far.remove("no/such/file")


def test_a_missing_file_gives_way_when_everything_in_it_was_purged(archived: Purging) -> None:
    log = archived.log
    done = archived.purge(HALF)
    assert done.plan.places
    [path] = [one for one in log.files() if one.parent.name == "day=2026-02-05"]
    path.unlink()
    assert archived.codes() == {"purge-unfinished", "archive-file-missing"}
    assert archived.finish(HALF).left == ()
    assert log.problems() == []
