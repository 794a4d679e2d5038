"""Which records a purge may remove, read from one snapshot.

The unit is a chain: its decisions, and what was said of them. It goes as a whole, when the youngest
of it is older than the retention of its kind and no legal hold is on any key that it is sealed
under. Entries of the log itself are never among them. Parts that are in the archive alone are read
from there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, bindparam, text

from audit.archive_source import lacks_part
from audit.counters import CounterTally
from audit.errors import ArchiveDamagedError, ArchiveUnavailableError
from audit.months import PURGED_TYPES
from audit.reading import BodySource, Record
from audit.records import CounterKey, EntryType, format_time
from audit.retention import Retention, Rule
from audit.seal import HEAD_SIZE_BYTES

_Item = TypeVar("_Item")
_UNITS_AT_ONCE: Final = 500
MOST_ENTRIES: Final = 100_000
_OLD: Final = text(
    "SELECT leaf_index, entry_id, kind, recorded_at, chain_id FROM entry_lookup "
    " WHERE entry_type = 'decision' AND leaf_index > :after AND outcome IS NOT NULL "
    " ORDER BY leaf_index LIMIT :limit"
)
_COLUMNS: Final = "leaf_index, entry_id, entry_type, kind, recorded_at, order_hash, subject_hash"
_CHAINED: Final = text(
    f"SELECT {_COLUMNS} FROM entry_lookup WHERE chain_id IN :names AND entry_type IN :types"  # noqa: S608 - constants above
).bindparams(bindparam("names", expanding=True), bindparam("types", expanding=True))
_CHAINS: Final = text(
    "SELECT entry_id, chain_id FROM entry_lookup WHERE chain_id IN :names"
).bindparams(bindparam("names", expanding=True))
_ABOUT: Final = text(
    f"SELECT about, {_COLUMNS} FROM entry_lookup WHERE about IN :names AND entry_type IN :types"  # noqa: S608 - constants above
).bindparams(bindparam("names", expanding=True), bindparam("types", expanding=True))
_PARTS: Final = text(
    "SELECT e.month, e.leaf_index, e.entry_id, e.leaf, f.body, "  # noqa: S608 - constants above
    f"  substr(p.sealed, 1, {HEAD_SIZE_BYTES}), e.tree_size "
    "  FROM log_entry e "
    "  LEFT JOIN facts_part f ON f.leaf_index = e.leaf_index AND f.month = e.month "
    "  LEFT JOIN personal_part p ON p.leaf_index = e.leaf_index AND p.month = e.month "
    " WHERE e.leaf_index IN :places"
).bindparams(bindparam("places", expanding=True))
_TYPES: Final = sorted(one.value for one in PURGED_TYPES)


@dataclass(frozen=True, slots=True)
class Due:
    """When a purge is planned, and by which rules.

    Parameters
    ----------
    retention
        Days of each kind.
    now
        Aware time.
    held
        Ids of the keys under a legal hold.
    key_id
        Returns whose key a sealed part's first bytes name (`Sealer.key_id`).
    """

    retention: Retention
    now: datetime
    held: frozenset[bytes]
    key_id: Callable[[bytes], bytes]

    def rule(self, kind: str) -> Rule:
        """Return the cut-off of a kind."""
        before = self.retention.before(kind, self.now)
        return Rule(self.retention.days_of(kind), format_time(before))


@dataclass(slots=True)
class Plan:
    """What may go.

    Parameters
    ----------
    places, months
        Leaf indexes of the entries, and the months that their parts are kept under.
    records, kinds
        Number of entries of each type, and of decisions of each kind.
    rules
        Kind to cut-off, of the kinds that something goes of.
    concerned
        Ids of the decisions and chains.
    used
        Uses of the caps' counters that leave with the facts.
    owners
        Id of each key that something was sealed under, with the hashes of order and customer.
    held
        Number of decisions that are old enough and stay for a legal hold's sake.
    away
        Number of decisions that are old enough and of which a part cannot be read, neither in the
        database nor in the archive.
    end
        The last place looked at; the next plan begins behind it.
    is_whole
        Whether nothing is left behind it.
    """

    places: list[int] = field(default_factory=list)
    months: set[str] = field(default_factory=set)
    records: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    rules: dict[str, Rule] = field(default_factory=dict)
    concerned: set[str] = field(default_factory=set)
    used: Counter[CounterKey] = field(default_factory=Counter)
    owners: dict[bytes, tuple[bytes | None, bytes | None]] = field(default_factory=dict)
    held: int = 0
    away: int = 0
    end: int = -1
    is_whole: bool = False

    def ranges(self) -> list[tuple[int, int]]:
        """Return first and last leaf index of each range, rising."""
        ranges: list[tuple[int, int]] = []
        for place in sorted(self.places):
            if ranges and ranges[-1][1] == place - 1:
                ranges[-1] = (ranges[-1][0], place)
            else:
                ranges.append((place, place))
        return ranges


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is kept of an entry, and under which month; a sealed part's first bytes at least."""

    month: str
    record: Record


@dataclass(slots=True)
class _Unit:
    """A chain, as far as it is read."""

    name: str
    entries: list[Any] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)


def plan_purge(
    connection: Connection,
    due: Due,
    after: int = -1,
    most: int = MOST_ENTRIES,
    bodies: BodySource | None = None,
) -> Plan:
    """Return what may go.

    Parameters
    ----------
    connection
        In a snapshot (`Store.raw`).
    due
        When, by which rules.
    after
        The last place that an earlier plan looked at.
    most
        Stops after so many entries; a chain is never cut.
    bodies
        Where parts are read that the database no longer holds; None for nowhere.
    """
    plan = Plan(end=after)
    seen: set[str] = set()
    while len(plan.places) < most:
        page = {"after": plan.end, "limit": _UNITS_AT_ONCE}
        rows = connection.execute(_OLD, page).fetchall()
        if not rows:
            plan.is_whole = True
            return plan
        plan.end = rows[-1].leaf_index
        old = [row for row in rows if str(row.recorded_at) < due.rule(str(row.kind)).before]
        names = [name for name in dict.fromkeys(_name(row) for row in old) if name not in seen]
        seen.update(names)
        for some in _pages(names):
            old_units = [one for one in _read_units(connection, some) if _is_old(one, due)]
            places = [row.leaf_index for unit in old_units for row in unit.entries]
            _add(plan, due, old_units, _read_parts(connection, places, bodies))
    return plan


def _pages(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for begin in range(0, len(items), _UNITS_AT_ONCE):
        yield items[begin : begin + _UNITS_AT_ONCE]


def _name(row: Any) -> str:  # noqa: ANN401 - a row
    return str(row.chain_id)


def _read_units(connection: Connection, names: Sequence[str]) -> list[_Unit]:
    asked = {"names": list(names), "types": _TYPES}
    units = {name: _Unit(name) for name in names}
    chain_of = {
        str(row[0]): units[str(row[1])]
        for row in connection.execute(_CHAINS, {"names": list(names)})
    }
    for row in connection.execute(_CHAINED, asked):
        chain_of[str(row.entry_id)].entries.append(row)
        chain_of[str(row.entry_id)].decisions.append(str(row.entry_id))
    for some in _pages(list(chain_of)):
        about = {"names": list(some), "types": _TYPES}
        for row in connection.execute(_ABOUT, about):
            chain_of[str(row.about)].entries.append(row)
    return list(units.values())


def _add(plan: Plan, due: Due, units: Iterable[_Unit], parts: Mapping[int, _Parts]) -> None:
    for unit in units:
        records = [parts[row.leaf_index].record for row in unit.entries]
        if any(map(lacks_part, records)):
            # Whose key sealed it cannot be seen, and a purge must not cover up what went otherwise.
            plan.away += len(unit.decisions)
            continue
        keys = {
            record.leaf_index: due.key_id(record.sealed)
            for record in records
            if record.sealed is not None
        }
        if due.held.intersection(keys.values()):
            plan.held += len(unit.decisions)
            continue
        _add_unit(plan, due, unit, parts, keys)


def _is_old(unit: _Unit, due: Due) -> bool:
    return all(str(row.recorded_at) < due.rule(str(row.kind)).before for row in unit.entries)


def _add_unit(
    plan: Plan,
    due: Due,
    unit: _Unit,
    parts: Mapping[int, _Parts],
    keys: Mapping[int, bytes],
) -> None:
    plan.concerned.update((unit.name, *unit.decisions))
    tally = CounterTally()
    for row in unit.entries:
        kept = parts[row.leaf_index]
        plan.places.append(row.leaf_index)
        plan.months.add(kept.month)
        plan.records[row.entry_type] += 1
        plan.kinds[row.kind] += row.entry_type == EntryType.DECISION
        plan.rules.setdefault(row.kind, due.rule(row.kind))
        tally.add(kept.record.facts)
        if row.leaf_index in keys:
            plan.owners[keys[row.leaf_index]] = (row.order_hash, row.subject_hash)
    plan.used.update(tally.used)


def _read_parts(
    connection: Connection, places: Sequence[int], bodies: BodySource | None
) -> dict[int, _Parts]:
    found: dict[int, _Parts] = {}
    for some in _pages(places):
        for month, leaf_index, entry_id, leaf, facts, sealed, tree_size in connection.execute(
            _PARTS, {"places": list(some)}
        ):
            head = None if sealed is None else bytes(sealed)
            record = Record(leaf_index, entry_id, leaf, facts, head, tree_size)
            found[leaf_index] = _Parts(str(month), _complete(connection, record, bodies))
    return found


def _complete(connection: Connection, record: Record, bodies: BodySource | None) -> Record:
    if bodies is None or not lacks_part(record):
        return record
    try:
        [whole] = bodies.complete(connection, [record])
    except (ArchiveUnavailableError, ArchiveDamagedError):
        # Counted as away; a verification names the file.
        return record
    return whole
