"""Taking out of the archive what was purged.

A purge removes rows of the database; what of them lies in archive files goes here, by what the log
says alone, so that any later run finishes it. In this order: files without the purged entries are
put beside the old ones, one entry of the log for each month says which take the place of which, and
then the old ones are removed. A file of which every entry was purged is replaced by none.

A file that is not the one that the log names is left as it is: nothing is covered up by replacing
it. `candor verify` names it, and what is not finished.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection

from audit.archive import Archivist, build_archive_entry, put_file, verify_file
from audit.archive_index import ArchivedFile, ArchiveIndex, Extent, KeptFile, Replaced, read_acts
from audit.archive_rows import is_covered, scan_headers
from audit.errors import ArchiveDamagedError, ArchiveUnavailableError, EntryExistsError
from audit.reading import Record
from audit.retention import Purges, collect_purges
from audit.scan import count_entries, scan_purges
from audit.staging import clear_staging
from models.domain import Json


@dataclass(frozen=True, slots=True)
class ArchivePurged:
    """What was done in the archive.

    Parameters
    ----------
    replaced, removed
        How many files were written without some of their entries, and how many went as a whole.
    left
        Paths of the files that had to be left, as they are not those that the log names.
    """

    replaced: int
    removed: int
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Stale:
    """A file that holds what was purged, and the leaf indexes of that; whether that is all."""

    kept: KeptFile
    file: ArchivedFile
    gone: frozenset[int]
    is_all: bool


def purge_archive(archivist: Archivist, now: datetime) -> ArchivePurged:
    """Remove from the archive what the log says was purged, and what killed processes left staged.

    Parameters
    ----------
    archivist
        The log, and where its files are.
    now
        Aware time of the entries.

    Raises
    ------
    ArchiveUnavailableError
        If a file cannot be written or removed; the next run goes on.
    RecordMalformedError
        If an archive entry of the log cannot be read.
    StoreUnavailableError
        If the log cannot be read or written.
    OSError
        If what a killed process left cannot be removed.
    """
    clear_staging(archivist.staging)
    # 1. What the log says, as of one snapshot.
    with archivist.store.raw() as connection:
        tree_size = count_entries(connection)
        purges = collect_purges(scan_purges(connection))
        index = ArchiveIndex(read_acts(connection))
    touched = sorted(
        (kept for kept in index.kept() if _is_touched(kept, purges)),
        key=lambda kept: kept.act.month,
    )
    replaced, left = [], []
    for month, some in groupby(touched, key=lambda kept: kept.act.month):
        # 2. The files without what is gone, beside the old ones.
        files: list[Replaced] = []
        for kept in some:
            with archivist.store.raw() as connection:
                stale = _find_stale(connection, kept, purges)
            if stale is None:
                continue
            try:
                files.append(_replace(archivist, stale, purges.newest()))
            except (ArchiveDamagedError, ArchiveUnavailableError):
                # Reported as left, and named by each verification.
                left.append(stale.file.path)
        # 3. The log says so before any of the old ones goes.
        if files:
            _record(archivist, month, tree_size, files, now)
        replaced += files
    # 4. What was replaced goes, by this run or an earlier one.
    with archivist.store.raw() as connection:
        index = ArchiveIndex(read_acts(connection))
    for path in index.left():
        if archivist.place.size(path) is not None:
            archivist.place.remove(path)
    removed = sum(one.by is None for one in replaced)
    return ArchivePurged(len(replaced) - removed, removed, tuple(left))


def _is_touched(kept: KeptFile, purges: Purges) -> bool:
    # Whatever was purged before a file was written is not in it.
    since = purges.between(kept.as_of, purges.newest() + 1)
    return kept.file is not None and since.meets(kept.file.first_leaf, kept.file.last_leaf)


def _find_stale(connection: Connection, kept: KeptFile, purges: Purges) -> _Stale | None:
    file = kept.file
    if file is None:
        return None
    since = purges.between(kept.as_of, purges.newest() + 1)
    gone: set[int] = set()
    is_new = False
    rows = 0
    for row in _headers(connection, file):
        rows += 1
        if is_covered(purges, row):
            gone.add(row.leaf_index)
            is_new |= is_covered(since, row)
    return _Stale(kept, file, frozenset(gone), len(gone) == rows) if is_new else None


def _headers(connection: Connection, file: ArchivedFile) -> Iterator[Record]:
    found = scan_headers(connection, file.kind, file.day, file.first_leaf, file.last_leaf)
    for place, leaf in found:
        yield Record(place, "", leaf, None, None, 0)


def _replace(archivist: Archivist, stale: _Stale, purge_leaf: int) -> Replaced:
    file = stale.file
    if stale.is_all and archivist.place.size(file.path) is None:
        # Nothing that is still due is lost with it.
        return Replaced(file.path, file.sha256, None)
    verify_file(archivist.place, file)
    if stale.is_all:
        return Replaced(file.path, file.sha256, None)
    write = partial(_thin, archivist, stale)
    thinned = put_file(archivist, file.kind, file.day, write, purge_leaf)
    return Replaced(file.path, file.sha256, thinned)


def _thin(archivist: Archivist, stale: _Stale, staged: Path) -> Extent:
    from audit.archive_files import thin_file  # noqa: PLC0415 - loads pyarrow

    with archivist.place.open(stale.file.path) as opened:
        return thin_file(opened, staged, stale.gone)


def _record(
    archivist: Archivist, month: str, tree_size: int, files: list[Replaced], now: datetime
) -> None:
    # A file is replaced once, so whoever replaces the same ones does the same.
    name = sha256("\n".join(one.path for one in files).encode()).hexdigest()
    listed: list[Json] = [asdict(one) for one in files]
    facts: dict[str, Json] = {"act": "purge", "month": month}
    facts |= {"tree_size": tree_size, "files": listed}
    with suppress(EntryExistsError):
        archivist.record(build_archive_entry(archivist, f"archive-purge-{name}", facts, now))
