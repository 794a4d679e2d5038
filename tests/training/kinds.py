"""A small kind with a known, not additive mechanism that the tests of this package train."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from models.domain import Json
from models.kind import Kind, built_in_kind, parse_kind
from models.split.request import split_kind
from training.source import Source

CARRIERS = ("north", "south", "sea", "air")
_START = datetime(2025, 1, 1, tzinfo=UTC)


def _words(text: str) -> dict[str, str]:
    return {"zh": f"{text}。", "en": text}


def _templates(group: str) -> list[dict[str, Any]]:
    return [
        {"code": f"{group}_{side}".upper(), "group": group, "side": side, **_words(group)}
        for side in ("adverse", "favourable")
    ]


def _feature(name: str, source: str, group: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - TOML values
    return {"name": name, "source": source, "group": group, "title": _words(name), **more}


DOCUMENT: dict[str, Any] = {
    "name": "shipment",
    "version": "1",
    "title": _words("shipment"),
    "adverse_event": _words("late"),
    "order_id": "order_id",
    "placed_at": "placed_at",
    "outcomes": {
        "favourable": {"code": "accept", "title": _words("accept")},
        "review": {"code": "review", "title": _words("review")},
        "adverse": {"code": "reject", "title": _words("reject")},
    },
    "request": [
        {"path": "order_id", "type": "string", "required": True, "column": "ID"},
        {"path": "placed_at", "type": "date", "column": "Placed", "format": "%d-%b-%y"},
        {"path": "lead_days", "type": "number", "column": "Lead", "minimum": 0},
        {"path": "stock", "type": "integer", "column": "Stock"},
        {"path": "express", "type": "boolean", "column": "Express"},
        {"path": "carrier.name", "type": "string", "column": "Carrier", "max_length": 20},
        {"path": "lines[]", "type": "object"},
        {"path": "lines[].quantity", "type": "number", "column": "Quantity"},
        {"path": "handed_over_at", "type": "datetime"},
    ],
    "groups": [
        {"name": "time", "title": _words("time")},
        {"name": "stock", "title": _words("stock")},
        {"name": "carrier", "title": _words("carrier")},
    ],
    "features": [
        _feature("lead_days", "lead_days", "time", monotone=1, unit="d"),
        _feature("stock", "stock", "stock", monotone=-1),
        _feature("express", "express", "time", type="boolean", protected=True),
        _feature("carrier", "carrier.name", "carrier", type="category"),
        {
            "name": "quantity",
            "function": "total",
            "inputs": ["lines[].quantity"],
            "group": "stock",
            "title": _words("quantity"),
        },
    ],
    "reasons": [*_templates("time"), *_templates("stock"), *_templates("carrier")],
    "summaries": [
        {"outcome": outcome, **_words(f"{outcome}: ")}
        for outcome in ("favourable", "review", "adverse")
    ],
    "policy": {"name": "shipment", "version": "1", "review_at": 0.4, "adverse_at": 0.6},
    "training": {
        "label": {"column": "Late", "positive": ["yes"]},
        "params": {"learning_rate": 0.1, "num_iterations": 120, "min_data_in_leaf": 20},
        "excluded": [{"column": "Delivered", "why": "known only afterwards"}],
    },
}


def shipment(**training: Json) -> Kind:
    """Return the kind, with some of its training settings replaced."""
    return parse_kind({**DOCUMENT, "training": {**DOCUMENT["training"], **training}})


def simulated_kind(name: str) -> Kind:
    """Return a kind that the simulator has a world of."""
    return split_kind() if name == "split" else built_in_kind(name)


def shipments(n_orders: int, seed: int = 7) -> Source:
    """Draw labelled orders; the effect of the lead time depends on the carrier."""
    random = np.random.default_rng(seed)
    lead = np.round(random.gamma(3.0, 6.0, n_orders), 1)
    stock = random.integers(0, 60, n_orders)
    carrier = random.integers(0, len(CARRIERS), n_orders)
    express = random.random(n_orders) < 0.3
    log_odds = -2.0 + np.where(carrier == 2, 0.16 * lead, 0.0) + 2.2 * (stock < 12) - 0.8 * express
    labels = (random.random(n_orders) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
    orders: list[dict[str, Json]] = []
    for index in range(n_orders):
        order: dict[str, Json] = {
            "order_id": f"S-{index}",
            "placed_at": (_START + timedelta(hours=index)).date().isoformat(),
            "stock": int(stock[index]),
            "express": bool(express[index]),
            "carrier": {"name": CARRIERS[carrier[index]]},
            "lines": [{"quantity": float(random.integers(1, 9))}, {}],
        }
        if random.random() < 0.95:  # the rest say nothing of the lead time
            order["lead_days"] = float(lead[index])
        orders.append(order)
    effects = dict.fromkeys(("time", "stock", "carrier"), log_odds / 3)
    return Source(f"drawn, seed {seed}", orders, labels, true_effects=effects)
