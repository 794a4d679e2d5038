"""Parts of released entries, read from the archive and checked against their headers.

`ArchivedBodies` is what a `Store` asks when a row lacks a part that its header names. Nothing is
opened, and pyarrow is not loaded, before that happens. A few row groups stay in memory, because
neighbours are mostly asked for together. What was purged is never put in, whatever a file holds.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from audit.archive_check import inspect_archive
from audit.archive_index import (
    Archived,
    ArchivedFile,
    ArchiveIndex,
    parse_act,
    read_acts,
    scan_act_records,
)
from audit.archive_place import ArchivePlace
from audit.archive_rows import find_fault, is_covered
from audit.errors import ArchiveDamagedError, ArchiveUnavailableError, RecordMalformedError
from audit.reading import Record
from audit.retention import Purges, collect_purges
from audit.scan import scan_purges

_KEPT_GROUPS: Final = 12
_FACTS_NAMED: Final = b'"facts_sha256":'
_PERSONAL_NAMED: Final = b'"personal_sha256":'


class ArchivedBodies:
    """Completes records from the archive.

    Parameters
    ----------
    place
        Where the files are.
    """

    def __init__(self, place: ArchivePlace) -> None:
        self.place = place
        self._index = ArchiveIndex()
        self._purges = Purges()
        self._seen = -1
        self._groups: OrderedDict[tuple[str, int], dict[int, Record]] = OrderedDict()
        self._lock = threading.Lock()

    def complete(self, connection: Connection, records: list[Record]) -> list[Record]:
        """Return the records, with the parts put in that were released.

        A part that no archive entry of the log covers stays missing, and so does one that was
        purged.

        Raises
        ------
        ArchiveUnavailableError
            If the file that holds a part cannot be read.
        ArchiveDamagedError
            If the file does not hold what the header names.
        """
        if not any(map(lacks_part, records)):
            return records
        with self._lock:
            self._learn(connection)
            return [self._complete_one(one) if lacks_part(one) else one for one in records]

    def inspect(self, connection: Connection) -> Iterator[tuple[int | None, str, str]]:
        """Yield what is wrong with the archive: leaf index, code and sentence."""
        yield from inspect_archive(connection, self.place)

    def verify_reachable(self, connection: Connection) -> int:
        """Check that the newest archived file is there; return the number of archived months.

        Raises
        ------
        ArchiveUnavailableError
            If it is not.
        """
        acts = list(read_acts(connection))
        files = [kept.file for kept in ArchiveIndex(acts).kept() if kept.file is not None]
        if files and self.place.size(files[-1].path) != files[-1].size_bytes:
            raise ArchiveUnavailableError(f"the archive file {files[-1].path} is not there")
        return len({act.month for act in acts if isinstance(act, Archived)})

    def _complete_one(self, record: Record) -> Record:
        if is_covered(self._purges, record):
            return record
        file = self._index.find(record.leaf_index, record.leaf)
        if file is None:
            return record
        row = self._read_row(file, record.leaf_index)
        if row is None or row.leaf != record.leaf or find_fault(row) is not None:
            detail = f"the archive file {file.path} does not hold the entry at {record.leaf_index}"
            raise ArchiveDamagedError(detail)
        facts = row.facts if record.facts is None else record.facts
        return replace(record, facts=facts, sealed=record.sealed or row.sealed)

    def _learn(self, connection: Connection) -> None:
        # Another process may have archived or purged something since.
        purges = collect_purges(scan_purges(connection, self._seen))
        records = list(scan_act_records(connection, self._seen))
        for record in records:
            # An entry that does not hold covers nothing; a verification names it.
            with suppress(RecordMalformedError):
                self._index.add(parse_act(record))
        if records or purges.newest() >= 0:
            self._purges += purges
            self._groups.clear()
            self._seen = max(purges.newest(), *(record.leaf_index for record in records), -1)

    def _read_row(self, file: ArchivedFile, leaf_index: int) -> Record | None:
        for place in reversed(self._groups):
            if place[0] == file.path and leaf_index in self._groups[place]:
                self._groups.move_to_end(place)
                return self._groups[place][leaf_index]
        from audit.archive_files import read_group_of  # noqa: PLC0415 - loads pyarrow

        with self.place.open(file.path) as opened:
            rows = read_group_of(opened, leaf_index)
        if not rows:
            return None
        group = {row.leaf_index: row for row in rows}
        self._groups[file.path, rows[0].leaf_index] = group
        while len(self._groups) > _KEPT_GROUPS:
            self._groups.popitem(last=False)
        return group.get(leaf_index)


def lacks_part(record: Record) -> bool:
    """Tell whether a record lacks a part that its header names.

    Examples
    --------
    >>> lacks_part(Record(0, "a", b'{"facts_sha256":"00"}', None, None, 1))
    True
    >>> lacks_part(Record(0, "a", b'{"id":"a"}', None, None, 1))
    False
    """
    # Headers are canonical JSON, so a member's name stands in them just so.
    lacks_facts = record.facts is None and _FACTS_NAMED in record.leaf
    return lacks_facts or (record.sealed is None and _PERSONAL_NAMED in record.leaf)
