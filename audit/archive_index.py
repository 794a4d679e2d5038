"""What is archived: the log's own entries of the type `archive`, and the files that they name.

An entry says either that files of a month were written (act `archive`) or that the month's parts
leave the hot store (act `release`). Files are named by month, kind and day; which file can hold an
entry follows from its header.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, text

from audit.canonical import parse_json
from audit.errors import RecordMalformedError
from audit.reading import Record

_MONTH_CHARACTERS: Final = 7
DAY_CHARACTERS: Final = 10
# What Hive, DuckDB and Arrow take for "no value".
_NO_KIND: Final = "__HIVE_DEFAULT_PARTITION__"


_ACTS: Final = """
SELECT e.leaf_index, e.entry_id, e.leaf, f.body, NULL, e.tree_size
  FROM entry_lookup l
  JOIN log_entry e ON e.leaf_index = l.leaf_index
  LEFT JOIN facts_part f ON f.leaf_index = l.leaf_index
 WHERE l.entry_type = 'archive' AND l.leaf_index > :after ORDER BY l.leaf_index
"""


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One Parquet file, as the log names it.

    Parameters
    ----------
    path
        Below the archive's address.
    sha256
        Of its bytes, hexadecimal.
    size_bytes, rows
        How large it is, and how many entries it holds.
    first_leaf, last_leaf
        Leaf indexes of the first and the last of them.
    kind, day
        What all its entries share; ``day`` is ``YYYY-MM-DD`` of UTC.
    """

    path: str
    sha256: str
    size_bytes: int
    rows: int
    first_leaf: int
    last_leaf: int
    kind: str | None
    day: str


@dataclass(frozen=True, slots=True)
class Archived:
    """An `archive` entry: these files hold the month's entries up to a size of the log.

    Parameters
    ----------
    month
        ``YYYY-MM`` of UTC.
    begin, tree_size
        Every entry recorded in the month with begin <= leaf index < tree size is in the files.
    entries, first_leaf, last_leaf
        Their number and place.
    files
        At least one.
    entry_id, leaf_index
        Of the entry of the log.
    """

    month: str
    begin: int
    tree_size: int
    entries: int
    first_leaf: int
    last_leaf: int
    files: tuple[ArchivedFile, ...]
    entry_id: str
    leaf_index: int


@dataclass(frozen=True, slots=True)
class Released:
    """A `release` entry: the month's parts below a size of the log leave the hot store."""

    month: str
    tree_size: int
    entry_id: str
    leaf_index: int


@dataclass(frozen=True, slots=True)
class _ArchiveFacts:
    act: Literal["archive"]
    month: str
    begin: int
    tree_size: int
    entries: int
    first_leaf: int
    last_leaf: int
    files: tuple[ArchivedFile, ...]


@dataclass(frozen=True, slots=True)
class _ReleaseFacts:
    act: Literal["release"]
    month: str
    tree_size: int


Act: TypeAlias = Archived | Released
_FACTS: Final[TypeAdapter[_ArchiveFacts | _ReleaseFacts]] = TypeAdapter(
    _ArchiveFacts | _ReleaseFacts
)


def parse_act(record: Record) -> Act:
    """Read an entry of the type `archive`.

    Raises
    ------
    RecordMalformedError
        If its facts are not one's.
    """
    try:
        said = _FACTS.validate_json(record.facts or b"")
    except (ValidationError, TypeError) as error:
        detail = f"the archive entry at {record.leaf_index} does not name files of a month"
        raise RecordMalformedError(detail) from error
    place = (record.entry_id, record.leaf_index)
    if isinstance(said, _ReleaseFacts):
        return Released(said.month, said.tree_size, *place)
    return Archived(
        said.month,
        said.begin,
        said.tree_size,
        said.entries,
        said.first_leaf,
        said.last_leaf,
        said.files,
        *place,
    )


def read_acts(connection: Connection, after: int = -1) -> Iterator[Act]:
    """Yield what the log's archive entries behind a place say, oldest first.

    Raises
    ------
    RecordMalformedError
        If one of them cannot be read.
    """
    for record in scan_act_records(connection, after):
        yield parse_act(record)


def scan_act_records(connection: Connection, after: int = -1) -> Iterator[Record]:
    """Yield the archive entries behind a place as they lie in the database, oldest first."""
    for row in connection.execute(text(_ACTS), {"after": after}).all():
        yield Record(*row)


class ArchiveIndex:
    """Tells which file holds an entry.

    Parameters
    ----------
    acts
        What the log says; any order.
    """

    def __init__(self, acts: Iterable[Act] = ()) -> None:
        self._files: dict[tuple[str | None, str], list[ArchivedFile]] = {}
        for act in acts:
            self.add(act)

    def add(self, act: Act) -> None:
        """Add what one more entry says."""
        for file in act.files if isinstance(act, Archived) else ():
            self._files.setdefault((file.kind, file.day), []).append(file)

    def find(self, leaf_index: int, leaf: bytes) -> ArchivedFile | None:
        """Return the file that holds an entry, or None when none does.

        Parameters
        ----------
        leaf_index
            Its place.
        leaf
            Its header, exact bytes.
        """
        header = parse_json(leaf)
        if not isinstance(header, dict):
            return None
        kind, moment = header.get("kind"), str(header.get("recorded_at"))
        files = self._files.get((kind if isinstance(kind, str) else None, moment[:DAY_CHARACTERS]))
        for file in files or ():
            if file.first_leaf <= leaf_index <= file.last_leaf:
                return file
        return None


def build_path(kind: str | None, day: str, first_leaf: int, last_leaf: int) -> str:
    """Return a file's path below the archive's address.

    Examples
    --------
    >>> build_path("risk", "2026-01-15", 0, 41)
    'month=2026-01/kind=risk/day=2026-01-15/leaves-000000000000-000000000041.parquet'
    """
    named = _NO_KIND if kind is None else quote(kind, safe="")
    folder = f"month={day[:_MONTH_CHARACTERS]}/kind={named}/day={day}"
    return f"{folder}/leaves-{first_leaf:012d}-{last_leaf:012d}.parquet"
