"""Archiving months that are over, and releasing them from the hot store.

A month is over by the clock that stamps the log's entries. Its entries go to Parquet files by kind
and day; then one `archive` entry of the log names the files with their digests. Entries that came
late, stamped before the month's end and recorded after it was archived, go to further files under
a further entry. A release, which has an entry too, removes what the files hold from the hot store:
facts and sealed parts of decisions, overrides and outcomes. Headers, tree, checkpoints and look-ups
stay, and so does what the service itself goes by.

Killed at any point, the next run goes on: a file that no entry names is written anew, with the same
bytes; an entry is written once; what a release has not removed yet is removed.
"""

import os
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from audit.archive_index import (
    Archived,
    ArchivedFile,
    ArchiveIndex,
    Extent,
    Released,
    build_path,
    read_acts,
)
from audit.archive_place import ArchivePlace, FolderPlace, digest_archived
from audit.archive_rows import (
    RELEASED_TYPES,
    ArchiveRow,
    Partition,
    find_fault,
    is_hot,
    list_months,
    list_partitions,
    read_headers,
    scan_rows,
)
from audit.canonical import parse_json
from audit.errors import (
    ArchiveDamagedError,
    ArchiveUnavailableError,
    EntryExistsError,
    RecordMalformedError,
)
from audit.log import Appended
from audit.records import NONCE_SIZE_BYTES, Entry, EntryType, format_time
from audit.staging import staging_folder
from audit.store import Record, Store
from models.domain import Json

_MONTH_CHARACTERS: Final = 7
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Archivist:
    """What archiving works with.

    Parameters
    ----------
    store, place
        The log, and where files go.
    record
        Makes an entry durable.
    staging
        A folder for files in the making, on a disk with room for one of them.
    actor
        Who archives.
    """

    store: Store
    place: ArchivePlace
    record: Callable[[Entry], Appended]
    staging: Path
    actor: str


@dataclass(frozen=True, slots=True)
class MonthDone:
    """What was done with a month.

    Parameters
    ----------
    month
        ``YYYY-MM``.
    entries, files, size_bytes
        How many were written; for a release, how many left the hot store, of how many files.
    entry_id, leaf_index
        Of the log's entry about it.
    """

    month: str
    entries: int
    files: int
    size_bytes: int
    entry_id: str
    leaf_index: int


def archive_months(
    archivist: Archivist, now: datetime, on_progress: OnProgress = lambda _done, _total: None
) -> list[MonthDone]:
    """Write every month that is over and not archived yet.

    Parameters
    ----------
    archivist
        Where from and where to.
    now
        Aware time, of the clock that stamps entries.
    on_progress
        Called with entries written and entries in all, month by month.

    Returns
    -------
    list
        The months written, oldest first; empty when nothing is due.

    Raises
    ------
    RecordMalformedError
        If an entry is not as its header says; `candor verify` names it.
    ArchiveUnavailableError
        If a file cannot be written.
    StoreUnavailableError
        If the log cannot be read or written.
    """
    done: list[MonthDone] = []
    for month, begin, tree_size in _find_due(archivist.store, now):
        # 1. The month's files, one for each kind and day.
        with archivist.store.raw() as connection:
            partitions = list_partitions(connection, month, begin, tree_size)
        total = sum(partition.entries for partition in partitions)
        files: list[ArchivedFile] = []
        for partition in partitions:
            files.append(_write_partition(archivist, partition))
            on_progress(sum(file.rows for file in files), total)
        # 2. Their digests, in the log.
        archived = Archived(
            month=month,
            begin=begin,
            tree_size=tree_size,
            entries=total,
            first_leaf=min(file.first_leaf for file in files),
            last_leaf=max(file.last_leaf for file in files),
            files=tuple(files),
            entry_id=f"archive-{month}-{begin}",
            leaf_index=-1,
        )
        # Another process may have archived the month in the meantime.
        with suppress(EntryExistsError):
            appended = archivist.record(_archive_entry(archivist, archived, now))
            size = sum(file.size_bytes for file in files)
            place = (appended.entry_id, appended.leaf_index)
            done.append(MonthDone(month, total, len(files), size, *place))
    return done


def release_months(
    archivist: Archivist,
    owner: Store,
    now: datetime,
    on_progress: OnProgress = lambda _done, _total: None,
) -> list[MonthDone]:
    """Remove the parts of archived entries from the hot store, after checking the files.

    Parameters
    ----------
    archivist
        What was archived, and where.
    owner
        The same database, as its owner.
    now
        Aware time of the entries.
    on_progress
        Called with files done and files in all, month by month.

    Returns
    -------
    list
        The months of which something was removed, oldest first.

    Raises
    ------
    ArchiveUnavailableError, ArchiveDamagedError
        If a file is missing or not the one that the log names; nothing of it was removed.
    StoreUnavailableError
        If the database refuses; it is the owner alone who may.
    """
    done: list[MonthDone] = []
    for act, entry_id, known_index in _find_hot(archivist):
        # 1. Every file of the month is whole.
        for file in act.files:
            verify_file(archivist.place, file)
        # 2. The log says so before anything leaves.
        place = known_index
        if place is None:
            place = archivist.record(_release_entry(archivist, act, entry_id, now)).leaf_index
        # 3. What is in the files leaves, a row group at a time.
        removed = 0
        for number, file in enumerate(act.files, start=1):
            removed += _release_file(archivist, owner, file)
            on_progress(number, len(act.files))
        owner.fold()
        size = sum(file.size_bytes for file in act.files)
        done.append(MonthDone(act.month, removed, len(act.files), size, entry_id, place))
    return done


def _find_due(store: Store, now: datetime) -> list[tuple[str, int, int]]:
    with store.raw() as connection, store.reading() as reading:
        # Whatever is in the database stands under a signed checkpoint.
        tree_size = reading.tree_size()
        covered = {
            act.month: act.tree_size for act in read_acts(connection) if isinstance(act, Archived)
        }
        months = list_months(connection, tree_size)
    present = format_time(now)[:_MONTH_CHARACTERS]
    return [
        (month, covered.get(month, 0), tree_size)
        for month, last_leaf in months.items()
        if month < present and last_leaf >= covered.get(month, 0)
    ]


def _write_partition(archivist: Archivist, partition: Partition) -> ArchivedFile:
    def write(staged: Path) -> Extent:
        from audit.archive_files import write_file  # noqa: PLC0415 - loads pyarrow

        # What streams is closed before its connection, also when a row is refused.
        with (
            archivist.store.raw() as connection,
            closing(scan_rows(connection, partition)) as rows,
        ):
            return write_file(staged, _checked(rows))

    return put_file(archivist, partition.kind, partition.day, write)


def put_file(
    archivist: Archivist,
    kind: str | None,
    day: str,
    write: Callable[[Path], Extent],
    purge_leaf: int | None = None,
) -> ArchivedFile:
    """Write a file where it is staged, put it in its place, and return what the log has to name.

    Parameters
    ----------
    kind, day, purge_leaf
        See `audit.archive_index.build_path`.
    write
        Writes the file at a path.

    Raises
    ------
    ArchiveUnavailableError
        If it cannot be written.
    """
    try:
        with staging_folder(archivist.staging) as folder:
            staged = folder / "staged.parquet"
            extent = write(staged)
            digest, size_bytes = digest_archived(FolderPlace(folder), staged.name)
            path = build_path(kind, day, extent.first_leaf, extent.last_leaf, purge_leaf)
            archivist.place.put(staged, path)
    except OSError as error:
        raise ArchiveUnavailableError(f"no archive file can be made: {error.strerror}") from error
    return ArchivedFile(
        path=path,
        sha256=digest,
        size_bytes=size_bytes,
        rows=extent.rows,
        first_leaf=extent.first_leaf,
        last_leaf=extent.last_leaf,
        kind=kind,
        day=day,
    )


def _checked(rows: Iterable[ArchiveRow]) -> Iterator[ArchiveRow]:
    for row in rows:
        fault = find_fault(row.record)
        if fault is not None:
            place = row.record.leaf_index
            raise RecordMalformedError(f"the entry at {place} cannot be archived: {fault}")
        yield row


def _archive_entry(archivist: Archivist, archived: Archived, now: datetime) -> Entry:
    files: list[Json] = [asdict(file) for file in archived.files]
    facts: dict[str, Json] = {
        "act": "archive",
        "month": archived.month,
        "begin": archived.begin,
        "tree_size": archived.tree_size,
        "entries": archived.entries,
        "first_leaf": archived.first_leaf,
        "last_leaf": archived.last_leaf,
        "files": files,
    }
    return build_archive_entry(archivist, archived.entry_id, facts, now)


def _release_entry(archivist: Archivist, act: Archived, entry_id: str, now: datetime) -> Entry:
    facts: dict[str, Json] = {
        "act": "release",
        "month": act.month,
        "tree_size": act.tree_size,
        "archive": act.entry_id,
    }
    return build_archive_entry(archivist, entry_id, facts, now)


def build_archive_entry(
    archivist: Archivist, entry_id: str, facts: dict[str, Json], now: datetime
) -> Entry:
    """Return an entry of the type `archive` that says these facts."""
    nonce = b64encode(os.urandom(NONCE_SIZE_BYTES)).decode("ascii")
    return Entry(
        entry_id=entry_id,
        entry_type=EntryType.ARCHIVE,
        recorded_at=now,
        header={},
        facts={"version": 1, "nonce": nonce, "actor": archivist.actor, **facts},
    )


def _find_hot(archivist: Archivist) -> list[tuple[Archived, str, int | None]]:
    with archivist.store.raw() as connection:
        acts = [*read_acts(connection)]
        index = ArchiveIndex(acts)
        released = {act.entry_id: act.leaf_index for act in acts if isinstance(act, Released)}
        # Of what was purged since, nothing is left to release.
        present = [
            replace(act, files=index.files_of(act)) for act in acts if isinstance(act, Archived)
        ]
        named = [(act, f"release-{act.entry_id}") for act in present if act.files]
        return [
            (act, entry_id, released.get(entry_id))
            for act, entry_id in named
            if is_hot(connection, act.month, act.first_leaf, act.last_leaf)
        ]


def verify_file(place: ArchivePlace, file: ArchivedFile) -> None:
    """Check that a file is the one that the log names.

    Raises
    ------
    ArchiveUnavailableError, ArchiveDamagedError
        If it cannot be read, or is another.
    """
    digest, size = digest_archived(place, file.path)
    if (digest, size) != (file.sha256, file.size_bytes):
        raise ArchiveDamagedError(f"the archive file {file.path} is not the one that was logged")


def _release_file(archivist: Archivist, owner: Store, file: ArchivedFile) -> int:
    from audit.archive_files import read_groups  # noqa: PLC0415 - loads pyarrow

    removed = 0
    with archivist.place.open(file.path) as opened:
        for records in read_groups(opened):
            with archivist.store.raw() as connection:
                headers = read_headers(connection, records)
            for record in records:
                known = headers.get(record.leaf_index)
                if known is None or known[1] != record.leaf or find_fault(record) is not None:
                    detail = f"{file.path} does not hold the entry at {record.leaf_index}"
                    raise ArchiveDamagedError(detail)
            places = [record.leaf_index for record in records if _leaves(record)]
            if places:
                with owner.writing() as writing:
                    removed += writing.release_parts(places)
    return removed


def _leaves(record: Record) -> bool:
    header = parse_json(record.leaf)
    return isinstance(header, dict) and header.get("type") in RELEASED_TYPES
