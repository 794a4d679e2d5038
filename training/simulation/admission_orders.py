"""Writes the admission kind's orders from their signals, in the kind's request schema."""

from collections.abc import Sequence

import numpy as np

from models.domain import Json
from training.simulation.admission import CARRIERS, CHANNELS, COUNTRIES, Signals
from training.simulation.baskets import CATEGORIES, hs_code
from training.simulation.calendar import date_texts
from training.simulation.customers import write_customers


def write_orders(signals: Signals) -> list[dict[str, Json]]:
    """Return the orders as JSON-ready objects, in the order of their signals."""
    heads = zip(
        signals.moments.texts(),
        signals.channel.tolist(),
        signals.presale_days.tolist(),
        signals.window_days.tolist(),
        signals.baskets.order_value.tolist(),
        strict=True,
    )
    orders: list[dict[str, Json]] = [
        {
            "order_id": f"SIM-{number:08d}",
            "placed_at": placed_at,
            "channel": CHANNELS[channel],
            "presale_lead_days": presale,
            "promised_window_days": window,
            "currency": "CNY",
            "total_amount": value,
        }
        for number, (placed_at, channel, presale, window, value) in enumerate(heads)
    ]
    parts: tuple[tuple[str, Sequence[Json]], ...] = (
        ("customer", write_customers(signals.histories)),
        ("lines", _write_lines(signals)),
        ("channel_stats", [{"failure_rate_90d": x} for x in signals.channel_failure.tolist()]),
        ("stock", _write_stock(signals)),
        *_write_places(signals),
    )
    for name, values in parts:
        for order, value in zip(orders, values, strict=True):
            order[name] = value
    for row, abroad in enumerate(signals.cross_border.tolist()):
        orders[row]["is_cross_border"] = abroad == 1
    _add_customs(signals, orders)
    return orders


def _write_lines(signals: Signals) -> list[Json]:
    lines = signals.baskets
    columns = zip(
        lines.sku.tolist(),
        lines.category.tolist(),
        lines.quantity.tolist(),
        lines.unit_price.tolist(),
        lines.controlled.tolist(),
        lines.licence_missing.tolist(),
        lines.failure_rate.tolist(),
        strict=True,
    )
    return lines.split_lines(
        [
            {
                "sku": f"SKU-{sku:05d}",
                "category": CATEGORIES[category],
                "quantity": quantity,
                "unit_price": price,
                "hs_code": hs_code(category),
                "is_controlled": controlled == 1,
                "licence_missing": missing == 1,
                "failure_rate_90d": failure,
            }
            for sku, category, quantity, price, controlled, missing, failure in columns
        ]
    )


def _write_stock(signals: Signals) -> list[Json]:
    columns = zip(
        signals.article_pieces.tolist(),
        signals.article_safety.tolist(),
        signals.in_transit_pieces.tolist(),
        signals.in_transit_eta_days.tolist(),
        signals.bonded.tolist(),
        signals.category_pieces.tolist(),
        signals.category_safety.tolist(),
        strict=True,
    )
    stocks: list[Json] = []
    for article, safety, arriving, eta, bonded, category, category_safety in columns:
        stock: dict[str, Json] = {
            "article_pieces": article,
            "article_safety_pieces": safety,
            "in_transit_pieces": arriving,
        }
        if arriving:
            stock["in_transit_eta_days"] = eta
        if bonded:
            stock["bonded_category_pieces"] = category
            stock["bonded_category_safety_pieces"] = category_safety
        stocks.append(stock)
    return stocks


def _write_places(signals: Signals) -> tuple[tuple[str, list[Json]], ...]:
    supplier = zip(
        signals.supplier.tolist(),
        signals.supplier_warning.tolist(),
        signals.supplier_load.tolist(),
        strict=True,
    )
    warehouse = zip(
        signals.warehouse.tolist(),
        signals.bonded.tolist(),
        signals.backlog_hours.tolist(),
        strict=True,
    )
    logistics = zip(
        signals.carrier.tolist(),
        signals.carrier_load.tolist(),
        signals.transit_days.tolist(),
        strict=True,
    )
    weather = np.stack([signals.weather_origin, signals.weather_destination], axis=1)
    destination = zip(
        signals.country.tolist(),
        signals.destination_risk.tolist(),
        signals.embargoed.tolist(),
        strict=True,
    )
    return (
        (
            "supplier",
            [
                {"supplier_code": f"SUP-{s:03d}", "capacity_warning": w == 1, "load": load}
                for s, w, load in supplier
            ],
        ),
        (
            "warehouse",
            [
                {"warehouse_id": f"WH-{w + 1}", "is_bonded": b == 1, "backlog_hours": hours}
                for w, b, hours in warehouse
            ],
        ),
        (
            "logistics",
            [
                {"carrier": CARRIERS[c], "carrier_load": load, "transit_days": days}
                for c, load, days in logistics
            ],
        ),
        (
            "weather",
            [
                {"origin_severity": origin, "destination_severity": destination_}
                for origin, destination_ in weather.tolist()
            ],
        ),
        (
            "destination",
            [
                {"country": COUNTRIES[c], "risk_score": risk, "is_embargoed": e == 1}
                for c, risk, e in destination
            ],
        ),
    )


def _add_customs(signals: Signals, orders: list[dict[str, Json]]) -> None:
    under_rule = np.flatnonzero(~np.isnan(signals.rule_age_days))
    ages = signals.rule_age_days[under_rule].astype(np.int64)
    effective = date_texts(signals.moments.days[under_rule] - ages)
    extension = signals.extension_days[under_rule].astype(np.int64).tolist()
    for row, date, days in zip(under_rule.tolist(), effective, extension, strict=True):
        orders[row]["customs"] = {"effective_on": date, "filing_extension_days": days}
