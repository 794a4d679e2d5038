"""Which version of each reference table is in force: its latest entry of the log, nothing else.

The log is asked for newer entries at most once in a while; contents come from disk by digest and
are checked there. A kind's look-ups over some versions are compiled once and kept while in use.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from audit.records import EntryType
from audit.store import Store
from models.content_store import is_kept
from models.kind import Kind
from models.lookup import Lookups
from models.reference import ReferencePins, ReferenceTable, load_reference
from models.surroundings import ReferenceRef
from service.errors import ReferenceMissingError, ReferenceNotFoundError
from service.reference_versions import LoadedVersion, parse_version

_PAGE: Final = 1000
_KEPT_LOOKUPS: Final = 16


_Key: TypeAlias = tuple[int, tuple[tuple[str, str], ...]]


class References:
    """The versions of each table, and look-ups over them.

    Parameters
    ----------
    store
        Whose entries count.
    folder
        Where contents lie.
    refresh_seconds
        How old the knowledge of entries may be.
    clock
        Seconds, rising.
    """

    def __init__(
        self, store: Store, folder: Path, refresh_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._folder = folder
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._versions: dict[str, list[LoadedVersion]] = {}
        self._seen = -1
        self._refresh_at = float("-inf")
        self._changing = threading.Lock()
        self._building = threading.Lock()
        self._keeping = threading.Lock()
        self._lookups: OrderedDict[_Key, tuple[Kind, Lookups]] = OrderedDict()

    def in_force(self) -> dict[str, LoadedVersion]:
        """Return the version of each table that is asked now, by table name.

        Raises
        ------
        StoreUnavailableError
            When the log cannot be read.
        RecordMalformedError
            When a reference entry is not one.
        """
        with self._lock:
            self._refresh_if_due()
            return {name: versions[-1] for name, versions in sorted(self._versions.items())}

    def versions(self, name: str) -> list[LoadedVersion]:
        """Return all versions of a table in the order in which they came into force.

        Raises
        ------
        ReferenceNotFoundError
            When there is none.
        """
        with self._lock:
            self._refresh_if_due()
            versions = list(self._versions.get(name, ()))
        if not versions:
            raise ReferenceNotFoundError(f"no version of the table {name[:64]!r} was ever loaded")
        return versions

    def version(self, name: str, digest: str | None = None) -> LoadedVersion:
        """Return the version in force, or the one of a digest when it was ever in force.

        Raises
        ------
        ReferenceNotFoundError
            When there is none.
        """
        for loaded in reversed(self.versions(name)):
            if digest is None or loaded.version.digest == digest:
                return loaded
        raise ReferenceNotFoundError(f"{digest} was never a version of {name}")

    def table(self, digest: str) -> ReferenceTable:
        """Return a version's content.

        Raises
        ------
        ReferenceCorruptError
            When it is missing or altered.
        """
        return load_reference(self._folder, digest)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Let one change at a time compare and record; what it recorded is seen at once."""
        with self._changing:
            try:
                yield
            finally:
                with self._lock:
                    self._refresh_at = float("-inf")

    def lookups(self, kind: Kind) -> Lookups:
        """Return a kind's look-ups over the versions in force.

        Raises
        ------
        ReferenceMissingError
            When the kind asks a table that has no version.
        ReferenceCorruptError
            When a version is missing on disk or altered.
        """
        names = table_names(kind)
        versions = self.in_force() if names else {}
        found = {name: versions[name].version.digest for name in names if name in versions}
        return self.chosen(kind, found)

    def pinned(self, kind: Kind, references: Sequence[ReferenceRef]) -> Lookups:
        """Return a kind's look-ups over exactly the versions that a record pins.

        Raises
        ------
        ReferenceMissingError, ReferenceCorruptError
            See `lookups`.
        """
        return self.chosen(kind, {one.name: one.digest for one in references})

    def pinned_if_kept(self, kind: Kind, references: Sequence[ReferenceRef]) -> Lookups | None:
        """Return what `pinned` does, or None where a version is no longer on disk.

        Raises
        ------
        ReferenceCorruptError
            When a version is on disk but was altered.
        """
        named = {one.name: one.digest for one in references}
        kept = {name for name, digest in named.items() if is_kept(self._folder, digest)}
        return self.chosen(kind, named) if kept.issuperset(table_names(kind)) else None

    def as_of(self, kind: Kind, moment: datetime) -> Lookups:
        """Return a kind's look-ups over the versions that were in force at a moment.

        Parameters
        ----------
        moment
            Aware; a version is in force from the time of its entry on.

        Raises
        ------
        ReferenceNotFoundError
            When a table had no version then.
        ReferenceMissingError, ReferenceCorruptError
            See `lookups`.
        """
        then = {name: self._version_at(name, moment) for name in table_names(kind)}
        return self.chosen(kind, {name: loaded.version.digest for name, loaded in then.items()})

    def chosen(self, kind: Kind, digests: Mapping[str, str]) -> Lookups:
        """Return a kind's look-ups over chosen versions: table name to digest.

        Raises
        ------
        ReferenceMissingError, ReferenceCorruptError
            See `lookups`.
        ReferenceTableError
            When a version does not fit the kind.
        """
        names = table_names(kind)
        missing = [name for name in names if name not in digests]
        if missing:
            raise ReferenceMissingError(
                f"kind {kind.name} asks the table {missing[0]}, of which no version is in force"
            )
        pins = tuple((name, digests[name]) for name in names)
        key = (id(kind), pins)
        found = self._kept(key)
        if found is not None:
            return found
        # A long list takes a second to compile: once, and orders under the one before go on.
        with self._building:
            found = self._kept(key)
            if found is None:
                found = Lookups(kind, ReferencePins(dict(pins)).load(self._folder))
                self._keep(key, kind, found)
            return found

    def _kept(self, key: _Key) -> Lookups | None:
        with self._keeping:
            if key not in self._lookups:
                return None
            self._lookups.move_to_end(key)
            return self._lookups[key][1]

    def _keep(self, key: _Key, kind: Kind, lookups: Lookups) -> None:
        with self._keeping:
            # Kept kinds stay alive, so no other kind gets the id of one that is kept.
            self._lookups[key] = (kind, lookups)
            while len(self._lookups) > _KEPT_LOOKUPS:
                self._lookups.popitem(last=False)

    def _version_at(self, name: str, moment: datetime) -> LoadedVersion:
        versions = self.versions(name)
        # By place in the log: the clocks of two writers may disagree.
        for loaded in reversed(versions):
            if loaded.recorded_at <= moment:
                return loaded
        raise ReferenceNotFoundError(
            f"the table {name} had no version at {moment.isoformat()}",
            f"Its first was loaded at {versions[0].recorded_at.isoformat()}; name a time after it.",
        )

    def _refresh_if_due(self) -> None:
        if self._clock() < self._refresh_at:
            return
        while True:
            with self._store.reading() as reading:
                found = reading.found_after(self._seen, [EntryType.REFERENCE], _PAGE)
                records = [reading.record_at(item.leaf_index) for item in found]
            for record in records:
                loaded = parse_version(record)
                self._versions.setdefault(loaded.version.name, []).append(loaded)
                self._seen = record.leaf_index
            if len(found) < _PAGE:
                break
        self._refresh_at = self._clock() + self._refresh_seconds


def table_names(kind: Kind) -> tuple[str, ...]:
    """Return the tables that a kind asks, each once, in alphabetical order."""
    return tuple(sorted({lookup.table for lookup in kind.lookups}))
