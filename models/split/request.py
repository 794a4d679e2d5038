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

from models.errors import FieldFault, OrderInvalidError
from models.features import Order
from models.kind import Kind, load_kind
from models.order import OrderSchema
from models.split.body import (
    PostedDestination,
    PostedLine,
    PostedOrder,
    PostedService,
    PostedWarehouse,
    PostedWindow,
)
from models.split.problem import (
    Floor,
    Line,
    Problem,
    Service,
    Stock,
    WaitingParcel,
    Warehouse,
)

_PAIR = "pair."
# A thousand take seconds and a megabyte of facts.
MAX_CANDIDATES = 1000


def order_schema(kind: Kind) -> OrderSchema:
    """Return the schema of the order that a caller posts: the kind's without the pair fields."""
    return OrderSchema(order_kind(kind))


def order_kind(kind: Kind) -> Kind:
    """Return the kind as callers see it: without the fields that are computed for each pair."""
    fields = tuple(field for field in kind.request if not field.path.startswith(_PAIR))
    return kind.model_copy(update={"request": fields})


def read_problem(values: Order) -> Problem:
    """Turn a checked order into a problem.

    Parameters
    ----------
    values
        `ParsedOrder.values` of an order checked by `order_schema`.

    Raises
    ------
    OrderInvalidError
        When a line, warehouse, service, stock or waiting parcel is named twice, there is no line,
        a forklift is needed for longer than handling takes, or there are too many candidates.
    """
    body = PostedOrder.model_validate(values)
    faults = _faults(body)
    if faults:
        raise OrderInvalidError(faults)
    window = body.delivery_window or PostedWindow()
    destination = body.destination or PostedDestination()
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


def _faults(body: PostedOrder) -> tuple[FieldFault, ...]:
    faults = [] if body.lines else [FieldFault("/lines", "An order needs at least one line")]
    named: list[tuple[str, list[str]]] = [
        ("/lines", [str(line.line_id) for line in body.lines]),
        ("/warehouses", [item.warehouse_id for item in body.warehouses]),
    ]
    for index, item in enumerate(body.warehouses):
        named.append((f"/warehouses/{index}/services", [s.service_id for s in item.services]))
        named.append((f"/warehouses/{index}/stock", [stock.sku for stock in item.stock]))
        named.append((f"/warehouses/{index}/waiting", [str(w.waiting_id) for w in item.waiting]))
        if item.forklift_minutes > item.handling_minutes:
            pointer = f"/warehouses/{index}/forklift_minutes"
            faults.append(FieldFault(pointer, "A part of handling_minutes, so not more than it"))
    candidates = len(body.lines) * sum(len(item.services) for item in body.warehouses)
    if candidates > MAX_CANDIDATES:
        said = (
            f"{candidates} candidates (line x warehouse x service) where {MAX_CANDIDATES} are most"
        )
        faults.append(FieldFault("/warehouses", said))
    for pointer, names in named:
        twice = [name for name, count in Counter(names).items() if count > 1]
        faults.extend(FieldFault(pointer, f"{name} is named twice") for name in twice)
    return tuple(faults)


def _line(line: PostedLine) -> Line:
    return Line(
        line_id=line.line_id,
        sku=line.sku,
        quantity=line.quantity,
        unit_grams=_grams(line.unit_weight_kg),
        cold_chain=line.cold_chain,
        dangerous_goods=line.dangerous_goods,
        bonded_required=line.bonded_required,
    )


def _warehouse(item: PostedWarehouse) -> Warehouse:
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
            Stock(stock.sku, stock.pieces, stock.age_days, stock.turnover_days, stock.aisle)
            for stock in sorted(item.stock, key=lambda stock: stock.sku)
        ),
        services=tuple(
            _service(service) for service in sorted(item.services, key=lambda s: s.service_id)
        ),
        floor=_floor(item),
    )


def _floor(item: PostedWarehouse) -> Floor:
    return Floor(
        forklift_minutes=item.forklift_minutes,
        forklifts_idle_minutes=_idle(item.forklifts_idle_minutes),
        stations_idle_minutes=_idle(item.stations_idle_minutes),
        waiting=tuple(
            WaitingParcel(
                waiting_id=parcel.waiting_id,
                cut_off_at=_down(parcel.cut_off_at),
                packing_minutes=parcel.packing_minutes,
                forklift_minutes=parcel.forklift_minutes,
                aisle=parcel.aisle,
                available_at=_up(parcel.available_at) if parcel.available_at else None,
            )
            for parcel in sorted(item.waiting, key=lambda parcel: parcel.waiting_id)
        ),
    )


def _idle(minutes: list[int | None]) -> tuple[int, ...]:
    # One that is idle now where nothing is said.
    return tuple(sorted(minute for minute in minutes if minute is not None)) or (0,)


def _service(service: PostedService) -> Service:
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
