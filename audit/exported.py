"""Which exports opened whose personal parts: the log says it, by the places of the entries.

An export that opens personal parts names their leaf indexes in its facts, as runs. Places are
nothing personal, and with them an erasure can name every file outside that still shows the
subject.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.canonical import parse_json
from audit.errors import RecordMalformedError
from audit.reading import Reading, Record
from audit.records import EntryType, parse_time
from models.domain import Json

_MOST_RUNS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Exported:
    """An export that opened personal parts.

    Parameters
    ----------
    leaf_index, entry_id
        Its entry.
    exported_at
        Aware UTC.
    bundle_sha256
        Of the zip, hex.
    """

    leaf_index: int
    entry_id: str
    exported_at: datetime
    bundle_sha256: str


class OpenedRuns:
    """Leaf indexes as runs, first and last included; few, whatever the number of indexes.

    Examples
    --------
    >>> runs = OpenedRuns()
    >>> for leaf_index in (3, 4, 5, 9):
    ...     runs.add(leaf_index)
    >>> runs.describe()
    [[3, 5], [9, 9]]
    """

    def __init__(self, most: int = _MOST_RUNS) -> None:
        self._most = most
        self._gap = 1
        self._runs: list[list[int]] = []

    def add(self, leaf_index: int) -> None:
        """Add an index; these come in rising order."""
        self._join([[leaf_index, leaf_index]])

    def merge(self, leaf_indexes: Iterable[int]) -> None:
        """Add indexes in any order."""
        whole = sorted([*self._runs, *([place, place] for place in leaf_indexes)])
        self._runs = []
        self._join(whole)

    def _join(self, rising: Iterable[list[int]]) -> None:
        for first, last in rising:
            if self._runs and first - self._runs[-1][1] <= self._gap:
                self._runs[-1][1] = max(last, self._runs[-1][1])
            else:
                self._runs.append([first, last])
        if len(self._runs) > self._most:
            # Too many: close the smaller gaps. An export is then named for some entries too many.
            self._gap *= 2
            whole, self._runs = self._runs, []
            self._join(whole)

    def describe(self) -> list[Json]:
        """Return the runs as they stand in facts."""
        return [[first, last] for first, last in self._runs]


def find_exports(reading: Reading, leaf_indexes: Collection[int]) -> list[Exported]:
    """Return the exports that opened any of some entries, oldest first.

    Raises
    ------
    RecordMalformedError
        If the facts of an export are not in a known form.
    """
    if not leaf_indexes:
        return []
    found = []
    for record in reading.records_of([EntryType.EXPORT]).values():
        facts = parse_json(record.facts or b"{}")
        said = facts if isinstance(facts, dict) else {}
        runs = [_run(one) for one in _items(said.get("opened"))]
        if any(first <= place <= last for place in leaf_indexes for first, last in runs):
            found.append(_exported(record, str(said.get("bundle_sha256"))))
    return sorted(found, key=lambda one: one.leaf_index)


def _exported(record: Record, bundle_sha256: str) -> Exported:
    header = parse_json(record.leaf)
    moment = header.get("recorded_at") if isinstance(header, dict) else None
    return Exported(record.leaf_index, record.entry_id, parse_time(str(moment)), bundle_sha256)


def _items(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _run(value: Json) -> tuple[int, int]:
    match value:
        case [int(first), int(last)]:
            return first, last
    raise RecordMalformedError("the facts of an export name no run of entries")
