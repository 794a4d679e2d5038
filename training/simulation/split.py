"""The world of the split kind: legs that were shipped, and the mechanism that makes them late.

An order here is one leg: a line that left a warehouse by a carrier's service. What it shows is what
`models.split.pairs` computes of a candidate, so the model learns from legs and scores candidates.
The writing of legs is in `training.simulation.split_orders`.
"""

from dataclasses import dataclass

import numpy as np

from training.simulation.calendar import IntArray, Moments, peak
from training.simulation.draws import happens
from training.simulation.mechanism import FloatArray, Mechanism, Pair, ramp
from training.simulation.places import draw_backlog, draw_carrier_load, draw_weather

CARRIERS = ("own-fleet", "sf", "jd_express", "zto", "yto", "deppon", "dhl")
WAREHOUSES = 14
VAN, NEXT_DAY, TWO_DAY, ECONOMY, ABROAD = range(5)
# By service: fixed hours, kilometres an hour, mean slack of the promise in hours, usual late rate.
_FIXED_HOURS = np.array([0.5, 13.0, 24.0, 36.0, 70.0])
_SPEED_KMH = np.array([45.0, 90.0, 70.0, 50.0, 120.0])
_PROMISE_HOURS = np.array([1.5, 22.0, 24.0, 26.0, 60.0])
_LATE_RATE = np.array([0.02, 0.035, 0.05, 0.08, 0.07])
# Who runs a service, by service and carrier.
_RUNS = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.6, 0.4, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.35, 0.25, 0.2, 0.0, 0.2, 0.0],
        [0.0, 0.0, 0.0, 0.4, 0.4, 0.2, 0.0],
        [0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.75],
    ]
)
_UNMEASURED = 0.05
_NOISE = 0.3
_INTERCEPT = -5.9


@dataclass(frozen=True, slots=True)
class Signals:
    """What the legs show, one value per leg; NaN is missing. Units are in the names.

    Codes: `carrier` indexes `CARRIERS`. `cold_load` is NaN where the goods need no cold chain.
    """

    moments: Moments
    carrier: IntArray
    distance_km: FloatArray
    cross_border: IntArray
    carrier_load: FloatArray
    past_late_rate: FloatArray
    transit_hours: FloatArray
    promise_slack_hours: FloatArray
    cut_off_slack_hours: FloatArray
    backlog_hours: FloatArray
    forklift_load: FloatArray
    packing_load: FloatArray
    origin_weather: FloatArray
    destination_weather: FloatArray
    cold: IntArray
    cold_load: FloatArray
    dangerous: IntArray
    pieces: IntArray
    weight_kg: FloatArray
    bonded: IntArray
    stock_age_days: FloatArray
    stock_cover: FloatArray


def draw_signals(random: np.random.Generator, moments: Moments) -> Signals:
    """Draw everything that legs of orders placed at `moments` show."""
    n, days = len(moments.seconds), moments.days
    service = random.choice(5, size=n, p=[0.11, 0.28, 0.25, 0.28, 0.08])
    carrier = _draw_carrier(random, service)
    warehouse = random.integers(0, WAREHOUSES, n)
    distance = _draw_distance(random, service)
    transit = _FIXED_HOURS[service] * random.uniform(0.6, 1.5, n) + distance / _SPEED_KMH[service]
    backlog = 0.22 * draw_backlog(random, days, warehouse, WAREHOUSES)
    busy = 0.1 * ramp(backlog, 4.0, 16.0) + 0.2 * peak(days)
    cold = happens(random, 0.09, n)
    pieces = 1 + random.poisson(0.8, n) + np.where(service == VAN, random.poisson(9.0, n), 0)
    return Signals(
        moments=moments,
        carrier=carrier,
        distance_km=np.round(distance, 1),
        cross_border=(service == ABROAD).astype(np.int64),
        carrier_load=_unmeasured(random, draw_carrier_load(random, days, carrier, len(CARRIERS))),
        past_late_rate=_draw_late_rate(random, days, warehouse, service),
        transit_hours=np.round(transit * 60) / 60,
        promise_slack_hours=_draw_promise(random, service),
        cut_off_slack_hours=_draw_cut_off(random, backlog),
        backlog_hours=np.round(backlog, 1),
        forklift_load=_unmeasured(random, _draw_load(random, busy)),
        packing_load=_unmeasured(random, _draw_load(random, busy)),
        origin_weather=draw_weather(random, days, warehouse % 6, 235),
        destination_weather=draw_weather(random, days, random.integers(0, 6, n), 15),
        cold=cold.astype(np.int64),
        cold_load=np.where(cold, _draw_load(random, busy), np.nan),
        dangerous=happens(random, 0.04, n).astype(np.int64),
        pieces=pieces,
        weight_kg=np.round(pieces * (0.05 + random.lognormal(0.2, 1.1, n)), 2),
        bonded=happens(random, np.where(service == ABROAD, 0.5, 0.08), n).astype(np.int64),
        stock_age_days=np.round(random.gamma(1.2, 60.0, n), 0),
        stock_cover=_draw_cover(random, days, pieces),
    )


def _draw_carrier(random: np.random.Generator, service: IntArray) -> IntArray:
    """Choose a carrier that runs the service."""
    below = np.cumsum(_RUNS, axis=1)[service]
    # The last sum may fall short of 1 by a rounding.
    place = (random.random(len(service))[:, None] > below).sum(axis=1)
    return np.asarray(np.minimum(place, len(CARRIERS) - 1), dtype=np.int64)


def _draw_distance(random: np.random.Generator, service: IntArray) -> FloatArray:
    n = len(service)
    home = np.minimum(random.lognormal(np.log(520.0), 0.8, n), 3_500.0)
    near = np.minimum(5.0 + random.gamma(2.0, 25.0, n), 200.0)
    far = np.minimum(1_200.0 + random.gamma(2.0, 2_400.0, n), 15_000.0)
    return np.where(service == VAN, near, np.where(service == ABROAD, far, home))


def _draw_promise(random: np.random.Generator, service: IntArray) -> FloatArray:
    """Hours from scheduled arrival to promise: some promises are kept to the minute or missed."""
    n = len(service)
    usual = _PROMISE_HOURS[service] * random.gamma(2.2, 1 / 2.2, n)
    tight = _PROMISE_HOURS[service] * random.uniform(-0.2, 0.5, n)
    to_the_minute = random.uniform(0.0, 0.6, n)
    is_tight = happens(random, 0.10, n)
    is_exact = (service == VAN) & happens(random, 0.5, n)
    slack = np.where(is_tight, tight, np.where(is_exact, to_the_minute, usual))
    return np.asarray(np.round(slack * 60) / 60, dtype=np.float64)


def _draw_cut_off(random: np.random.Generator, backlog: FloatArray) -> FloatArray:
    """Hours from ready to cut-off: a backlog eats them, and a few legs were planned too late."""
    n = len(backlog)
    room = random.gamma(2.2, 3.4, n) - 2.0 * ramp(backlog, 4.0, 20.0)
    late = random.uniform(-4.0, 1.0, n)
    hours = np.where(happens(random, 0.02, n), late, room)
    return np.asarray(np.round(hours * 60) / 60, dtype=np.float64)


def _draw_load(random: np.random.Generator, busy: FloatArray) -> FloatArray:
    load = random.beta(4.5, 4.5, len(busy)) + busy
    load = np.where(happens(random, 0.07, len(busy)), load + 0.25, load)
    return np.asarray(np.round(np.clip(load, 0.05, 1.5), 2), dtype=np.float64)


def _draw_late_rate(
    random: np.random.Generator, days: IntArray, warehouse: IntArray, service: IntArray
) -> FloatArray:
    """Of the service from the warehouse in the month: mostly near its usual rate."""
    months = int(days.max()) // 30 + 1
    table = random.gamma(1.6, 1 / 1.6, (WAREHOUSES, len(_LATE_RATE), months))
    rate = _LATE_RATE[service] * (0.4 + 0.8 * table[warehouse, service, days // 30])
    return _unmeasured(random, np.round(np.minimum(rate, 0.6), 3))


def _draw_cover(random: np.random.Generator, days: IntArray, pieces: IntArray) -> FloatArray:
    """Stock over pieces wanted; a leg may carry only what there was."""
    wanted = random.lognormal(2.1, 1.1, len(days)) * (1.0 - 0.35 * peak(days))
    stock = np.maximum(np.rint(wanted * pieces), 1.0)
    return np.asarray(np.round(stock / pieces, 3), dtype=np.float64)


def _unmeasured(random: np.random.Generator, values: FloatArray) -> FloatArray:
    """Leave some out: not every warehouse and carrier tells its load."""
    return np.where(happens(random, _UNMEASURED, len(values)), np.nan, values)


def mechanism(signals: Signals) -> Mechanism:
    """Return how the signals make a leg late; drivers are named as the kind's reason groups."""
    far, crowded = ramp(signals.distance_km, 600.0, 2_600.0), ramp(signals.carrier_load, 0.8, 1.15)
    long = ramp(signals.transit_hours, 12.0, 72.0)
    near = ramp(-signals.promise_slack_hours, -14.0, 0.0)
    missed = ramp(-signals.promise_slack_hours, 0.0, 5.0)
    tight = ramp(-signals.cut_off_slack_hours, -4.0, -2.2)
    behind = ramp(signals.backlog_hours, 4.0, 20.0)
    packing, forklifts = (
        ramp(load, 0.68, 0.85) for load in (signals.packing_load, signals.forklift_load)
    )
    busy = np.minimum(behind + 0.6 * packing + 0.6 * forklifts, 1.0)
    storm = ramp(signals.origin_weather, 1.6, 3.2) + ramp(signals.destination_weather, 1.6, 3.2)
    warm = ramp(signals.cold_load, 0.7, 1.1)
    main = {
        "distance": 1.1 * far + 0.6 * signals.cross_border,
        "carrier": 1.7 * crowded + 2.4 * ramp(signals.past_late_rate, 0.05, 0.2),
        "transit": 0.9 * long,
        "promise": 1.1 * near + 4.0 * missed,
        "cut_off": 1.1 * tight + 2.2 * ramp(-signals.cut_off_slack_hours, -0.5, 3.0),
        "warehouse": 1.8 * behind + 0.8 * packing + 0.8 * forklifts,
        "weather": 2.0 * storm,
        "goods": 0.5 * signals.cold
        + 2.4 * warm
        + 1.2 * signals.dangerous
        + 0.8 * ramp(np.log(signals.weight_kg), np.log(60.0), np.log(400.0)),
        "stock": 2.0 * ramp(-signals.stock_cover, -2.0, -0.6)
        + 1.0 * ramp(signals.stock_age_days, 120.0, 320.0)
        + 0.3 * signals.bonded,
    }
    pairs = (
        Pair("cut_off", "warehouse", 1.4, tight, busy),
        Pair("promise", "transit", 1.6, near, long),
        Pair("carrier", "promise", 0.9, crowded, near),
        Pair("weather", "distance", 0.8, storm, far),
        Pair("goods", "weather", 0.8, warm, storm),
    )
    return Mechanism(_INTERCEPT, main, pairs, _NOISE)
