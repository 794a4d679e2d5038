"""An order's body as plain fields: what is absent or null gets what it means.

Types and ranges have been checked by the kind's schema before; `models.split.request` turns these
into whole units.
"""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator


def _true(value: object) -> object:
    return True if value is None else value


def _false(value: object) -> object:
    return False if value is None else value


def _zero(value: object) -> object:
    return 0 if value is None else value


def _empty(value: object) -> object:
    return [] if value is None else value


_Yes = Annotated[bool, BeforeValidator(_true)]
_No = Annotated[bool, BeforeValidator(_false)]
_Whole = Annotated[int, BeforeValidator(_zero)]
_Number = Annotated[float, BeforeValidator(_zero)]


class PostedLine(BaseModel):
    """An order line."""

    line_id: int
    sku: str
    quantity: int
    unit_weight_kg: _Number = 0.0
    cold_chain: _No = False
    dangerous_goods: _No = False
    bonded_required: _No = False


class PostedStock(BaseModel):
    """Stock of an article."""

    sku: str
    pieces: int
    age_days: float | None = None
    turnover_days: int | None = None
    aisle: str | None = None


class PostedService(BaseModel):
    """A carrier's offer."""

    service_id: str
    carrier: str
    cut_off_at: datetime
    transit_minutes: int
    base_cost: float
    cost_per_kg: _Number = 0.0
    max_parcel_kg: float | None = None
    carrier_load: float | None = None
    past_late_rate: float | None = None


class PostedWaiting(BaseModel):
    """A parcel of another order."""

    waiting_id: int
    cut_off_at: datetime
    packing_minutes: int
    forklift_minutes: _Whole = 0
    aisle: str | None = None
    available_at: datetime | None = None


class PostedWarehouse(BaseModel):
    """A warehouse as the caller describes it."""

    warehouse_id: str
    country: str | None = None
    is_bonded: _No = False
    has_cold_chain: _No = False
    may_ship_dangerous: _No = False
    serves_customer: _Yes = True
    allowed_skus: list[str | None] | None = None
    excluded_skus: Annotated[list[str | None], BeforeValidator(_empty)] = []
    capacity_left_parcels: int | None = None
    capacity_left_pieces: int | None = None
    backlog_hours: float | None = None
    handling_minutes: _Whole = 0
    forklift_minutes: _Whole = 0
    forklifts_idle_minutes: Annotated[list[int | None], BeforeValidator(_empty)] = []
    stations_idle_minutes: Annotated[list[int | None], BeforeValidator(_empty)] = []
    waiting: Annotated[list[PostedWaiting], BeforeValidator(_empty)] = []
    forklift_load: float | None = None
    packing_load: float | None = None
    cold_equipment_load: float | None = None
    weather_severity: float | None = None
    distance_km: float | None = None
    stock: Annotated[list[PostedStock], BeforeValidator(_empty)] = []
    services: Annotated[list[PostedService], BeforeValidator(_empty)] = []


class PostedCustomer(BaseModel):
    """All that is read of the customer."""

    tier: str | None = None


class PostedDestination(BaseModel):
    """Where the order goes."""

    country: str | None = None
    weather_severity: float | None = None


class PostedWindow(BaseModel):
    """The delivery window."""

    earliest_at: datetime | None = None
    latest_at: datetime | None = None


class PostedOrder(BaseModel):
    """All that is read of an order."""

    placed_at: datetime
    channel: str | None = None
    customer: PostedCustomer | None = None
    destination: PostedDestination | None = None
    promised_at: datetime | None = None
    delivery_window: PostedWindow | None = None
    max_parcels: int | None = None
    lines: Annotated[list[PostedLine], BeforeValidator(_empty)] = []
    warehouses: Annotated[list[PostedWarehouse], BeforeValidator(_empty)] = []
