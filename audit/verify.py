"""Checking the whole store against itself and against the log's signatures.

`verify_store` recomputes every hash from the stored bytes and compares everything that can be
searched with what headers and facts say. It never raises over what it finds: each finding is a
`Problem` that names the entry. What it cannot see is a log that was rolled back as a whole to an
earlier state; a checkpoint kept elsewhere, and a consistency proof, show that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from audit.archive_check import complete_raw
from audit.checkpoint import split_note, verify_checkpoint
from audit.counters import CounterTally
from audit.errors import (
    AuditError,
    CheckpointInvalidError,
    PurgeInvalidError,
    RecordMalformedError,
    StoreUnavailableError,
)
from audit.inspection import inspect_entry, is_purged, read_header
from audit.merkle import HASH_SIZE_BYTES, NodeId, leaf_hash, node_hash, peaks, root_of_peaks
from audit.opening import Opening, open_sealed
from audit.reading import BodySource
from audit.records import EntryType
from audit.retention import Purges, collect_purges
from audit.rotation import KeyChange, key_ranges, parse_key_change, range_of, trusted_ranges
from audit.scan import (
    PART_TABLES,
    RawEntry,
    count_entries,
    count_idempotency,
    read_entry,
    read_entry_id,
    read_erased,
    read_idempotency,
    read_nodes,
    scan_checkpoints,
    scan_entries,
    scan_idempotency,
    scan_key_changes,
    scan_nodes_outside,
    scan_orphans,
    scan_purges,
)
from audit.seal import Sealer
from audit.store import Store
from audit.vouched import Vouched, Vouchers, inspect_vouched
from audit.working_tables import inspect_working_tables

_CHUNK_LEAVES: Final = 1024
_MOST_PROBLEMS: Final = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written.

    Parameters
    ----------
    leaf_index, entry_id
        The entry concerned, as far as it can be named.
    code
        Stable slug of the check that failed.
    detail
        One sentence; nothing personal.
    """

    leaf_index: int | None
    entry_id: str | None
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found.

    Parameters
    ----------
    ok
        True when there is no problem.
    tree_size, root_hash
        Of the tree as recomputed from the stored headers; the root is 32 bytes.
    problems
        At most 1000, in the order of the checks.
    erased
        How many entries' sealed parts an erasure made unreadable, with an entry that says so.
    purged
        How many entries' parts were removed when their retention had ended, as an entry says.
    cosignatures, anchors
        How many stand beside the checkpoints.
    """

    ok: bool
    tree_size: int
    root_hash: bytes
    problems: tuple[Problem, ...]
    erased: int = 0
    purged: int = 0
    cosignatures: int = 0
    anchors: int = 0


@dataclass(slots=True)
class _Growth:
    """The tree as recomputed so far; keeps its peaks and the nodes of the present chunk."""

    tree_size: int = 0
    peaks: dict[NodeId, bytes] = field(default_factory=dict)
    chunk_begin: int = 0
    chunk: dict[NodeId, bytes] = field(default_factory=dict)

    def add(self, digest: bytes) -> None:
        """Add a leaf, and every node that it completes."""
        level, index = 0, self.tree_size
        while index & 1:
            digest = node_hash(self.peaks.pop((level, index - 1)), digest)
            level, index = level + 1, index >> 1
            self.chunk[(level, index)] = digest
        self.peaks[(level, index)] = digest
        self.tree_size += 1

    def root_hash(self) -> bytes:
        """Return the root at the present size."""
        return root_of_peaks([self.peaks[name] for name in peaks(self.tree_size)])


@dataclass(slots=True)
class _Inspection:
    """The state of one verification."""

    connection: Connection
    vkeys: Sequence[str]
    sealer: Sealer | None
    bodies: BodySource | None = None
    changes: list[KeyChange] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    growth: _Growth = field(default_factory=_Growth)
    counters: CounterTally = field(default_factory=CounterTally)
    erased_keys: frozenset[str] = frozenset()
    erased: int = 0
    purges: Purges = field(default_factory=Purges)
    purged: int = 0
    used_keys: int = 0

    def open(self, entry: RawEntry) -> Opening:
        """Open an entry's sealed part, as far as it can be."""
        return open_sealed(entry, self.sealer, self.erased_keys)

    def keys_of(self, tree_size: int) -> Sequence[str]:
        """Return the keys that may have signed the checkpoint of a size."""
        if not self.changes:
            return self.vkeys
        vkey = range_of(key_ranges(self.changes, ""), tree_size).vkey
        return [] if vkey is None else [vkey]

    def note(self, leaf_index: Any, code: str, detail: str) -> None:  # noqa: ANN401 - tampered values have any type
        """Note a problem, unless there are too many already."""
        if len(self.problems) < _MOST_PROBLEMS:
            index = leaf_index if isinstance(leaf_index, int) else None
            name = None if index is None else read_entry_id(self.connection, index)
            self.problems.append(Problem(index, name, code, detail))


def verify_store(
    store: Store,
    vkeys: Sequence[str],
    sealer: Sealer | None,
    on_progress: Callable[[int, int], None] | None = None,
    vouchers: Vouchers | None = None,
) -> Report:
    """Check every value of every table of the log.

    Parameters
    ----------
    store
        The log's store.
    vkeys
        The log's verifier keys, known from elsewhere. While the log's key was never changed, each
        checkpoint has to be signed by one of them; after that by the key of its range, and one of
        these has to vouch for the log's whole length (`audit.rotation.trusted_ranges`).
    sealer
        Opens sealed parts to check them too; None checks only their hashes.
    on_progress
        Called with entries checked and entries in all.
    vouchers
        Whose signatures beside the tree can be checked; None for nobody's.

    Returns
    -------
    Report
        All problems found. Memory is bounded, whatever the size of the log.
    """
    try:
        with store.raw() as connection:
            erased_keys = read_erased(connection)
            inspection = _Inspection(
                connection, vkeys, sealer, store.bodies, erased_keys=erased_keys
            )
            _read_key_changes(inspection)
            _read_purges(inspection)
            # 0. What was archived, since released parts are read from there.
            for leaf_index, code, detail in (
                store.bodies.inspect(connection) if store.bodies else ()
            ):
                inspection.note(leaf_index, code, detail)
            # 1. Entries, parts, look-ups, tree and checkpoints in one pass along the log.
            _inspect_log(inspection, on_progress)
            # 2. Rows that belong to no entry, node or key.
            _inspect_strays(inspection)
            # 3. Used Idempotency-Keys against entries, and counters against the records.
            _inspect_idempotency(inspection)
            for detail in inspection.counters.differences(connection):
                inspection.note(None, "counter", detail)
            # 4. What witnesses and timestamping authorities said of the checkpoints.
            vouched = Vouched()
            for doubt in inspect_vouched(connection, vouchers or Vouchers(), vouched):
                size = doubt.tree_size
                place = size - 1 if isinstance(size, int) else None
                inspection.note(place, doubt.code, doubt.detail)
            # 5. What lets rows be changed past the guards is empty between transactions.
            for leaf_index, code, detail in inspect_working_tables(connection):
                inspection.note(leaf_index, code, detail)
    except StoreUnavailableError as error:
        unreadable = Problem(None, None, "store-unreadable", error.detail)
        return Report(ok=False, tree_size=0, root_hash=bytes(32), problems=(unreadable,))
    growth, problems = inspection.growth, tuple(inspection.problems)
    return Report(
        ok=not problems,
        tree_size=growth.tree_size,
        root_hash=growth.root_hash(),
        problems=problems,
        erased=inspection.erased,
        purged=inspection.purged,
        cosignatures=vouched.cosignatures,
        anchors=vouched.anchors,
    )


def _read_key_changes(inspection: _Inspection) -> None:
    # A row that the look-ups hide or invent is found when its own entry is inspected.
    types = (EntryType.LOG_KEY_ROTATED.value, EntryType.LOG_RECOVERED.value)
    for leaf, leaf_index, tree_size in scan_key_changes(inspection.connection, *types):
        change = None
        try:
            change = parse_key_change(leaf, leaf_index, tree_size)
        except AuditError as error:
            detail = f"a change of the key cannot be read: {error.detail}"
            inspection.note(leaf_index, "log-key", detail)
        if change is not None and isinstance(tree_size, int):
            inspection.changes.append(change)
    ranges = key_ranges(inspection.changes, "")
    if inspection.changes and not trusted_ranges(ranges, inspection.vkeys):
        detail = "no verifier key that was given vouches for the keys that the log names"
        inspection.note(inspection.changes[-1].leaf_index, "log-key", detail)


def _read_purges(inspection: _Inspection) -> None:
    def refuse(leaf_index: int, error: PurgeInvalidError) -> None:
        inspection.note(leaf_index, error.code, error.detail)

    inspection.purges = collect_purges(scan_purges(inspection.connection), refuse)


def _counts_as_purged(inspection: _Inspection, entry: RawEntry) -> bool:
    place = entry.leaf_index
    named = inspection.purges.holding(place) if isinstance(place, int) else None
    if named is None:
        return False
    try:
        header = read_header(entry.leaf)
    except RecordMalformedError:
        # Told already, with the entry's other findings.
        return False
    if is_purged(entry, header, inspection.purges):
        return True
    detail = "it names an entry that may not be purged, or was too young"
    inspection.note(named.leaf_index, PurgeInvalidError.code, detail)
    return False


def _inspect_log(inspection: _Inspection, on_progress: Callable[[int, int], None] | None) -> None:
    total = count_entries(inspection.connection)
    heads = _Heads(inspection)
    for hot in scan_entries(inspection.connection):
        entry = complete_raw(inspection.bodies, inspection.connection, hot)
        growth = inspection.growth
        if entry.leaf_index != growth.tree_size:
            _inspect_gap(inspection, entry.leaf_index)
        _inspect_leaf(inspection, entry)
        opening = inspection.open(entry)
        inspection.erased += opening.is_erased
        for finding in inspect_entry(entry, inspection.sealer, opening, inspection.purges):
            inspection.note(entry.leaf_index, finding.code, finding.detail)
        inspection.purged += _counts_as_purged(inspection, entry)
        _inspect_used_key(inspection, entry, opening)
        inspection.counters.add(entry.facts)
        heads.advance(entry)
        if growth.tree_size - growth.chunk_begin >= _CHUNK_LEAVES:
            _inspect_nodes(inspection)
            if on_progress:
                on_progress(growth.tree_size, total)
    _inspect_nodes(inspection)
    heads.finish()
    if on_progress:
        on_progress(inspection.growth.tree_size, total)


def _inspect_gap(inspection: _Inspection, leaf_index: Any) -> None:  # noqa: ANN401 - tampered values have any type
    place = inspection.growth.tree_size
    gap = leaf_index - place if isinstance(leaf_index, int) else 0
    detail = f"the entry at {place} is missing; the next stands at {leaf_index}"
    inspection.note(place, "index-gap", detail)
    # Empty places keep the entries behind a small gap where they belong.
    if 0 < gap <= _MOST_PROBLEMS:
        for _ in range(gap):
            inspection.growth.add(bytes(HASH_SIZE_BYTES))


def _inspect_leaf(inspection: _Inspection, entry: RawEntry) -> None:
    # A header that is no bytes any more cannot be hashed; its recorded hash keeps the tree going.
    known = entry.leaf_hash
    if isinstance(entry.leaf, bytes):
        known = leaf_hash(entry.leaf)
        if entry.leaf_hash != known:
            detail = "the leaf hash is not that of the header"
            inspection.note(entry.leaf_index, "leaf-hash", detail)
    usable = isinstance(known, bytes) and len(known) == HASH_SIZE_BYTES
    inspection.growth.add(known if usable else bytes(HASH_SIZE_BYTES))


def _inspect_nodes(inspection: _Inspection) -> None:
    growth = inspection.growth
    begin, end = growth.chunk_begin, growth.tree_size
    expected = growth.chunk
    stored: dict[NodeId, Any] = {}
    for level in range(1, end.bit_length()):
        stored |= read_nodes(inspection.connection, level, begin >> level, end >> level)
    for name in sorted(expected.keys() | stored.keys(), key=str):
        if expected.get(name) != stored.get(name):
            level, index = name
            first = index << level if isinstance(index, int) else None
            detail = f"node {index} of level {level} is not the hash of its children"
            inspection.note(first, "tree-node", detail)
    growth.chunk, growth.chunk_begin = {}, end


class _Heads:
    """Walks the checkpoints beside the entries and compares the two."""

    def __init__(self, inspection: _Inspection) -> None:
        self._inspection = inspection
        self._rows: Iterator[tuple[Any, Any]] = scan_checkpoints(inspection.connection)
        self._row = next(self._rows, None)
        self._last_size = 0

    def advance(self, entry: RawEntry) -> None:
        """Check the checkpoint that the entry's receipt names, and those at the present size."""
        size = self._inspection.growth.tree_size
        while self._row is not None and self._is_before(size):
            self._stray()
        if self._row is None or self._row[0] != entry.tree_size:
            detail = "the entry's tree size is not that of the first checkpoint that covers it"
            self._inspection.note(entry.leaf_index, "tree-size", detail)
        if self._row is not None and self._row[0] == size:
            self._verify(size, self._row[1], entry)
            self._row = next(self._rows, None)
            self._last_size = size

    def finish(self) -> None:
        """Check that the newest checkpoint covers the whole log, and nothing is left over."""
        while self._row is not None:
            self._stray()
        size = self._inspection.growth.tree_size
        if self._last_size != size:
            detail = f"no checkpoint covers the whole log of {size} entries"
            self._inspection.note(size - 1, "checkpoint-missing", detail)

    def _is_before(self, size: int) -> bool:
        return self._row is not None and not (
            isinstance(self._row[0], int) and self._row[0] >= size
        )

    def _stray(self) -> None:
        size = self._row[0] if self._row else None
        detail = f"a checkpoint of size {size} belongs to no batch of entries"
        last = size - 1 if isinstance(size, int) else None
        self._inspection.note(last, "checkpoint-stray", detail)
        self._row = next(self._rows, None)

    def _verify(self, size: int, note: Any, entry: RawEntry) -> None:  # noqa: ANN401 - tampered values have any type
        fault = _checkpoint_fault(note, self._inspection.keys_of(size))
        root_hash = self._inspection.growth.root_hash()
        if isinstance(fault, str):
            self._inspection.note(entry.leaf_index, "checkpoint-invalid", fault)
        elif fault != (size, root_hash):
            detail = f"the checkpoint of size {size} signs another tree"
            self._inspection.note(entry.leaf_index, "checkpoint-root", detail)


def _checkpoint_fault(note: Any, vkeys: Sequence[str]) -> str | tuple[int, bytes]:  # noqa: ANN401 - tampered values have any type
    if not isinstance(note, str):
        return "the checkpoint is not a text"
    fault = "there is no verifier key to check it with"
    for vkey in vkeys:
        try:
            head = verify_checkpoint(note, vkey)
        except CheckpointInvalidError as error:
            fault = error.detail
        else:
            # Others' signatures have a table of their own; here a further line is a foreign one.
            if len(split_note(note)[1]) != 1:
                return "the checkpoint has signatures beside the log's own"
            return head.tree_size, head.root_hash
    return fault


def _inspect_strays(inspection: _Inspection) -> None:
    for level, index in scan_nodes_outside(inspection.connection, inspection.growth.tree_size):
        detail = f"a node {index!r} of level {level!r} is not in the tree"
        inspection.note(None, "tree-node-stray", detail)
    for table in PART_TABLES:
        for leaf_index in scan_orphans(inspection.connection, table):
            detail = f"a row of {table} belongs to no entry"
            inspection.note(leaf_index, "part-stray", detail)


def _inspect_used_key(inspection: _Inspection, entry: RawEntry, opening: Opening) -> None:
    used = opening.hashes
    if used is None or used.key is None:
        return
    found = read_idempotency(inspection.connection, used.key)
    if found == (entry.leaf_index, used.body):
        inspection.used_keys += 1
        return
    detail = "the look-up row of the entry's Idempotency-Key is missing or another"
    inspection.note(entry.leaf_index, "idempotency", detail)


def _inspect_idempotency(inspection: _Inspection) -> None:
    # Each row that an entry called for was counted; only when there are more is each opened.
    connection = inspection.connection
    if inspection.used_keys == count_idempotency(connection):
        return
    for key_hash, leaf_index, body_hash in scan_idempotency(connection):
        found = read_entry(connection, leaf_index)
        entry = None if found is None else complete_raw(inspection.bodies, connection, found)
        used = None if entry is None else inspection.open(entry).hashes
        is_unknown = entry is not None and used is None
        if not is_unknown and (used is None or (used.key, used.body) != (key_hash, body_hash)):
            detail = "a used Idempotency-Key is not that of the entry it names"
            inspection.note(leaf_index, "idempotency-stray", detail)
