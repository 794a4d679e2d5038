"""Looking an order up in reference tables, at the order's own date.

A look-up (`models.declarations.Lookup`) compares places of the order with key columns of a table
and gives values that texts and rules may use. Rules kept here: a row counts only on the days on
which it is valid; what identifies a person is returned apart from what may stand in the facts; an
order in which there is nothing to compare says so (`…_matched` is missing) instead of passing.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import product
from typing import TypeAlias

from models.declarations import Lookup
from models.domain import Json, JsonScalar
from models.errors import ReferenceTableError
from models.features import Order, OrderValue, build_getter
from models.kind import Kind
from models.parties import PartyList
from models.reference import OWN_COLUMNS, ReferenceRow, ReferenceTable
from models.surroundings import ReferenceRef, StaleReference

_ANY = "*"
_REDUCTIONS: dict[str, Callable[[list[float]], float]] = {
    "total": math.fsum,
    "largest": max,
    "smallest": min,
}
_Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the tables say of one order.

    Parameters
    ----------
    context
        Values for texts and rules; nothing that identifies a person.
    personal
        Look-up name to its matched entries, names and scores; to be sealed.
    references
        Versions that were asked, by table name.
    stale
        Those that were older than their limit.
    """

    context: dict[str, JsonScalar]
    personal: dict[str, Json]
    references: tuple[ReferenceRef, ...]
    stale: tuple[StaleReference, ...]


@dataclass(frozen=True, slots=True)
class _Match:
    row: ReferenceRow
    score: float
    asked: str


class CompiledLookup:
    """One look-up, with its table indexed.

    Parameters
    ----------
    lookup
        As the kind says it.
    table
        The version to ask.
    placed_at
        The kind's date, for look-ups that name none.

    Raises
    ------
    ReferenceTableError
        When the table lacks a column that the look-up names.
    """

    def __init__(self, lookup: Lookup, table: ReferenceTable, placed_at: str | None) -> None:
        self.lookup = lookup
        self.table = table
        self.digest = table.reference().digest
        _check_columns(lookup, table)
        self._getters = [build_getter(path) for path in lookup.inputs]
        date_path = lookup.date or placed_at
        self._date = None if date_path is None else build_getter(date_path)
        self._rows: dict[_Key, list[ReferenceRow]] = {}
        for row in table.rows:
            self._rows.setdefault(_row_key(lookup, row), []).append(row)
        self._sizes = sorted({len(key[-1]) for key in self._rows}, reverse=True)
        self._lists = {key: _party_list(lookup, rows) for key, rows in self._rows.items()}

    def moment(self, order: Order) -> datetime:
        """Return the order's own time; the table's when the order has none."""
        value = None if self._date is None else self._date(order)
        if isinstance(value, datetime):
            return value
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        return self.table.as_of

    def matches(self, order: Order) -> list[_Match] | None:
        """Return what was found for each place that has a value; None when none has one."""
        asked = list(_elements([get(order) for get in self._getters]))
        if not asked:
            return None
        day = self.moment(order).date()
        found = [self._match(values, day) for values in asked]
        return [match for match in found if match is not None and self._is_wanted(match.row)]

    def _match(self, values: Sequence[OrderValue], day: date) -> _Match | None:
        texts = [_text(value) for value in values]
        # The most telling row first; a row that is not valid gives way to the next.
        for row, score in self._candidates(texts):
            if row.is_valid(day):
                return _Match(row, score, texts[-1])
        return None

    def _candidates(self, texts: list[str]) -> Iterator[tuple[ReferenceRow, float]]:
        leading, last = [_folded(text) for text in texts[:-1]], texts[-1]
        if self.lookup.match == "fuzzy":
            yield from self._similar(leading, last)
            return
        code = _code(last) if self.lookup.match == "prefix" else _folded(last)
        ends = [code]
        if self.lookup.match == "prefix":
            ends = [code[:size] for size in self._sizes if size <= len(code)]
        for end in (*ends, _ANY):
            for key in _keys(leading, end):
                for row in sorted(self._rows.get(key, ()), key=_begins, reverse=True):
                    yield row, float(len(end))

    def _similar(self, leading: list[str], name: str) -> Iterator[tuple[ReferenceRow, float]]:
        found: list[tuple[float, ReferenceRow]] = []
        for key in _keys(leading, ""):
            rows = self._rows.get(key, [])
            if rows:
                matches = self._lists[key].similar(name, self.lookup.minimum_score)
                found += [(match.score, rows[match.place]) for match in matches]
        for score, row in sorted(found, key=lambda item: -item[0]):
            yield row, score

    def _is_wanted(self, row: ReferenceRow) -> bool:
        return all(row.value(column) == value for column, value in self.lookup.where.items())

    def context(self, matches: list[_Match] | None) -> dict[str, JsonScalar]:
        """Return the values that facts may hold."""
        name = self.lookup.name
        best = _best(matches)
        values: dict[str, JsonScalar] = {
            f"{name}_matched": None if matches is None else bool(matches),
            f"{name}_count": None if matches is None else float(len(matches)),
        }
        if self.lookup.match == "fuzzy":
            values[f"{name}_score"] = None if best is None else best.score
        if not self.lookup.personal:
            values[f"{name}_entry"] = None if best is None else best.row.id
            for value, column in self.lookup.values.items():
                values[value] = self._reduced(matches or [], best, column)
        return values

    def _reduced(self, matches: list[_Match], best: _Match | None, column: str) -> JsonScalar:
        if self.lookup.reduce == "best":
            return None if best is None else best.row.value(column)
        found = [match.row.value(column) for match in matches]
        numbers = [float(value) for value in found if isinstance(value, int | float)]
        return _REDUCTIONS[self.lookup.reduce](numbers) if numbers else None

    def personal(self, matches: list[_Match] | None) -> Json:
        """Return what is sealed: each matched entry with the name that was compared."""
        return [
            {
                "entry": match.row.id,
                "asked": match.asked,
                "score": match.score,
                "values": dict(match.row.values),
            }
            for match in matches or []
        ]


class Lookups:
    """A kind's look-ups over pinned tables.

    Parameters
    ----------
    kind
        Whose look-ups.
    tables
        Name to the version to ask; others are not looked at.

    Raises
    ------
    ReferenceTableError
        When a table is missing or does not fit its look-up.
    """

    def __init__(self, kind: Kind, tables: Mapping[str, ReferenceTable]) -> None:
        missing = sorted({lookup.table for lookup in kind.lookups} - tables.keys())
        if missing:
            raise ReferenceTableError(f"kind {kind.name} needs the table {missing[0]!r}")
        self._lookups = tuple(
            CompiledLookup(lookup, tables[lookup.table], kind.placed_at) for lookup in kind.lookups
        )
        used = {compiled.table.name: compiled for compiled in self._lookups}
        self.references = tuple(
            ReferenceRef(name, used[name].digest, used[name].table.as_of) for name in sorted(used)
        )

    def find(self, order: Order) -> Found:
        """Look one order up in all tables.

        Parameters
        ----------
        order
            The checked order's values.
        """
        context: dict[str, JsonScalar] = {}
        personal: dict[str, Json] = {}
        stale: dict[str, StaleReference] = {}
        for compiled in self._lookups:
            matches = compiled.matches(order)
            context |= compiled.context(matches)
            if compiled.lookup.personal and matches:
                personal[compiled.lookup.name] = compiled.personal(matches)
            old = compiled.table.staleness(compiled.digest, compiled.moment(order))
            if old is not None:
                stale.setdefault(compiled.table.name, old)
        ordered = tuple(stale[name] for name in sorted(stale))
        return Found(context, personal, self.references, ordered)


def _check_columns(lookup: Lookup, table: ReferenceTable) -> None:
    known = {*table.columns, *OWN_COLUMNS}
    for column in (*lookup.keys, *lookup.values.values(), *lookup.where):
        if column not in known:
            raise ReferenceTableError(
                f"look-up {lookup.name}: the table {table.name} has no column {column!r}"
            )
    for number, row in enumerate(table.rows, start=1):
        for column in lookup.keys:
            if row.value(column) is None:
                raise ReferenceTableError(
                    f"table {table.name}, row {number} ({row.id!r}): column {column!r} is empty"
                )


def _row_key(lookup: Lookup, row: ReferenceRow) -> _Key:
    texts = [_text(row.value(column)) for column in lookup.keys]
    leading = [_folded(text) for text in texts[:-1]]
    if lookup.match == "fuzzy":
        return (*leading, "")
    last = texts[-1]
    code = _code(last) if lookup.match == "prefix" and last != _ANY else _folded(last)
    return (*leading, code)


def _party_list(lookup: Lookup, rows: list[ReferenceRow]) -> PartyList:
    if lookup.match != "fuzzy":
        return PartyList(())
    return PartyList([_text(row.value(lookup.keys[-1])) for row in rows])


def _keys(leading: list[str], last: str) -> Iterator[_Key]:
    # The exact value before the wildcard, so a row about this country comes before one about all.
    for chosen in product(*[(text, _ANY) for text in leading]):
        yield (*chosen, last)


def _begins(row: ReferenceRow) -> date:
    return row.valid_from or date.min


def _best(matches: list[_Match] | None) -> _Match | None:
    return max(matches or [], key=lambda match: match.score, default=None)


def _elements(values: list[OrderValue]) -> Iterator[list[OrderValue]]:
    lists = [value for value in values if isinstance(value, list)]
    size = max((len(value) for value in lists), default=1)
    for place in range(size):
        row = [value[place] if isinstance(value, list) else value for value in values]
        if all(value is not None and value != "" for value in row):
            yield row


def _text(value: OrderValue) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _folded(text: str) -> str:
    return text.strip().casefold()


def _code(text: str) -> str:
    # HS codes are written with dots and spaces or without.
    return "".join(letter for letter in text if letter.isalnum()).casefold()
