"""The candidates: every line from every warehouse by every service, and what the model sees.

A kind's features read ``pair.*``: one flat document per candidate, computed here from the order.
Nothing is left out because a constraint excludes it: the plans not taken need its lateness too.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from models.domain import RuleHit
from models.features import OrderValue
from models.split.problem import Line, Problem, Service, Warehouse

PairKey: TypeAlias = tuple[int, str, str]
_MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True)
class Pair:
    """One candidate: a line shipped from a warehouse by a service.

    Parameters
    ----------
    rules
        Rules of the policy that exclude it; they are known once it has been scored.
    """

    line: Line
    warehouse: Warehouse
    service: Service
    rules: tuple[RuleHit, ...] = ()

    @property
    def key(self) -> PairKey:
        """Line number, warehouse, service."""
        return self.line.line_id, self.warehouse.warehouse_id, self.service.service_id

    @property
    def pieces(self) -> int:
        """Most pieces of the line that the warehouse's stock allows."""
        return min(self.line.quantity, self.warehouse.stock_of(self.line.sku).pieces)


def build_pairs(problem: Problem) -> tuple[Pair, ...]:
    """Return every candidate, ordered by line, warehouse and service."""
    return tuple(
        Pair(line, warehouse, service)
        for line in problem.lines
        for warehouse in problem.warehouses
        for service in warehouse.services
    )


def build_pair_values(problem: Problem, pair: Pair) -> dict[str, OrderValue]:
    """Return the document that a kind's features read: ``{"pair": {…}}``; see `PAIR_FIELDS`."""
    line, warehouse, service = pair.line, pair.warehouse, pair.service
    stock = warehouse.stock_of(line.sku)
    values: dict[str, OrderValue] = {
        "distance_km": warehouse.distance_km,
        "is_cross_border": _differs(warehouse.country, problem.country),
        "carrier": service.carrier,
        "carrier_load": service.carrier_load,
        "past_late_rate": service.past_late_rate,
        "transit_hours": service.transit_minutes / _MINUTES_PER_HOUR,
        "backlog_hours": warehouse.backlog_hours,
        "forklift_load": warehouse.forklift_load,
        "packing_load": warehouse.packing_load,
        "cut_off_slack_hours": _hours(warehouse.ready_at(problem.placed_at), service.cut_off_at),
        "promise_slack_hours": _hours(service.arrives_at, problem.promised_at),
        "origin_weather": warehouse.weather_severity,
        "destination_weather": problem.weather_severity,
        "needs_cold_chain": line.cold_chain,
        "cold_equipment_load": warehouse.cold_equipment_load if line.cold_chain else None,
        "is_bonded": warehouse.is_bonded,
        "is_dangerous": line.dangerous_goods,
        "stock_age_days": stock.age_days,
        "stock_cover": stock.pieces / line.quantity,
        "pieces": line.quantity,
        "weight_kg": line.quantity * line.unit_grams / 1000,
    }
    return {"pair": values}


PAIR_FIELDS = (
    "distance_km",
    "is_cross_border",
    "carrier",
    "carrier_load",
    "past_late_rate",
    "transit_hours",
    "backlog_hours",
    "forklift_load",
    "packing_load",
    "cut_off_slack_hours",
    "promise_slack_hours",
    "origin_weather",
    "destination_weather",
    "needs_cold_chain",
    "cold_equipment_load",
    "is_bonded",
    "is_dangerous",
    "stock_age_days",
    "stock_cover",
    "pieces",
    "weight_kg",
)


def _hours(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else (end - start).total_seconds() / 3600


def _differs(left: str | None, right: str | None) -> bool | None:
    return None if left is None or right is None else left != right
