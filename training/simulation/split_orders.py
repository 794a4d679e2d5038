"""Writes the split kind's legs from their signals: one candidate each, as the split sees it."""

import math

from models.domain import Json
from training.simulation.mechanism import FloatArray
from training.simulation.split import CARRIERS, Signals


def write_orders(signals: Signals) -> list[dict[str, Json]]:
    """Return the legs as JSON-ready objects, in the order of their signals.

    Each holds ``pair``, the document that `models.split.pairs.build_pair_values` computes of a
    candidate, and the moment when its order was placed, which a split by time needs.
    """
    columns = _columns(signals)
    rows = zip(*columns.values(), strict=True)
    return [
        {
            "order_id": f"SIM-{number:08d}",
            "placed_at": placed_at,
            "pair": dict(zip(columns, row, strict=True)),
        }
        for number, (placed_at, row) in enumerate(zip(signals.moments.texts(), rows, strict=True))
    ]


def _columns(signals: Signals) -> dict[str, list[Json]]:
    return {
        "distance_km": _numbers(signals.distance_km),
        "is_cross_border": [value == 1 for value in signals.cross_border.tolist()],
        "carrier": [CARRIERS[code] for code in signals.carrier.tolist()],
        "carrier_load": _numbers(signals.carrier_load),
        "past_late_rate": _numbers(signals.past_late_rate),
        "transit_hours": _numbers(signals.transit_hours),
        "backlog_hours": _numbers(signals.backlog_hours),
        "forklift_load": _numbers(signals.forklift_load),
        "packing_load": _numbers(signals.packing_load),
        "cut_off_slack_hours": _numbers(signals.cut_off_slack_hours),
        "promise_slack_hours": _numbers(signals.promise_slack_hours),
        "origin_weather": _numbers(signals.origin_weather),
        "destination_weather": _numbers(signals.destination_weather),
        "needs_cold_chain": [value == 1 for value in signals.cold.tolist()],
        "cold_equipment_load": _numbers(signals.cold_load),
        "is_bonded": [value == 1 for value in signals.bonded.tolist()],
        "is_dangerous": [value == 1 for value in signals.dangerous.tolist()],
        "stock_age_days": _numbers(signals.stock_age_days),
        "stock_cover": _numbers(signals.stock_cover),
        "pieces": list(signals.pieces.tolist()),
        "weight_kg": _numbers(signals.weight_kg),
    }


def _numbers(values: FloatArray) -> list[Json]:
    return [None if math.isnan(value) else value for value in values.tolist()]
