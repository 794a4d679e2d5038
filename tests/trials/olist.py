"""Olist's orders as legs: what one seller shipped of one order, and what became of it.

The sample has orders, items, customers, products and sellers; docs/trials.md says where it is
published. Two samples may share an order, which is then read once. There are no coordinates:
distances are great circles between the capitals of the two states, and a guess within one state.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.trials.public_data import public_data

_PARTS: Final = ("s1", "s2", "s3", "s4")
_SAME_TOWN_KM, _SAME_STATE_KM = 30.0, 180.0
_EARTH_KM: Final = 6371.0
# Latitude and longitude of the states' capitals, degrees.
_CAPITALS: Final = {
    "AC": (-9.97, -67.81), "AL": (-9.67, -35.74), "AM": (-3.12, -60.02), "AP": (0.03, -51.07),
    "BA": (-12.97, -38.50), "CE": (-3.73, -38.53), "DF": (-15.79, -47.88), "ES": (-20.32, -40.34),
    "GO": (-16.69, -49.26), "MA": (-2.53, -44.30), "MG": (-19.92, -43.94), "MS": (-20.44, -54.65),
    "MT": (-15.60, -56.10), "PA": (-1.46, -48.49), "PB": (-7.12, -34.86), "PE": (-8.05, -34.90),
    "PI": (-5.09, -42.80), "PR": (-25.43, -49.27), "RJ": (-22.91, -43.17), "RN": (-5.79, -35.21),
    "RO": (-8.76, -63.90), "RR": (2.82, -60.67), "RS": (-30.03, -51.23), "SC": (-27.60, -48.55),
    "SE": (-10.91, -37.07), "SP": (-23.55, -46.63), "TO": (-10.18, -48.33),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A seller's or customer's state and postcode prefix."""

    state: str
    postcode: str


@dataclass(frozen=True, slots=True)
class Item:
    """One piece: the article, its category and weight, and what its freight cost."""

    product: str
    category: str
    weight_kg: float
    freight: float


@dataclass(frozen=True, slots=True)
class Leg:
    """What one seller ships of one order.

    Parameters
    ----------
    limit_at
        By when the seller must hand over.
    handed_at, delivered_at
        What happened; None when it is not known.
    """

    order_id: str
    seller: str
    origin: Place
    destination: Place
    placed_at: datetime
    promised_at: datetime
    limit_at: datetime
    handed_at: datetime | None
    delivered_at: datetime | None
    items: tuple[Item, ...]

    @property
    def lane(self) -> tuple[str, str]:
        """States of seller and customer."""
        return self.origin.state, self.destination.state

    @property
    def is_late(self) -> bool:
        """Whether it was delivered after the promised day."""
        assert self.delivered_at is not None
        return self.delivered_at.date() > self.promised_at.date()


def read_legs() -> tuple[Leg, ...]:
    """Return the legs of all orders of the sample, ascending in time; skips without the data."""
    folder = public_data("olist_sample")
    orders = {row["order_id"]: row for row in _rows(folder, "orders")}
    customers = {
        row["customer_id"]: Place(row["customer_state"], row["customer_zip_code_prefix"].zfill(5))
        for row in _rows(folder, "customers")
    }
    sellers = {
        row["seller_id"]: Place(row["seller_state"], row["seller_zip_code_prefix"].zfill(5))
        for row in _read(folder / "olist_sellers_dataset.csv")
    }
    legs = []
    for (order_id, seller), (limit, items) in _items_by_leg(folder).items():
        order = orders[order_id]
        legs.append(
            Leg(
                order_id=order_id,
                seller=seller,
                origin=sellers[seller],
                destination=customers[order["customer_id"]],
                placed_at=_moment(order["order_purchase_timestamp"]),
                promised_at=_moment(order["order_estimated_delivery_date"]),
                limit_at=_moment(limit),
                handed_at=_moment_or_none(order["order_delivered_carrier_date"]),
                delivered_at=_moment_or_none(order["order_delivered_customer_date"]),
                items=tuple(items),
            )
        )
    return tuple(sorted(legs, key=lambda leg: (leg.placed_at, leg.order_id, leg.seller)))


def distance_km(origin: Place, destination: Place) -> float:
    """Return the distance: between capitals, or a guess within one state."""
    if origin.state == destination.state:
        return _SAME_TOWN_KM if origin.postcode[:2] == destination.postcode[:2] else _SAME_STATE_KM
    (south, west), (north, east) = (
        map(math.radians, _CAPITALS[place.state]) for place in (origin, destination)
    )
    half = math.sin((north - south) / 2) ** 2
    half += math.cos(south) * math.cos(north) * math.sin((east - west) / 2) ** 2
    return round(2 * _EARTH_KM * math.asin(math.sqrt(half)), 1)


def _items_by_leg(folder: Path) -> dict[tuple[str, str], tuple[str, list[Item]]]:
    products = {row["product_id"]: row for row in _read(folder / "olist_products_dataset.csv")}
    legs: dict[tuple[str, str], tuple[str, list[Item]]] = {}
    seen: set[tuple[str, str]] = set()
    for row in _rows(folder, "order_items"):
        number = (row["order_id"], row["order_item_id"])
        if number in seen:
            continue
        seen.add(number)
        product = products[row["product_id"]]
        grams = float(product["product_weight_g"] or 0)
        item = Item(
            row["product_id"],
            product["product_category_name"],
            grams / 1000,
            float(row["freight_value"]),
        )
        key = (row["order_id"], row["seller_id"])
        legs.setdefault(key, (row["shipping_limit_date"], []))[1].append(item)
    return legs


def _rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    """Read one table of the four samples, which share some orders."""
    for part in _PARTS:
        yield from _read(folder / f"{part}_{name}.csv")


def _read(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _moment_or_none(text: str) -> datetime | None:
    return _moment(text) if text else None
