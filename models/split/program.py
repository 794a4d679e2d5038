"""The integer program of a split: variables, bounds and rows, in a fixed order.

For each parcel (warehouse x service) a binary `open`; for each admitted candidate a binary `used`
and a whole number of pieces. Constraints that are relaxed, and rows that cannot bind, are left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from models.split.constraints import Relaxed
from models.split.pairs import Pair
from models.split.plan import Priced
from models.split.problem import Constraint, Warehouse

ParcelKey = tuple[str, str]
_INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class Variation:
    """How a program differs from the order's own.

    Parameters
    ----------
    relaxed
        Hard constraints left out.
    forced_warehouse
        A warehouse that must ship at least one piece.
    max_parcels
        A smaller limit than the order's own.
    lines
        Only these lines are to be served; None for all.
    """

    relaxed: Relaxed = frozenset()
    forced_warehouse: str | None = None
    max_parcels: int | None = None
    lines: frozenset[int] | None = None


@dataclass(slots=True)
class Program:
    """Minimise ``costs @ v`` where ``low <= rows @ v <= high`` and ``0 <= v <= upper``, v whole.

    Parameters
    ----------
    parcels, pairs
        What the variables stand for: first `open` per parcel, then `used` per pair, then pieces
        per pair.
    entries
        Non-zero coefficients of the rows: (row, column, value).
    """

    parcels: tuple[ParcelKey, ...]
    pairs: tuple[Pair, ...]
    costs: list[int] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    entries: list[tuple[int, int, float]] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add_row(self, row: Mapping[int, float], low: float, high: float) -> None:
        """Add a row: column to coefficient, and its limits."""
        number = len(self.low)
        self.entries.extend((number, column, value) for column, value in row.items())
        self.low.append(low)
        self.high.append(high)

    def used(self, index: int) -> int:
        """Return the column of `used` of the pair at `index`."""
        return len(self.parcels) + index

    def pieces(self, index: int) -> int:
        """Return the column of the pieces of the pair at `index`."""
        return len(self.parcels) + len(self.pairs) + index

    def tie_break(self) -> list[int]:
        """Return costs of the second pass: fewer parcels, then those that arrive earlier.

        Arrival is a rank; warehouse and service break what is left.
        """
        arrival = {pair.key[1:]: pair.service.arrives_at for pair in self.pairs}
        order = sorted(self.parcels, key=lambda parcel: (arrival[parcel], parcel))
        rank = {parcel: place for place, parcel in enumerate(order)}
        per_rank = (len(self.pairs) + 1) * len(self.parcels)
        per_parcel = per_rank * len(self.parcels) ** 2
        return [
            *(per_parcel + per_rank * rank[parcel] for parcel in self.parcels),
            *(rank[pair.key[1:]] for pair in self.pairs),
            *(0 for _ in self.pairs),
        ]


def build_program(priced: Priced, variation: Variation) -> Program:
    """Write the program of a priced problem under a variation."""
    pairs = tuple(
        pair
        for pair in priced.pairs
        if (variation.lines is None or pair.line.line_id in variation.lines)
        and priced.excluded[pair.key].keys() <= variation.relaxed
    )
    program = Program(tuple(sorted({pair.key[1:] for pair in pairs})), pairs)
    _add_columns(program, priced, variation.relaxed)
    _add_demand(program, priced, variation)
    _add_links(program)
    content: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        content.setdefault(pair.warehouse.warehouse_id, []).append(i)
    for warehouse in priced.problem.warehouses:
        own = content.get(warehouse.warehouse_id, [])
        _add_stock(program, warehouse, own, variation.relaxed)
        _add_capacity(program, warehouse, own, variation.relaxed)
        _add_weight(program, warehouse, own, variation.relaxed)
    _add_parcels(program, priced, variation)
    return program


def _add_columns(program: Program, priced: Priced, relaxed: Relaxed) -> None:
    services = {pair.key[1:]: pair.service for pair in program.pairs}
    split = priced.weights.split_penalty_cents
    rates = [priced.rates[pair.key] for pair in program.pairs]
    program.costs = [
        *(services[parcel].base_cents + split for parcel in program.parcels),
        *(rate.lateness for rate in rates),
        *(rate.freight_per_piece + rate.turnover_per_piece for rate in rates),
    ]
    unlimited = Constraint.STOCK in relaxed
    program.upper = [
        *(1 for _ in program.parcels),
        *(1 for _ in program.pairs),
        *(pair.line.quantity if unlimited else pair.pieces for pair in program.pairs),
    ]


def _add_demand(program: Program, priced: Priced, variation: Variation) -> None:
    for line in priced.problem.lines:
        if variation.lines is None or line.line_id in variation.lines:
            own = [i for i, pair in enumerate(program.pairs) if pair.line is line]
            program.add_row({program.pieces(i): 1 for i in own}, line.quantity, line.quantity)


def _add_links(program: Program) -> None:
    place = {parcel: column for column, parcel in enumerate(program.parcels)}
    content: dict[int, list[int]] = {}
    for i, pair in enumerate(program.pairs):
        opened, used, pieces = place[pair.key[1:]], program.used(i), program.pieces(i)
        content.setdefault(opened, []).append(used)
        program.add_row({pieces: 1, used: -program.upper[pieces]}, -_INFINITY, 0)
        program.add_row({used: 1, pieces: -1}, -_INFINITY, 0)
        program.add_row({used: 1, opened: -1}, -_INFINITY, 0)
    for opened, columns in content.items():
        program.add_row({opened: 1, **dict.fromkeys(columns, -1)}, -_INFINITY, 0)


def _add_stock(
    program: Program, warehouse: Warehouse, content: list[int], relaxed: Relaxed
) -> None:
    if Constraint.STOCK in relaxed:
        return
    by_sku: dict[str, list[int]] = {}
    for i in content:
        by_sku.setdefault(program.pairs[i].line.sku, []).append(program.pieces(i))
    for sku, columns in by_sku.items():
        _add_limit(program, columns, warehouse.stock_of(sku).pieces)


def _add_capacity(
    program: Program, warehouse: Warehouse, content: list[int], relaxed: Relaxed
) -> None:
    if Constraint.CAPACITY in relaxed:
        return
    if warehouse.capacity_parcels is not None:
        own = [i for i, key in enumerate(program.parcels) if key[0] == warehouse.warehouse_id]
        _add_limit(program, own, warehouse.capacity_parcels)
    if warehouse.capacity_pieces is not None:
        columns = [program.pieces(i) for i in content]
        _add_limit(program, columns, warehouse.capacity_pieces)


def _add_weight(
    program: Program, warehouse: Warehouse, content: list[int], relaxed: Relaxed
) -> None:
    if Constraint.PARCEL_WEIGHT in relaxed:
        return
    for service in warehouse.services:
        own = {
            program.pieces(i): float(program.pairs[i].line.unit_grams)
            for i in content
            if program.pairs[i].service is service
        }
        limit = service.max_parcel_grams
        if own and limit is not None:
            program.add_row(own, -_INFINITY, limit)


def _add_parcels(program: Program, priced: Priced, variation: Variation) -> None:
    limits = [] if Constraint.MAX_PARCELS in variation.relaxed else [priced.max_parcels]
    if variation.max_parcels is not None:
        limits.append(variation.max_parcels)
    if limits:
        _add_limit(program, range(len(program.parcels)), min(limits))
    if variation.forced_warehouse is not None:
        own = [i for i, key in enumerate(program.parcels) if key[0] == variation.forced_warehouse]
        program.add_row(dict.fromkeys(own, 1), 1, _INFINITY)


def _add_limit(program: Program, columns: Iterable[int], limit: int) -> None:
    row = dict.fromkeys(columns, 1)
    if sum(program.upper[column] for column in row) > limit:
        program.add_row(row, -_INFINITY, limit)
