"""The world of the admission kind: its signals, and the mechanism that makes orders fail.

Signals are drawn from seasons, places, suppliers, articles and customers, so that many move
together; `mechanism` then says how they cause failure. The writing of orders is in
`training.simulation.admission_orders`.
"""

from dataclasses import dataclass

import numpy as np

from training.simulation.baskets import CATEGORIES, Baskets, draw_baskets
from training.simulation.calendar import IntArray, Moments, peak
from training.simulation.customers import Histories, draw_histories
from training.simulation.draws import happens
from training.simulation.mechanism import FloatArray, Mechanism, Pair, ramp, share
from training.simulation.places import draw_backlog, draw_carrier_load, draw_weather

CHANNELS = ("tmall", "jd", "douyin", "xiaohongshu", "wechat_mini", "shopify", "amazon")
COUNTRIES = ("CN", "US", "DE", "JP", "GB", "SG", "AU", "BR", "RU", "KR", "FR", "AE", "TH")
WAREHOUSES = 9
CARRIERS = ("sf", "jd_express", "zto", "cainiao", "dhl", "ups")
_CROSS_BORDER = np.array([0.28, 0.20, 0.12, 0.42, 0.15, 0.85, 0.80])
_COUNTRY_RISK = np.array(
    [0.04, 0.15, 0.10, 0.08, 0.12, 0.07, 0.10, 0.52, 0.62, 0.10, 0.12, 0.34, 0.30]
)
_EXTENSIONS = np.array([2, 3, 5, 7, 10, 14])
_NOTICE_SHOWN_DAYS = 150
_NOTICE_GAP_DAYS = 145.0
_NOISE = 0.3
_INTERCEPT = -4.8


@dataclass(frozen=True, slots=True)
class Signals:
    """What the orders show, one value per order; NaN is missing. Units are in the names.

    Codes: `channel`, `country`, `carrier`, `warehouse`, `supplier` index the constants above.
    `rule_age_days` is the age of the newest customs rule for destination and category.
    """

    moments: Moments
    histories: Histories
    baskets: Baskets
    channel: IntArray
    cross_border: IntArray
    country: IntArray
    embargoed: IntArray
    destination_risk: FloatArray
    presale_days: IntArray
    window_days: IntArray
    transit_days: IntArray
    channel_failure: FloatArray
    supplier: IntArray
    supplier_warning: IntArray
    supplier_load: FloatArray
    article_safety: IntArray
    article_pieces: IntArray
    bonded: IntArray
    category_safety: IntArray
    category_pieces: IntArray
    in_transit_pieces: IntArray
    in_transit_eta_days: IntArray
    warehouse: IntArray
    backlog_hours: FloatArray
    carrier: IntArray
    carrier_load: FloatArray
    weather_origin: FloatArray
    weather_destination: FloatArray
    rule_age_days: FloatArray
    extension_days: FloatArray


def draw_signals(random: np.random.Generator, moments: Moments) -> Signals:
    """Draw everything that orders placed at `moments` show."""
    n, days = len(moments.seconds), moments.days
    histories = draw_histories(random, moments)
    baskets = draw_baskets(random, histories.pieces)
    channel = random.choice(len(CHANNELS), size=n, p=[0.27, 0.18, 0.15, 0.12, 0.10, 0.09, 0.09])
    abroad = happens(random, _CROSS_BORDER[channel], n)
    country = np.where(abroad, random.integers(1, len(COUNTRIES), n), 0)
    embargoed = abroad & happens(random, 0.002, n)
    risk = np.clip(_COUNTRY_RISK[country] + random.normal(0.0, 0.07, n), 0.0, 1.0)
    presale = np.where(happens(random, 0.2, n), 3 + random.gamma(2.0, 13.0, n), 0.0)
    transit = np.where(abroad, 5 + random.poisson(4.0, n), 1 + random.poisson(1.6, n))
    tight = happens(random, 0.14, n)
    slack = np.where(tight, random.integers(-5, 4, n), 3 + random.poisson(3.0, n))
    load = np.clip(random.beta(5.0, 3.5, n) + 0.12 * peak(days) + 0.03, 0.1, 1.4)
    load = np.where(happens(random, 0.08, n), load + 0.35, load)
    warning = happens(random, 0.02 + 0.5 * ramp(load, 0.85, 1.15), n)
    cover = random.lognormal(0.75, 0.75, n) * (1.0 - 0.25 * peak(days))
    safety = random.integers(3, 13, n) * 5
    bonded = abroad & happens(random, 0.7, n)
    category_cover = random.lognormal(0.75, 0.95, n)
    category_safety = random.integers(2, 9, n) * 5
    arriving = happens(random, 0.7, n)
    warehouse, carrier = random.integers(0, WAREHOUSES, n), random.integers(0, len(CARRIERS), n)
    region = country % 6
    age, extension = _draw_notices(random, days, country, baskets.main_category)
    return Signals(
        moments=moments,
        histories=histories,
        baskets=baskets,
        channel=channel,
        cross_border=abroad.astype(np.int64),
        country=country,
        embargoed=embargoed.astype(np.int64),
        destination_risk=np.round(np.where(embargoed, 1.0, risk), 2),
        presale_days=np.minimum(np.rint(presale), 120).astype(np.int64),
        window_days=np.maximum(transit + slack, 1).astype(np.int64),
        transit_days=transit.astype(np.int64),
        channel_failure=_by_day(random, len(CHANNELS), days // 30, channel, (0.022, 0.012)),
        supplier=random.integers(0, 160, n),
        supplier_warning=warning.astype(np.int64),
        supplier_load=np.round(load, 2),
        article_safety=safety,
        article_pieces=np.floor(cover * safety).astype(np.int64),
        bonded=bonded.astype(np.int64),
        category_safety=category_safety,
        category_pieces=np.floor(category_cover * category_safety).astype(np.int64),
        in_transit_pieces=np.where(arriving, 10 * random.integers(1, 25, n), 0),
        in_transit_eta_days=np.minimum(1 + random.gamma(1.6, 8.0, n), 90).astype(np.int64),
        warehouse=warehouse,
        backlog_hours=draw_backlog(random, days, warehouse, WAREHOUSES),
        carrier=carrier,
        carrier_load=draw_carrier_load(random, days, carrier, len(CARRIERS)),
        weather_origin=draw_weather(random, days, warehouse % 4, 235),
        weather_destination=draw_weather(random, days, region, 15),
        rule_age_days=np.where(abroad, age, np.nan),
        extension_days=np.where(abroad, extension, np.nan),
    )


def _by_day(
    random: np.random.Generator,
    places: int,
    period: IntArray,
    place: IntArray,
    level: tuple[float, float],
) -> FloatArray:
    """Rates that belong to a place for a period: mostly low, gamma distributed."""
    base, spread = level
    table = base + random.gamma(1.0, spread, (places, int(period.max()) + 1))
    return np.round(table[place, period], 3)


def _draw_notices(
    random: np.random.Generator, days: IntArray, country: IntArray, category: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Age and extension of the newest customs notice for each order's destination and category."""
    age = np.full(len(days), np.nan)
    extension = np.full(len(days), np.nan)
    stream = country * len(CATEGORIES) + category
    for number in range(len(CATEGORIES), len(COUNTRIES) * len(CATEGORIES)):
        starts = np.cumsum(20 + random.exponential(_NOTICE_GAP_DAYS, 12)) - _NOTICE_GAP_DAYS
        effective = np.rint(starts).astype(np.int64)
        lengths = random.choice(_EXTENSIONS, size=len(effective))
        here = np.flatnonzero(stream == number)
        latest = np.searchsorted(effective, days[here], side="right") - 1
        since = days[here] - effective[np.maximum(latest, 0)]
        known = (latest >= 0) & (since <= _NOTICE_SHOWN_DAYS)
        age[here] = np.where(known, since, np.nan)
        extension[here] = np.where(known, lengths[np.maximum(latest, 0)], np.nan)
    return age, extension


def mechanism(signals: Signals) -> Mechanism:
    """Return how the signals make an order fail; drivers are named as the kind's reason groups."""
    past, lines = signals.histories, signals.baskets
    slack = (signals.window_days - signals.transit_days).astype(np.float64)
    tight = ramp(-slack, -2.5, 3.0)
    short = ramp(-share(signals.article_pieces, signals.article_safety), -0.8, -0.1)
    cover = np.where(
        signals.bonded == 1, share(signals.category_pieces, signals.category_safety), 9
    )
    eta = np.where(signals.in_transit_pieces > 0, signals.in_transit_eta_days, 30).astype(float)
    far = ramp(eta, 12.0, 28.0)
    busy, crowded = ramp(signals.backlog_hours, 36.0, 96.0), ramp(signals.carrier_load, 0.88, 1.2)
    storm = ramp(np.maximum(signals.weather_origin, signals.weather_destination), 1.6, 3.2)
    fresh = 1.0 - ramp(signals.rule_age_days, 20.0, 65.0)
    customs = ramp(signals.extension_days, 1.0, 8.0) * fresh
    risky = ramp(signals.destination_risk, 0.35, 0.75)
    controlled = np.minimum(lines.total(lines.controlled), 2.0)
    returns_3 = share(past.last(past.recent_returned, 3), past.last(past.recent_pieces, 3))
    cancels_3 = share(past.last(past.recent_cancelled, 3), past.known(3))
    sends_back = ramp(returns_3, 0.25, 0.85)
    value = ramp(np.log(lines.order_value), np.log(1300.0), np.log(6000.0))
    long_presale = ramp(signals.presale_days, 12.0, 55.0)
    overload = ramp(signals.supplier_load, 0.85, 1.15)
    main = {
        "presale": 2.4 * long_presale,
        "promise": 2.3 * tight,
        "fulfilment_history": 2.6 * ramp(lines.most(lines.failure_rate), 0.08, 0.22)
        + 1.6 * ramp(signals.channel_failure, 0.045, 0.10),
        "supplier": 1.3 * signals.supplier_warning + 1.5 * overload,
        "article_stock": 2.2 * short,
        "category_stock": 2.0 * ramp(-cover, -0.8, -0.1),
        "in_transit": 0.3 * far,
        "warehouse": 2.1 * busy,
        "carrier": 1.7 * crowded,
        "weather": 2.2 * storm,
        "customs_rule": 5.2 * customs,
        "hs_control": 1.5 * ramp(controlled, 0.0, 1.0) + 0.6 * ramp(controlled, 1.0, 2.0),
        "destination": 2.2 * risky,
        "customer_returns": 2.7 * sends_back
        + 0.5 * ramp(share(past.returned_90d, past.pieces_90d), 0.2, 0.8),
        "customer_cancels": 2.4 * ramp(cancels_3, 0.2, 0.9)
        + 0.5 * ramp(share(past.cancelled_90d, past.orders_90d), 0.1, 0.8),
        "customer_tenure": 0.6 * ramp(-past.tenure_days, -120.0, -10.0),
        "order_size": 1.5 * value + 0.6 * ramp(np.diff(lines.first), 2.0, 6.0),
    }
    pairs = (
        Pair("article_stock", "in_transit", 1.0, short, far),
        Pair("customs_rule", "promise", 1.0, customs, tight),
        Pair("warehouse", "carrier", 0.9, busy, crowded),
        Pair("weather", "promise", 0.7, storm, tight),
        Pair("presale", "supplier", 0.9, long_presale, overload),
        Pair("hs_control", "destination", 0.8, ramp(controlled, 0.0, 1.0), risky),
        Pair("customer_returns", "order_size", 0.6, sends_back, value),
    )
    return Mechanism(_INTERCEPT, main, pairs, _NOISE)
