"""Writes the risk kind's orders from their signals, in the kind's request schema."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from models.domain import Json
from training.simulation.baskets import CATEGORIES
from training.simulation.calendar import START, IntArray, Moments, date_texts
from training.simulation.customers import write_customers
from training.simulation.mechanism import FloatArray
from training.simulation.risk import CHANNELS, METHODS, SHOPPER, Signals

_CITIES = ((31.23, 121.47), (39.90, 116.40), (23.13, 113.26), (30.57, 104.07), (34.34, 108.94))


def write_orders(signals: Signals) -> list[dict[str, Json]]:
    """Return the orders as JSON-ready objects, in the order of their signals."""
    heads = zip(
        signals.moments.texts(),
        signals.channel.tolist(),
        signals.baskets.order_value.tolist(),
        strict=True,
    )
    orders: list[dict[str, Json]] = [
        {
            "order_id": f"SIM-{number:08d}",
            "placed_at": placed_at,
            "channel": CHANNELS[channel],
            "currency": "CNY",
            "total_amount": value,
        }
        for number, (placed_at, channel, value) in enumerate(heads)
    ]
    parts = (
        ("customer", _write_accounts(signals)),
        ("device", _write_devices(signals)),
        ("ip", _write_addresses_of_network(signals)),
        ("shipping", _write_shipping(signals)),
        ("payment", _write_payments(signals)),
        ("promotion", _write_promotions(signals)),
        ("session", _write_sessions(signals)),
        ("lines", _write_lines(signals)),
    )
    for name, values in parts:
        for order, value in zip(orders, values, strict=True):
            order[name] = value
    return orders


def _rows(*columns: IntArray | FloatArray) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)


def _owner(kind: str, row: int, ring: int, actor: int, shared_by: int) -> str:
    """Name a device, network or card: a ring's own, one of few, or the order's."""
    if actor == SHOPPER:
        return f"{kind}-{row:07d}"
    return f"{kind}-R{ring:05d}-{shared_by % 3}"


def _write_accounts(signals: Signals) -> list[Json]:
    opened = date_texts(signals.moments.days - signals.account_age_days.astype(np.int64))
    accounts = write_customers(signals.histories)
    columns = _rows(
        signals.chargebacks, signals.disputes, signals.not_received, signals.account_orders
    )
    for account, date, figures in zip(accounts, opened, columns, strict=True):
        chargebacks, disputes, not_received, orders = figures
        account |= {
            "account_created_on": date,
            "chargebacks_365d": chargebacks,
            "disputes_365d": disputes,
            "not_received_claims_365d": not_received,
            "orders_24h": orders,
        }
    return [*accounts]


def _write_devices(signals: Signals) -> list[Json]:
    columns = _rows(
        signals.ring,
        signals.actor,
        signals.device_accounts,
        signals.device_orders,
        signals.emulator,
        signals.device_age_days,
    )
    return [
        {
            "device_id": _owner("D", row, ring, actor, accounts),
            "accounts_30d": accounts,
            "orders_24h": orders,
            "is_emulator": emulator == 1,
            "age_days": age,
        }
        for row, (ring, actor, accounts, orders, emulator, age) in enumerate(columns)
    ]


def _write_addresses_of_network(signals: Signals) -> list[Json]:
    columns = _rows(
        signals.ip_accounts,
        signals.ip_orders,
        signals.proxy,
        signals.ip_abroad,
        signals.distance_degrees,
    )
    return [
        {
            "address": f"10.{row >> 16 & 255}.{row >> 8 & 255}.{row & 255}",
            "accounts_30d": accounts,
            "orders_24h": orders,
            "is_proxy": proxy == 1,
            "country": "VN" if abroad else "CN",
            "latitude": round(_CITIES[row % len(_CITIES)][0] - degrees, 2),
            "longitude": _CITIES[row % len(_CITIES)][1],
        }
        for row, (accounts, orders, proxy, abroad, degrees) in enumerate(columns)
    ]


def _write_shipping(signals: Signals) -> list[Json]:
    columns = _rows(
        signals.address_accounts,
        signals.address_orders,
        signals.completeness,
        signals.forwarder,
    )
    places: list[dict[str, Json]] = [
        {
            "address": f"Simulated Road {row}",
            "country": "CN",
            "latitude": _CITIES[row % len(_CITIES)][0],
            "longitude": _CITIES[row % len(_CITIES)][1],
            "accounts_30d": accounts,
            "orders_7d": orders,
            "completeness": completeness,
            "is_forwarder": forwarder == 1,
        }
        for row, (accounts, orders, completeness, forwarder) in enumerate(columns)
    ]
    _add_moments(places, "changed_at", signals.moments, signals.changed_hours)
    return [*places]


def _write_payments(signals: Signals) -> list[Json]:
    columns = _rows(
        signals.method,
        signals.failures,
        signals.cards_tried,
        signals.prepaid,
        signals.card_abroad,
        np.nan_to_num(signals.card_accounts),
        np.nan_to_num(signals.card_orders),
        signals.stolen,
        signals.ring,
        signals.actor,
    )
    payments: list[Json] = []
    for row, figures in enumerate(columns):
        method, failures, cards, prepaid, abroad, accounts, orders, stolen, ring, actor = figures
        payment: dict[str, Json] = {
            "method": METHODS[method],
            "failed_attempts_24h": failures,
            "cards_tried_24h": cards,
        }
        if METHODS[method] == "card":
            payment |= {
                "card_fingerprint": _owner("P", row, ring, actor, int(accounts)),
                "card_country": "US" if abroad else "CN",
                "is_prepaid": prepaid == 1,
                "card_accounts_30d": int(accounts),
                "card_orders_24h": int(orders),
                "is_reported_stolen": stolen == 1,
            }
        payments.append(payment)
    return payments


def _write_promotions(signals: Signals) -> list[Json]:
    amounts = np.round(signals.discount * signals.baskets.order_value, 2)
    columns = _rows(signals.coupons, amounts, signals.new_customer_coupon)
    return [
        {"coupon_count": coupons, "discount_amount": amount, "is_new_customer_coupon": new == 1}
        for coupons, amount, new in columns
    ]


def _write_sessions(signals: Signals) -> list[Json]:
    columns = _rows(signals.login_failures, signals.checkout_seconds)
    sessions: list[dict[str, Json]] = [
        {"login_failures_24h": failures, "checkout_seconds": seconds}
        for failures, seconds in columns
    ]
    _add_moments(sessions, "password_changed_at", signals.moments, signals.password_age_hours)
    return [*sessions]


def _add_moments(
    objects: list[dict[str, Json]], name: str, moments: Moments, hours_before: FloatArray
) -> None:
    """Set `name` to the moment that lies `hours_before` the order, where that is known."""
    known = np.flatnonzero(~np.isnan(hours_before))
    seconds = moments.seconds[known] - np.rint(hours_before[known] * 3600).astype(np.int64)
    texts = np.datetime_as_string(START + seconds.astype("timedelta64[s]")).tolist()
    for row, text in zip(known.tolist(), texts, strict=True):
        objects[row][name] = f"{text}+08:00"


def _write_lines(signals: Signals) -> list[Json]:
    lines = signals.baskets
    columns = zip(
        lines.sku.tolist(),
        lines.category.tolist(),
        lines.quantity.tolist(),
        lines.unit_price.tolist(),
        lines.resale_value.tolist(),
        strict=True,
    )
    return lines.split_lines(
        [
            {
                "sku": f"SKU-{sku:05d}",
                "category": CATEGORIES[category],
                "quantity": quantity,
                "unit_price": price,
                "resale_value": resale,
            }
            for sku, category, quantity, price, resale in columns
        ]
    )
