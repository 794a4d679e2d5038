"""What is to be split: an order's lines, and the warehouses and services that came with it.

Holds no identifier: lines are numbered, the customer is only a tier, and whether a warehouse may
serve the customer is a flag. Everything is whole minutes, grams, pieces and cents, so that ties
and replays are exact. Lines, warehouses and services stand in the order of their ids, whatever
the order of the request.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

# A `Constraint`, or ``rule:ID`` for a rule of the policy.
ConstraintName: TypeAlias = str
_RULE = "rule:"


class Constraint(StrEnum):
    """A hard constraint, in the order in which they are checked and named.

    All but `OFFER` can be relaxed to see what they cost; without any offer there is nothing to
    ship with. A policy's rules that exclude are constraints too; see `rule_constraint`.
    """

    PRODUCT_WAREHOUSE = "product_warehouse"
    CUSTOMER_WAREHOUSE = "customer_warehouse"
    BONDED = "bonded"
    COLD_CHAIN = "cold_chain"
    DANGEROUS_GOODS = "dangerous_goods"
    STOCK = "stock"
    CAPACITY = "capacity"
    PARCEL_WEIGHT = "parcel_weight"
    CUT_OFF = "cut_off"
    DELIVERY_WINDOW = "delivery_window"
    MAX_PARCELS = "max_parcels"
    OFFER = "offer"


RELAXABLE = tuple(constraint for constraint in Constraint if constraint is not Constraint.OFFER)


def rule_constraint(rule_id: str) -> ConstraintName:
    """Return the name of the constraint that a policy's rule is.

    Examples
    --------
    >>> rule_constraint("weather-closed")
    'rule:weather-closed'
    """
    return _RULE + rule_id


def rule_of(constraint: ConstraintName) -> str | None:
    """Return the id of the rule that a constraint is; None when it is none.

    Examples
    --------
    >>> rule_of("rule:weather-closed"), rule_of(Constraint.STOCK)
    ('weather-closed', None)
    """
    return constraint.removeprefix(_RULE) if constraint.startswith(_RULE) else None


@dataclass(frozen=True, slots=True)
class Line:
    """One order line.

    Parameters
    ----------
    line_id
        Number of the line, unique in the order.
    quantity, unit_grams
        Pieces, at least 1; grams per piece.
    """

    line_id: int
    sku: str
    quantity: int
    unit_grams: int
    cold_chain: bool
    dangerous_goods: bool
    bonded_required: bool


@dataclass(frozen=True, slots=True)
class Stock:
    """Pieces of an article in a warehouse.

    Parameters
    ----------
    age_days, turnover_days
        How long it has lain there, and how long it takes to sell at the present pace; None when
        not known.
    aisle
        Where it lies; None when no aisle has to be shared.
    """

    sku: str
    pieces: int
    age_days: float | None
    turnover_days: int | None
    aisle: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A carrier's offer from one warehouse to the order's destination.

    Parameters
    ----------
    cut_off_at
        Latest hand-over; the carrier leaves then.
    transit_minutes
        From the cut-off to the customer's door.
    base_cents, cents_per_kg
        Rate per parcel, and per kilogram on top.
    max_parcel_grams
        None when any weight is taken.
    """

    service_id: str
    carrier: str
    cut_off_at: datetime
    transit_minutes: int
    base_cents: int
    cents_per_kg: int
    max_parcel_grams: int | None
    carrier_load: float | None
    past_late_rate: float | None

    @property
    def arrives_at(self) -> datetime:
        """Scheduled arrival, to the minute."""
        return self.cut_off_at + timedelta(minutes=self.transit_minutes)


@dataclass(frozen=True, slots=True)
class WaitingParcel:
    """A parcel of another order that wants the same forklifts, stations and carriers.

    Parameters
    ----------
    waiting_id
        Its number within the request; never the other order's.
    available_at
        Not before this; None for at once.
    """

    waiting_id: int
    cut_off_at: datetime
    packing_minutes: int
    forklift_minutes: int
    aisle: str | None
    available_at: datetime | None


@dataclass(frozen=True, slots=True)
class Floor:
    """What a warehouse packs with, besides this order.

    Parameters
    ----------
    forklift_minutes
        Part of `Warehouse.handling_minutes` for which a parcel needs a forklift; 0 when it needs
        none.
    forklifts_idle_minutes, stations_idle_minutes
        One for each forklift and packing station: minutes after the order until it is idle.
    """

    forklift_minutes: int = 0
    forklifts_idle_minutes: tuple[int, ...] = (0,)
    stations_idle_minutes: tuple[int, ...] = (0,)
    waiting: tuple[WaitingParcel, ...] = ()


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A warehouse as it stands when the order is placed.

    Parameters
    ----------
    capacity_parcels, capacity_pieces
        What it can still take today; None when not limited.
    allowed_skus
        None when every article may leave from here.
    handling_minutes
        To pick and pack one parcel.
    floor
        What `models.split.releases` puts parcels in order with.
    """

    warehouse_id: str
    country: str | None
    is_bonded: bool
    has_cold_chain: bool
    may_ship_dangerous: bool
    serves_customer: bool
    allowed_skus: tuple[str, ...] | None
    excluded_skus: tuple[str, ...]
    capacity_parcels: int | None
    capacity_pieces: int | None
    backlog_hours: float | None
    handling_minutes: int
    forklift_load: float | None
    packing_load: float | None
    cold_equipment_load: float | None
    weather_severity: float | None
    distance_km: float | None
    stock: tuple[Stock, ...]
    services: tuple[Service, ...]
    floor: Floor = Floor()

    def stock_of(self, sku: str) -> Stock:
        """Return the stock of an article; none of it when it is not listed."""
        return next((item for item in self.stock if item.sku == sku), Stock(sku, 0, None, None))

    @property
    def backlog_minutes(self) -> int:
        """Minutes until work on a new order can begin."""
        return math.ceil((self.backlog_hours or 0.0) * 60)

    def ready_at(self, placed_at: datetime) -> datetime:
        """Return when a parcel of an order placed at `placed_at` can be handed over."""
        return placed_at + timedelta(minutes=self.backlog_minutes + self.handling_minutes)


@dataclass(frozen=True, slots=True)
class Problem:
    """An order to split, without anything personal; a record keeps it and replay solves it again.

    Parameters
    ----------
    placed_at
        Aware UTC.
    promised_at
        What lateness is measured against; None when nothing was promised.
    earliest_at, latest_at
        Just-in-time delivery window, both ends included; None when open.
    max_parcels
        Most parcels that the order may become; None leaves it to the policy.
    """

    placed_at: datetime
    channel: str | None
    customer_tier: str | None
    country: str | None
    weather_severity: float | None
    promised_at: datetime | None
    earliest_at: datetime | None
    latest_at: datetime | None
    max_parcels: int | None
    lines: tuple[Line, ...]
    warehouses: tuple[Warehouse, ...]
