"""Checking the archive against the log: every file, and every row of it.

Nothing raises over what it finds; each finding names the file or the entry.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from sqlalchemy import Connection

from audit.archive_index import Archived, ArchivedFile, parse_act, scan_act_records
from audit.archive_place import ArchivePlace, digest_archived
from audit.archive_rows import count_entries_of, find_fault, read_headers
from audit.errors import ArchiveUnavailableError, AuditError
from audit.reading import BodySource, Record
from audit.scan import RawEntry

Finding: TypeAlias = tuple[int | None, str, str]


def inspect_archive(connection: Connection, place: ArchivePlace) -> Iterator[Finding]:
    """Yield what is wrong with the archive: leaf index, code and sentence.

    Parameters
    ----------
    connection
        To the log.
    place
        Where the files are.
    """
    acts: list[Archived] = []
    for record in scan_act_records(connection):
        try:
            act = parse_act(record)
        except AuditError as error:
            yield record.leaf_index, "archive-entry", error.detail
            continue
        if isinstance(act, Archived):
            acts.append(act)
    digests = {file.sha256: file.path for act in acts for file in act.files}
    for act in acts:
        # 1. The files hold every entry of the month that the log has.
        found = count_entries_of(connection, act.month, act.begin, act.tree_size)
        rows = sum(file.rows for file in act.files)
        if not found == rows == act.entries:
            detail = f"the archive of {act.month} has {rows} entries, the log has {found}"
            yield act.leaf_index, "archive-incomplete", detail
        for file in act.files:
            # 2. Each file is the one that the log names.
            fault = _find_file_fault(place, file, digests)
            if fault is not None:
                yield act.leaf_index, *fault
            else:
                # 3. Each row is the entry that the log has at its place.
                yield from _inspect_rows(connection, place, file, act.leaf_index)


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
    if not entry.has_facts and whole.facts is not None:
        entry = replace(entry, has_facts=True, facts=whole.facts)
    if not entry.has_personal and whole.sealed is not None:
        entry = replace(entry, has_personal=True, sealed=whole.sealed)
    return entry


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
    connection: Connection, place: ArchivePlace, file: ArchivedFile, act_index: int
) -> Iterator[Finding]:
    from audit.archive_files import read_groups  # noqa: PLC0415 - loads pyarrow

    count, before = 0, -1
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
    except AuditError as error:
        yield act_index, "archive-file-unreadable", f"{file.path}: {error.detail}"
        return
    if count != file.rows:
        detail = f"the archive file {file.path} has {count} rows, the log says {file.rows}"
        yield act_index, "archive-incomplete", detail
