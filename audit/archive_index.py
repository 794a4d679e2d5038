"""What is archived: the log's own entries of the type `archive`, and the files that they name.

An entry says that files of a month were written (act `archive`), that the month's parts leave the
hot store (act `release`), or that files were replaced by ones without what a purge removed (act
`purge`). Files are named by month, kind and day; which file can hold an entry follows from its
header.
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
class Extent:
    """How many rows there are, and the leaf indexes of the first and the last."""

    rows: int
    first_leaf: int
    last_leaf: int


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
class Replaced:
    """A file that left the archive, and what took its place.

    Parameters
    ----------
    path, sha256
        Of the file, as the log named it before.
    by
        Holds those of its entries that were not purged; None when there were none.
    """

    path: str
    sha256: str
    by: ArchivedFile | None


@dataclass(frozen=True, slots=True)
class Thinned:
    """A `purge` entry of the archive: of these files, what was purged is gone.

    Parameters
    ----------
    month
        ``YYYY-MM`` of UTC.
    tree_size
        What entries `purge` below this size of the log cover is gone; nothing else is.
    files
        At least one.
    entry_id, leaf_index
        Of the entry of the log.
    """

    month: str
    tree_size: int
    files: tuple[Replaced, ...]
    entry_id: str
    leaf_index: int


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that the archive has to hold now.

    Parameters
    ----------
    file
        As the log names it; None for one of which every entry was purged.
    root, act
        The file that it came of, and the entry that named that first.
    as_of
        What purges below this size of the log cover has left it.
    leaf_index
        Of the entry that names it.
    """

    file: ArchivedFile | None
    root: ArchivedFile
    act: Archived
    as_of: int
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


@dataclass(frozen=True, slots=True)
class _PurgeFacts:
    act: Literal["purge"]
    month: str
    tree_size: int
    files: tuple[Replaced, ...]


Act: TypeAlias = Archived | Released | Thinned
_FACTS: Final[TypeAdapter[_ArchiveFacts | _ReleaseFacts | _PurgeFacts]] = TypeAdapter(
    _ArchiveFacts | _ReleaseFacts | _PurgeFacts
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
    if isinstance(said, _PurgeFacts):
        return Thinned(said.month, said.tree_size, said.files, *place)
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
    """Tells which files there are, and which of them holds an entry.

    Parameters
    ----------
    acts
        What the log says, oldest first.
    """

    def __init__(self, acts: Iterable[Act] = ()) -> None:
        self._kept: dict[str, KeptFile] = {}
        self._places: dict[tuple[str | None, str], list[ArchivedFile]] = {}
        self._emptied: list[KeptFile] = []
        self._left: set[str] = set()
        for act in acts:
            self.add(act)

    def add(self, act: Act) -> str | None:
        """Add what one more entry says; return why it cannot be, in which case it counts for none.

        Parameters
        ----------
        act
            Behind those added before.
        """
        if isinstance(act, Archived):
            for file in act.files:
                self._put(KeptFile(file, file, act, act.tree_size, act.leaf_index))
        elif isinstance(act, Thinned):
            fault = self._find_fault(act)
            if fault is not None:
                return fault
            for replaced in act.files:
                self._replace(act, replaced)
        return None

    def kept(self) -> list[KeptFile]:
        """Return the files that have to be there, and with None those that a purge left nothing of.

        Each of the latter stands for a file that was replaced by none.
        """
        return [*self._kept.values(), *self._emptied]

    def left(self) -> list[str]:
        """Return the paths that files were at which were replaced; nothing may be there now."""
        return sorted(self._left - self._kept.keys())

    def files_of(self, act: Archived) -> tuple[ArchivedFile, ...]:
        """Return what there is now of the files that an entry named."""
        mine = (kept for kept in self._kept.values() if kept.act.leaf_index == act.leaf_index)
        return tuple(kept.file for kept in mine if kept.file is not None)

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
        files = self._places.get((kind if isinstance(kind, str) else None, moment[:DAY_CHARACTERS]))
        for file in files or ():
            if file.first_leaf <= leaf_index <= file.last_leaf:
                return file
        return None

    def _put(self, kept: KeptFile) -> None:
        if kept.file is None:
            self._emptied.append(kept)
            return
        self._kept[kept.file.path] = kept
        self._places.setdefault((kept.file.kind, kept.file.day), []).append(kept.file)

    def _replace(self, act: Thinned, replaced: Replaced) -> None:
        before = self._kept.pop(replaced.path)
        if before.file is not None:
            self._places[before.file.kind, before.file.day].remove(before.file)
        self._left.add(replaced.path)
        self._put(KeptFile(replaced.by, before.root, before.act, act.tree_size, act.leaf_index))

    def _find_fault(self, act: Thinned) -> str | None:
        if act.tree_size > act.leaf_index:
            return "it names purges behind itself"
        paths = [replaced.path for replaced in act.files]
        paths += [replaced.by.path for replaced in act.files if replaced.by is not None]
        if len(set(paths)) < len(paths):
            return "it names a file twice"
        for replaced in act.files:
            before = self._kept.get(replaced.path)
            if before is None or before.file is None or before.file.sha256 != replaced.sha256:
                return f"it replaces {replaced.path}, which was no file of the archive"
            if replaced.by is not None and not _fits(before.file, replaced.by):
                return f"what it puts in the place of {replaced.path} is of other entries"
            if replaced.by is not None and replaced.by.path in (self._left | self._kept.keys()):
                return f"it names {replaced.by.path}, which was a file of the archive before"
        return None


def _fits(before: ArchivedFile, after: ArchivedFile) -> bool:
    is_within = before.first_leaf <= after.first_leaf <= after.last_leaf <= before.last_leaf
    return is_within and (before.kind, before.day) == (after.kind, after.day)


def build_path(
    kind: str | None, day: str, first_leaf: int, last_leaf: int, purge_leaf: int | None = None
) -> str:
    """Return a file's path below the archive's address.

    Parameters
    ----------
    kind, day, first_leaf, last_leaf
        See `ArchivedFile`.
    purge_leaf
        Leaf index of the newest purge that took entries out of it; None when none did.

    Examples
    --------
    >>> build_path("risk", "2026-01-15", 0, 41)
    'month=2026-01/kind=risk/day=2026-01-15/leaves-000000000000-000000000041.parquet'
    """
    named = _NO_KIND if kind is None else quote(kind, safe="")
    folder = f"month={day[:_MONTH_CHARACTERS]}/kind={named}/day={day}"
    thinned = "" if purge_leaf is None else f"-purged-{purge_leaf:012d}"
    return f"{folder}/leaves-{first_leaf:012d}-{last_leaf:012d}{thinned}.parquet"
