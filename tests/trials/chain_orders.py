"""Whole orders for the chain's trial: what three simulated worlds show, of one order each.

The admission world gives the order itself; the risk world gives the account, the devices and the
payment behind it; the warehouses that could ship it are drawn here. Nothing contradicts itself:
the moment, the lines and the country are one order's.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import numpy as np

from models.domain import Json
from service.answers import JsonObject
from service.usecases.records import read_object
from training.simulator import simulate

_FEWEST_SIMULATED = 100
_HOME = "CN"
_TIERS = ("standard", "silver", "gold", "vip")
# Name, carrier, minutes in transit and rate per parcel: the dearer, the faster.
_SERVICES = (
    ("sf-next-day", "sf", 1_200, 14.0),
    ("jd-two-day", "jd_express", 2_400, 10.0),
    ("zto-standard", "zto", 3_000, 7.5),
    ("yto-economy", "yto", 4_300, 5.0),
)


def build_chain_orders(count: int, seed: int) -> list[JsonObject]:
    """Return orders that admission, risk and split can each read.

    Parameters
    ----------
    count
        How many.
    seed
        The same seed gives the same orders.
    """
    drawn = max(count, _FEWEST_SIMULATED)
    random = np.random.default_rng(seed)
    pairs = zip(
        simulate("admission", drawn, seed).orders,
        simulate("risk", drawn, seed + 1).orders,
        strict=True,
    )
    orders = [_join(random, number, *pair) for number, pair in enumerate(pairs)]
    return [orders[place] for place in random.permutation(drawn)[:count].tolist()]


def _join(
    random: np.random.Generator, number: int, admission: JsonObject, risk: JsonObject
) -> JsonObject:
    # 1. One order: the risk world's moments are many, so its moment of ordering is everybody's.
    order = {**risk, **admission, "order_id": f"CHAIN-{number:06d}"}
    order["placed_at"] = risk["placed_at"]
    _move_customs(order, str(admission["placed_at"]))
    # 2. One customer, with one country.
    tier = _TIERS[int(random.choice(4, p=[0.7, 0.15, 0.1, 0.05]))]
    customer = {**read_object(admission["customer"]), **read_object(risk["customer"])}
    order["customer"] = {**customer, "customer_id": f"C-{number:06d}", "tier": tier}
    _move_abroad(order)
    order["promotion"] = _scale_discount(admission, risk)
    # 3. One basket, and who could ship it.
    lines = _join_lines(random, admission, risk)
    order["lines"] = [*lines]
    return {**order, **_draw_split(random, order, lines)}


def _move_customs(order: JsonObject, from_moment: str) -> None:
    """Keep the age of a customs rule: it moves with the order."""
    if "customs" in order:
        customs = read_object(order["customs"])
        moved = _moment(order).date() - datetime.fromisoformat(from_moment).date()
        effective = date.fromisoformat(str(customs["effective_on"])) + moved
        order["customs"] = {**customs, "effective_on": effective.isoformat()}


def _move_abroad(order: JsonObject) -> None:
    """Let who is at home in the risk world be at home in the order's destination."""
    country = read_object(order["destination"])["country"]
    for part, field in (("shipping", "country"), ("ip", "country"), ("payment", "card_country")):
        place = read_object(order[part])
        if place.get(field) == _HOME:
            order[part] = {**place, field: country}


def _scale_discount(admission: JsonObject, risk: JsonObject) -> JsonObject:
    promotion = read_object(risk["promotion"])
    share = _number(promotion["discount_amount"]) / max(_number(risk["total_amount"]), 0.01)
    amount = round(share * _number(admission["total_amount"]), 2)
    return {**promotion, "discount_amount": amount}


def _join_lines(
    random: np.random.Generator, admission: JsonObject, risk: JsonObject
) -> list[JsonObject]:
    resale = [line["resale_value"] for line in _objects(risk["lines"])]
    return [
        {
            **line,
            "line_id": number,
            "resale_value": resale[number % len(resale)],
            "unit_weight_kg": round(float(random.gamma(1.5, 0.6)) + 0.05, 2),
            "cold_chain": bool(random.random() < 0.08),
            "dangerous_goods": bool(random.random() < 0.03),
        }
        for number, line in enumerate(_objects(admission["lines"]), start=1)
    ]


def _draw_split(
    random: np.random.Generator, order: JsonObject, lines: list[JsonObject]
) -> JsonObject:
    """Draw the promise and two to six warehouses; some orders have no plan."""
    placed = _moment(order)
    promised = placed + timedelta(days=int(_number(order["promised_window_days"])), hours=8)
    weather = read_object(order["weather"])["destination_severity"]
    houses: list[Json] = [
        _draw_warehouse(random, name, placed, lines) for name in range(random.integers(2, 7))
    ]
    split: JsonObject = {
        "promised_at": promised.isoformat(),
        "max_parcels": int(random.integers(1, 5)),
        "destination": {**read_object(order["destination"]), "weather_severity": weather},
        "warehouses": houses,
    }
    if random.random() < 0.05:
        earliest = placed + timedelta(hours=int(random.integers(20, 60)))
        latest = earliest + timedelta(hours=int(random.integers(12, 48)))
        window: JsonObject = {"earliest_at": earliest.isoformat(), "latest_at": latest.isoformat()}
        split["delivery_window"] = window
    return split


def _draw_warehouse(
    random: np.random.Generator, name: int, placed: datetime, lines: list[JsonObject]
) -> JsonObject:
    wanted: dict[str, int] = {}
    for line in lines:
        sku = str(line["sku"])
        wanted[sku] = wanted.get(sku, 0) + int(_number(line["quantity"]))
    stock: list[Json] = [
        {
            "sku": sku,
            # Most have more than enough, some only a part.
            "pieces": int(pieces * random.choice([0.5, 1.0, 3.0, 10.0])) + 1,
            "age_days": int(random.integers(1, 300)),
            "turnover_days": int(random.integers(5, 200)),
        }
        for sku, pieces in wanted.items()
        if random.random() < 0.65
    ]
    return {
        "warehouse_id": f"WH-{name + 1}",
        "country": _HOME,
        "is_bonded": bool(random.random() < 0.2),
        "has_cold_chain": bool(random.random() < 0.7),
        "may_ship_dangerous": bool(random.random() < 0.8),
        "serves_customer": bool(random.random() < 0.95),
        "capacity_left_parcels": int(random.integers(0, 60)),
        "backlog_hours": round(float(random.gamma(1.5, 2.5)), 1),
        "handling_minutes": int(random.integers(20, 90)),
        "forklift_load": round(float(random.uniform(0.2, 1.1)), 2),
        "packing_load": round(float(random.uniform(0.2, 1.1)), 2),
        "cold_equipment_load": round(float(random.uniform(0.2, 1.0)), 2),
        "weather_severity": round(min(float(random.gamma(1.0, 0.6)), 4.0), 1),
        "distance_km": int(random.integers(20, 2_500)),
        "stock": stock,
        "services": [*_draw_services(random, placed)],
    }


def _draw_services(random: np.random.Generator, placed: datetime) -> Iterator[JsonObject]:
    chosen = sorted(random.permutation(len(_SERVICES))[: random.integers(1, 4)].tolist())
    for place in chosen:
        service_id, carrier, minutes, cost = _SERVICES[place]
        yield {
            "service_id": service_id,
            "carrier": carrier,
            "cut_off_at": (placed + timedelta(hours=int(random.integers(2, 26)))).isoformat(),
            "transit_minutes": minutes + int(random.integers(0, 600)),
            "base_cost": round(cost + float(random.uniform(0.0, 4.0)), 2),
            "cost_per_kg": round(float(random.uniform(0.5, 3.0)), 2),
            "carrier_load": round(float(random.uniform(0.3, 1.2)), 2),
            "past_late_rate": round(float(random.uniform(0.01, 0.15)), 3),
        }


def _moment(order: JsonObject) -> datetime:
    return datetime.fromisoformat(str(order["placed_at"]))


def _objects(value: Json) -> list[JsonObject]:
    assert isinstance(value, list)
    return [read_object(one) for one in value]


def _number(value: Json) -> float:
    assert isinstance(value, (int, float))
    return float(value)
