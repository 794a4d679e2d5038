"""A plan: which pieces leave from where by which service, what it costs and when it arrives.

Made from quantities by plain integer arithmetic, without the solver, so that a recorded plan can
be priced again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from models.finding import Finding
from models.split.pairs import Pair, PairKey
from models.split.problem import ConstraintName, Problem
from models.split.rates import PairRate, Weights

Quantities = Mapping[PairKey, int]


@dataclass(frozen=True, slots=True)
class Shipment:
    """Pieces of one line in one parcel.

    Parameters
    ----------
    late_probability
        Calibrated P(late) of the candidate.
    freight_cents, turnover_cents, lateness_cents
        Its own terms; the parcel's base rate is in `Parcel`.
    """

    line_id: int
    sku: str
    warehouse_id: str
    service_id: str
    quantity: int
    late_probability: float
    freight_cents: int
    turnover_cents: int
    lateness_cents: int

    @property
    def key(self) -> PairKey:
        """The candidate that it uses."""
        return self.line_id, self.warehouse_id, self.service_id


@dataclass(frozen=True, slots=True)
class Parcel:
    """What leaves one warehouse by one service; `ready_at` <= `ship_by_at` (the cut-off)."""

    warehouse_id: str
    service_id: str
    carrier: str
    ready_at: datetime
    ship_by_at: datetime
    arrives_at: datetime
    pieces: int
    grams: int
    freight_cents: int
    late_probability: float


@dataclass(frozen=True, slots=True)
class Cost:
    """A plan's terms, cents; `total_cents` is their sum."""

    freight_cents: int
    lateness_cents: int
    split_cents: int
    turnover_cents: int

    @property
    def total_cents(self) -> int:
        """What the optimiser minimises."""
        return self.freight_cents + self.lateness_cents + self.split_cents + self.turnover_cents


@dataclass(frozen=True, slots=True)
class Plan:
    """Where every piece of the order leaves from.

    Parameters
    ----------
    arrives_at
        When the last parcel arrives.
    late_probability
        Largest P(late) of its shipments.
    expected_late_lines
        Sum of P(late) over its shipments.
    """

    shipments: tuple[Shipment, ...]
    parcels: tuple[Parcel, ...]
    cost: Cost
    arrives_at: datetime
    late_probability: float
    expected_late_lines: float

    def quantities(self) -> dict[PairKey, int]:
        """Return the pieces per candidate."""
        return {shipment.key: shipment.quantity for shipment in self.shipments}

    def warehouses(self) -> tuple[str, ...]:
        """Return the warehouses that ship, each once."""
        return tuple(dict.fromkeys(parcel.warehouse_id for parcel in self.parcels))


@dataclass(frozen=True, slots=True)
class Priced:
    """A problem with its candidates, their lateness, rates and weights: ready to be planned.

    Parameters
    ----------
    excluded
        What excludes each candidate by itself; empty when nothing does.
    """

    problem: Problem
    pairs: tuple[Pair, ...]
    excluded: dict[PairKey, dict[ConstraintName, Finding]]
    lateness: dict[PairKey, float]
    rates: dict[PairKey, PairRate]
    weights: Weights
    max_parcels: int


def build_plan(priced: Priced, quantities: Quantities) -> Plan:
    """Price quantities.

    Parameters
    ----------
    quantities
        Pieces per candidate; those that are not above 0 are left out.
    """
    used = [pair for pair in priced.pairs if quantities.get(pair.key, 0) > 0]
    shipments = tuple(_shipment(priced, pair, quantities[pair.key]) for pair in used)
    lots: dict[tuple[str, str], list[Pair]] = {}
    for pair in used:
        lots.setdefault(pair.key[1:], []).append(pair)
    parcels = tuple(_parcel(priced, lots[place], quantities) for place in sorted(lots))
    cost = Cost(
        freight_cents=sum(parcel.freight_cents for parcel in parcels),
        lateness_cents=sum(shipment.lateness_cents for shipment in shipments),
        split_cents=max(0, len(parcels) - 1) * priced.weights.split_penalty_cents,
        turnover_cents=sum(shipment.turnover_cents for shipment in shipments),
    )
    return Plan(
        shipments=shipments,
        parcels=parcels,
        cost=cost,
        arrives_at=max((parcel.arrives_at for parcel in parcels), default=priced.problem.placed_at),
        late_probability=max((shipment.late_probability for shipment in shipments), default=0.0),
        expected_late_lines=math.fsum(shipment.late_probability for shipment in shipments),
    )


def _shipment(priced: Priced, pair: Pair, quantity: int) -> Shipment:
    rate = priced.rates[pair.key]
    return Shipment(
        line_id=pair.line.line_id,
        sku=pair.line.sku,
        warehouse_id=pair.warehouse.warehouse_id,
        service_id=pair.service.service_id,
        quantity=quantity,
        late_probability=priced.lateness[pair.key],
        freight_cents=rate.freight_per_piece * quantity,
        turnover_cents=rate.turnover_per_piece * quantity,
        lateness_cents=rate.lateness,
    )


def _parcel(priced: Priced, lot: list[Pair], quantities: Quantities) -> Parcel:
    warehouse, service = lot[0].warehouse, lot[0].service
    freight = sum(priced.rates[p.key].freight_per_piece * quantities[p.key] for p in lot)
    return Parcel(
        warehouse_id=warehouse.warehouse_id,
        service_id=service.service_id,
        carrier=service.carrier,
        ready_at=warehouse.ready_at(priced.problem.placed_at),
        ship_by_at=service.cut_off_at,
        arrives_at=service.arrives_at,
        pieces=sum(quantities[pair.key] for pair in lot),
        grams=sum(quantities[pair.key] * pair.line.unit_grams for pair in lot),
        freight_cents=service.base_cents + freight,
        late_probability=max(priced.lateness[pair.key] for pair in lot),
    )
