"""Olist's orders as the split's: sellers become warehouses, the post their one service.

What the data does not have is filled like this. Ready: the seller's usual hours to hand over, as
backlog. Cut-off: the seller's real limit where it shipped the order, else its usual one; where it
usually hands over later than that, a limit is no law and the cut-off is then. Transit: the lane's
median. Rate per parcel: what the order paid per piece, for another seller the lane's
median. Stock: the pieces wanted. Carrier, weather, loads of forklifts and packing stations, and
the stock's age stay missing or, for the carrier, one name.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from models.domain import Json
from tests.trials.olist import Item, Leg, Place, distance_km
from tests.trials.olist_history import History, Known

_CATEGORY_SELLERS: Final = 4
_LEG_SKU: Final = "leg"
# Ready is rounded up to a whole minute and the cut-off down.
_ROUNDING: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Offer:
    """What one seller could ship, and how."""

    seller: str
    origin: Place
    skus: tuple[str, ...]
    known: Known
    cut_off_at: datetime
    rate: float


class Market:
    """Who sells what, and what the post costs: read from the whole sample, like a price list.

    Parameters
    ----------
    legs
        All legs.
    """

    def __init__(self, legs: tuple[Leg, ...]) -> None:
        self.origins = {leg.seller: leg.origin for leg in legs}
        self._products: defaultdict[str, set[str]] = defaultdict(set)
        categories: defaultdict[str, Counter[str]] = defaultdict(Counter)
        freight: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for leg in legs:
            for item in leg.items:
                self._products[item.product].add(leg.seller)
                categories[item.category][leg.seller] += 1
                freight[leg.lane].append(item.freight)
        self._categories = {
            name: tuple(sorted(counts, key=lambda s: (-counts[s], s))[:_CATEGORY_SELLERS])
            for name, counts in categories.items()
        }
        self._rates = {lane: sorted(paid)[len(paid) // 2] for lane, paid in freight.items()}
        self._usual_rate = sorted(self._rates.values())[len(self._rates) // 2]

    def sellers(self, item: Item) -> set[str]:
        """Return who sells the product, and the busiest sellers of its category."""
        named = self._categories[item.category] if item.category else ()
        return self._products[item.product] | set(named)

    def rate(self, lane: tuple[str, str]) -> float:
        """Return the lane's rate per parcel."""
        return self._rates.get(lane, self._usual_rate)


def write_leg(leg: Leg, history: History) -> dict[str, Json]:
    """Return an order of one line and one seller: the leg as it was shipped."""
    kilograms = sum(item.weight_kg for item in leg.items) / len(leg.items)
    line: dict[str, Json] = _line(1, _LEG_SKU, len(leg.items), kilograms)
    return _order((leg,), [line], [_own_offer(leg, (_LEG_SKU,), history)])


def write_order(legs: tuple[Leg, ...], market: Market, history: History) -> dict[str, Json]:
    """Return an order of several sellers: a line for each product, and everybody who sells it.

    Parameters
    ----------
    legs
        Of one order.
    market
        Who else sells what.
    history
        As it stood when the order was placed.
    """
    items = {item.product: item for leg in legs for item in leg.items}
    pieces = Counter(item.product for leg in legs for item in leg.items)
    skus: defaultdict[str, list[str]] = defaultdict(list)
    for product, item in sorted(items.items()):
        for seller in sorted(market.sellers(item)):
            skus[seller].append(product)
    own = {leg.seller: leg for leg in legs}
    offers = [
        _own_offer(own[seller], tuple(names), history)
        if seller in own
        else _other_offer(seller, tuple(names), legs[0], market, history)
        for seller, names in sorted(skus.items())
    ]
    lines: list[Json] = [
        _line(number, product, pieces[product], item.weight_kg)
        for number, (product, item) in enumerate(sorted(items.items()), start=1)
    ]
    return _order(legs, lines, offers)


def _own_offer(leg: Leg, skus: tuple[str, ...], history: History) -> Offer:
    known = history.known(leg.seller, leg.lane, leg.placed_at)
    paid = sum(item.freight for item in leg.items) / len(leg.items)
    return Offer(leg.seller, leg.origin, skus, known, leg.limit_at, paid)


def _other_offer(
    seller: str, skus: tuple[str, ...], order: Leg, market: Market, history: History
) -> Offer:
    origin = market.origins[seller]
    lane = (origin.state, order.destination.state)
    known = history.known(seller, lane, order.placed_at)
    cut_off_at = order.placed_at + timedelta(hours=known.limit_hours)
    return Offer(seller, origin, skus, known, cut_off_at, market.rate(lane))


def _line(number: int, sku: str, pieces: int, kilograms: float) -> dict[str, Json]:
    return {"line_id": number, "sku": sku, "quantity": pieces, "unit_weight_kg": kilograms}


def _order(legs: tuple[Leg, ...], lines: Iterable[Json], offers: list[Offer]) -> dict[str, Json]:
    first = legs[0]
    wanted = list(lines)
    pieces = sum(len(leg.items) for leg in legs)
    return {
        "order_id": first.order_id,
        "placed_at": first.placed_at.isoformat(),
        "promised_at": first.promised_at.isoformat(),
        "destination": {"country": "BR"},
        "lines": wanted,
        "warehouses": [_warehouse(offer, first, pieces) for offer in offers],
    }


def _warehouse(offer: Offer, order: Leg, pieces: int) -> dict[str, Json]:
    known = offer.known
    usual_at = order.placed_at + timedelta(hours=known.handover_hours) + _ROUNDING
    return {
        "warehouse_id": offer.seller,
        "country": "BR",
        "backlog_hours": min(known.handover_hours, 2_000.0),
        "distance_km": distance_km(offer.origin, order.destination),
        "stock": [{"sku": sku, "pieces": pieces} for sku in offer.skus],
        "services": [
            {
                "service_id": "post",
                "carrier": "post",
                "cut_off_at": max(offer.cut_off_at, usual_at).isoformat(),
                "transit_minutes": round(known.transit_hours * 60),
                "base_cost": round(offer.rate, 2),
                "carrier_load": known.load,
                "past_late_rate": known.late_rate,
            }
        ],
    }
