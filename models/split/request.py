"""Reading an order into a problem: units become whole, identifiers stay behind.

The kind's request fields say what an order is; those below ``pair.`` are not the caller's, they
name what `pairs` computes for the model's features. Money becomes whole cents (half up), weights
whole grams (up), moments whole minutes on the safe side: what opens is rounded up, what closes
down.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from models.errors import FieldFault, OrderInvalidError
from models.features import Order
from models.kind import Kind, load_kind
from models.order import OrderSchema
from models.split.problem import Line, Problem, Service, Stock, Warehouse

_PAIR = "pair."


def order_schema(kind: Kind) -> OrderSchema:
    """Return the schema of the order that a caller posts: the kind's without the pair fields."""
    fields = tuple(field for field in kind.request if not field.path.startswith(_PAIR))
    return OrderSchema(kind.model_copy(update={"request": fields}))


def read_problem(values: Order) -> Problem:
    """Turn a checked order into a problem.

    Parameters
    ----------
    values
        `ParsedOrder.values` of an order checked by `order_schema`.

    Raises
    ------
    OrderInvalidError
        When a line, warehouse or service is named twice or there is no line.
    """
    body = _Body.model_validate(values)
    faults = _faults(body)
    if faults:
        raise OrderInvalidError(faults)
    window = body.delivery_window or _Window()
    destination = body.destination or _Destination()
    return Problem(
        placed_at=_up(body.placed_at),
        channel=body.channel,
        customer_tier=body.customer.tier if body.customer else None,
        country=destination.country,
        weather_severity=destination.weather_severity,
        promised_at=_down(body.promised_at) if body.promised_at else None,
        earliest_at=_up(window.earliest_at) if window.earliest_at else None,
        latest_at=_down(window.latest_at) if window.latest_at else None,
        max_parcels=body.max_parcels,
        lines=tuple(_line(line) for line in sorted(body.lines, key=lambda line: line.line_id)),
        warehouses=tuple(
            _warehouse(item) for item in sorted(body.warehouses, key=lambda w: w.warehouse_id)
        ),
    )


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


class _Line(BaseModel):
    line_id: int
    sku: str
    quantity: int
    unit_weight_kg: _Number = 0.0
    cold_chain: _No = False
    dangerous_goods: _No = False
    bonded_required: _No = False


class _Stock(BaseModel):
    sku: str
    pieces: int
    age_days: float | None = None
    turnover_days: int | None = None


class _Service(BaseModel):
    service_id: str
    carrier: str
    cut_off_at: datetime
    transit_minutes: int
    base_cost: float
    cost_per_kg: _Number = 0.0
    max_parcel_kg: float | None = None
    carrier_load: float | None = None
    past_late_rate: float | None = None


class _Warehouse(BaseModel):
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
    forklift_load: float | None = None
    packing_load: float | None = None
    cold_equipment_load: float | None = None
    weather_severity: float | None = None
    distance_km: float | None = None
    stock: Annotated[list[_Stock], BeforeValidator(_empty)] = []
    services: Annotated[list[_Service], BeforeValidator(_empty)] = []


class _Customer(BaseModel):
    tier: str | None = None


class _Destination(BaseModel):
    country: str | None = None
    weather_severity: float | None = None


class _Window(BaseModel):
    earliest_at: datetime | None = None
    latest_at: datetime | None = None


class _Body(BaseModel):
    placed_at: datetime
    channel: str | None = None
    customer: _Customer | None = None
    destination: _Destination | None = None
    promised_at: datetime | None = None
    delivery_window: _Window | None = None
    max_parcels: int | None = None
    lines: Annotated[list[_Line], BeforeValidator(_empty)] = Field(default_factory=list)
    warehouses: Annotated[list[_Warehouse], BeforeValidator(_empty)] = Field(default_factory=list)


def _faults(body: _Body) -> tuple[FieldFault, ...]:
    faults = [] if body.lines else [FieldFault("/lines", "An order needs at least one line")]
    named: list[tuple[str, list[str]]] = [
        ("/lines", [str(line.line_id) for line in body.lines]),
        ("/warehouses", [item.warehouse_id for item in body.warehouses]),
    ]
    for index, item in enumerate(body.warehouses):
        named.append((f"/warehouses/{index}/services", [s.service_id for s in item.services]))
        named.append((f"/warehouses/{index}/stock", [stock.sku for stock in item.stock]))
    for pointer, names in named:
        twice = [name for name, count in Counter(names).items() if count > 1]
        faults.extend(FieldFault(pointer, f"{name} is named twice") for name in twice)
    return tuple(faults)


def _line(line: _Line) -> Line:
    return Line(
        line_id=line.line_id,
        sku=line.sku,
        quantity=line.quantity,
        unit_grams=_grams(line.unit_weight_kg),
        cold_chain=line.cold_chain,
        dangerous_goods=line.dangerous_goods,
        bonded_required=line.bonded_required,
    )


def _warehouse(item: _Warehouse) -> Warehouse:
    allowed = item.allowed_skus
    return Warehouse(
        warehouse_id=item.warehouse_id,
        country=item.country,
        is_bonded=item.is_bonded,
        has_cold_chain=item.has_cold_chain,
        may_ship_dangerous=item.may_ship_dangerous,
        serves_customer=item.serves_customer,
        allowed_skus=None if allowed is None else tuple(sorted(filter(None, allowed))),
        excluded_skus=tuple(sorted(filter(None, item.excluded_skus))),
        capacity_parcels=item.capacity_left_parcels,
        capacity_pieces=item.capacity_left_pieces,
        backlog_hours=item.backlog_hours,
        handling_minutes=item.handling_minutes,
        forklift_load=item.forklift_load,
        packing_load=item.packing_load,
        cold_equipment_load=item.cold_equipment_load,
        weather_severity=item.weather_severity,
        distance_km=item.distance_km,
        stock=tuple(
            Stock(stock.sku, stock.pieces, stock.age_days, stock.turnover_days)
            for stock in sorted(item.stock, key=lambda stock: stock.sku)
        ),
        services=tuple(
            _service(service) for service in sorted(item.services, key=lambda s: s.service_id)
        ),
    )


def _service(service: _Service) -> Service:
    limit = service.max_parcel_kg
    return Service(
        service_id=service.service_id,
        carrier=service.carrier,
        cut_off_at=_down(service.cut_off_at),
        transit_minutes=service.transit_minutes,
        base_cents=_cents(service.base_cost),
        cents_per_kg=_cents(service.cost_per_kg),
        max_parcel_grams=None if limit is None else int(Decimal(str(limit)) * 1000),
        carrier_load=service.carrier_load,
        past_late_rate=service.past_late_rate,
    )


def _cents(money: float) -> int:
    return int((Decimal(str(money)) * 100).to_integral_value(ROUND_HALF_UP))


def _grams(kilograms: float) -> int:
    return int((Decimal(str(kilograms)) * 1000).to_integral_value(ROUND_CEILING))


def _down(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(second=0, microsecond=0)


def _up(value: datetime) -> datetime:
    floor = _down(value)
    return floor if floor == value else floor + timedelta(minutes=1)


def split_kind() -> Kind:
    """Read the kind that says what the model sees of a pair, and the request's fields.

    Examples
    --------
    >>> split_kind().name
    'split'
    """
    return load_kind(Path(__file__).parent / "split.toml")
