"""Checking the archive against the log: every file, and every row of it.

Nothing raises over what it finds; each finding names the file or the entry.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, TypeAlias

from sqlalchemy import Connection

from audit.archive_index import (
    Archived,
    ArchivedFile,
    ArchiveIndex,
    KeptFile,
    parse_act,
    scan_act_records,
)
from audit.archive_place import ArchivePlace, digest_archived
from audit.archive_rows import (
    count_entries_of,
    find_fault,
    is_covered,
    read_headers,
    scan_headers,
)
from audit.errors import ArchiveUnavailableError, AuditError
from audit.reading import BodySource, Record
from audit.retention import Purges, collect_purges
from audit.scan import RawEntry, scan_purges

Finding: TypeAlias = tuple[int | None, str, str]
PURGE_UNFINISHED: Final = "purge-unfinished"


def inspect_archive(connection: Connection, place: ArchivePlace) -> Iterator[Finding]:
    """Yield what is wrong with the archive: leaf index, code and sentence.

    Parameters
    ----------
    connection
        To the log.
    place
        Where the files are.
    """
    # 1. What the log says of the archive, and of purges.
    acts: list[Archived] = []
    index = ArchiveIndex()
    for record in scan_act_records(connection):
        fault = _learn(index, acts, record)
        if fault is not None:
            yield record.leaf_index, "archive-entry", fault
    purges = collect_purges(scan_purges(connection))
    digests = {file.sha256: file.path for act in acts for file in act.files}
    for act in acts:
        # 2. The files held every entry of the month that the log has.
        found = count_entries_of(connection, act.month, act.begin, act.tree_size)
        rows = sum(file.rows for file in act.files)
        if not found == rows == act.entries:
            detail = f"the archive of {act.month} has {rows} entries, the log has {found}"
            yield act.leaf_index, "archive-incomplete", detail
    for kept in index.kept():
        # 3. What was left out since was purged, all of it and nothing else.
        yield from _inspect_thinned(connection, kept, purges)
        if kept.file is None:
            continue
        # 4. Each file is the one that the log names.
        missing = _find_file_fault(place, kept.file, digests)
        if missing is not None:
            yield kept.leaf_index, *missing
        else:
            # 5. Each row is the entry that the log has at its place.
            yield from _inspect_rows(connection, place, kept.file, kept.leaf_index, purges)
    # 6. What was replaced is gone.
    for path in index.left():
        yield from _inspect_left(place, path)


def _learn(index: ArchiveIndex, acts: list[Archived], record: Record) -> str | None:
    try:
        act = parse_act(record)
    except AuditError as error:
        return error.detail
    if isinstance(act, Archived):
        acts.append(act)
    return index.add(act)


def _inspect_thinned(connection: Connection, kept: KeptFile, purges: Purges) -> Iterator[Finding]:
    if kept.file == kept.root:
        return
    root, known = kept.root, purges.between(0, kept.as_of)
    headers = scan_headers(connection, root.kind, root.day, root.first_leaf, root.last_leaf)
    rows = (Record(place, "", leaf, None, None, 0) for place, leaf in headers)
    due = sum(not is_covered(known, row) for row in rows)
    found = 0 if kept.file is None else kept.file.rows
    if due != found:
        detail = f"of {root.path} {found} entries are left, and {due} were not purged"
        yield kept.leaf_index, "archive-incomplete", detail


def _inspect_left(place: ArchivePlace, path: str) -> Iterator[Finding]:
    try:
        if place.size(path) is not None:
            detail = f"the archive file {path} is still there, of which entries were purged"
            yield None, PURGE_UNFINISHED, detail
    except ArchiveUnavailableError as error:
        yield None, "archive-file-unreadable", error.detail


def complete_raw(bodies: BodySource | None, connection: Connection, entry: RawEntry) -> RawEntry:
    """Return an entry with the parts put in that were released, as far as they can be read.

    What cannot be read stays missing, and is named by the checks of the entry and of the files.
    """
    if bodies is None or (entry.has_facts and entry.has_personal):
        return entry
    if not isinstance(entry.leaf, bytes) or not isinstance(entry.leaf_index, int):
        return entry
    record = Record(entry.leaf_index, str(entry.entry_id), entry.leaf, None, None, 0)
    if entry.has_facts:
        record = replace(record, facts=b"")
    if entry.has_personal:
        record = replace(record, sealed=b"-")
    try:
        [whole] = bodies.complete(connection, [record])
    except AuditError:
        return entry
    # In the archive a part lies under the day of its entry, so its month is the entry's.
    month, facts_month, personal_month = entry.months
    if not entry.has_facts and whole.facts is not None:
        facts_month = month
        entry = replace(entry, has_facts=True, facts=whole.facts)
    if not entry.has_personal and whole.sealed is not None:
        personal_month = month
        entry = replace(entry, has_personal=True, sealed=whole.sealed)
    return replace(entry, months=(month, facts_month, personal_month))


def _find_file_fault(
    place: ArchivePlace, file: ArchivedFile, digests: dict[str, str]
) -> tuple[str, str] | None:
    try:
        if place.size(file.path) is None:
            return "archive-file-missing", f"the archive file {file.path} is missing"
        digest, _size = digest_archived(place, file.path)
    except ArchiveUnavailableError as error:
        return "archive-file-unreadable", error.detail
    if digest == file.sha256:
        return None
    if digest in digests:
        return "archive-file-swapped", f"at {file.path} lies the archive file {digests[digest]}"
    return "archive-file-altered", f"the archive file {file.path} is not the one that was logged"


def _inspect_rows(
    connection: Connection, place: ArchivePlace, file: ArchivedFile, act_index: int, purges: Purges
) -> Iterator[Finding]:
    from audit.archive_files import read_groups  # noqa: PLC0415 - loads pyarrow

    count, before, purged = 0, -1, 0
    try:
        with place.open(file.path) as opened:
            for records in read_groups(opened):
                headers = read_headers(connection, records)
                for record in records:
                    known = headers.get(record.leaf_index)
                    said = (record.entry_id, record.leaf, record.tree_size)
                    fault = find_fault(record) if known == said else "the log has another entry"
                    if record.leaf_index <= before:
                        fault = "the row is not in leaf order"
                    if fault is not None:
                        yield record.leaf_index, "archive-row", f"{fault}, in {file.path}"
                    count, before = count + 1, record.leaf_index
                    has_part = record.facts is not None or record.sealed is not None
                    purged += has_part and fault is None and is_covered(purges, record)
    except AuditError as error:
        yield act_index, "archive-file-unreadable", f"{file.path}: {error.detail}"
        return
    if purged:
        detail = f"the archive file {file.path} still holds {purged} entries that were purged"
        yield act_index, PURGE_UNFINISHED, detail
    if count != file.rows:
        detail = f"the archive file {file.path} has {count} rows, the log says {file.rows}"
        yield act_index, "archive-incomplete", detail
