"""The world of the risk kind: shoppers, fraud rings, and the mechanism that makes orders abusive.

Each order comes from an actor: an ordinary shopper, or one of six kinds of abuser. Rings work in
bursts and share devices, networks, addresses and cards, which is why the signals move
together; shoppers on shared networks or with forwarders show some of them too. `mechanism` sees
the signals only, never the actor.
"""

from dataclasses import dataclass

import numpy as np

from training.simulation.baskets import Baskets, draw_baskets
from training.simulation.calendar import IntArray, Moments
from training.simulation.customers import Histories, draw_histories
from training.simulation.draws import happens
from training.simulation.mechanism import FloatArray, Mechanism, Pair, ramp, share

CHANNELS = ("tmall", "jd", "douyin", "xiaohongshu", "wechat_mini", "shopify", "amazon")
METHODS = ("alipay", "wechat_pay", "card", "paypal", "bank_transfer", "cash_on_delivery")
SHOPPER, FARM, DROP, TESTER, PROMO, TAKEOVER, ABUSER = range(7)
_ACTORS = [0.938, 0.011, 0.011, 0.011, 0.011, 0.012, 0.006]
KM_PER_DEGREE = 111.195
_RING_DAYS = 21
_RINGS = 3
_NIGHT_SHARE = 0.25
_NOISE = 0.6
_INTERCEPT = -5.2


@dataclass(frozen=True, slots=True)
class Signals:
    """What the orders show, one value per order; NaN is missing. Units are in the names."""

    moments: Moments
    histories: Histories
    baskets: Baskets
    channel: IntArray
    ring: IntArray
    actor: IntArray
    account_age_days: FloatArray
    device_accounts: IntArray
    device_orders: IntArray
    emulator: IntArray
    device_age_days: IntArray
    ip_accounts: IntArray
    ip_orders: IntArray
    proxy: IntArray
    ip_abroad: IntArray
    distance_degrees: FloatArray
    account_orders: IntArray
    address_accounts: IntArray
    address_orders: IntArray
    completeness: FloatArray
    forwarder: IntArray
    changed_hours: FloatArray
    method: IntArray
    prepaid: IntArray
    card_abroad: IntArray
    card_accounts: FloatArray
    card_orders: FloatArray
    stolen: IntArray
    failures: IntArray
    cards_tried: IntArray
    coupons: IntArray
    discount: FloatArray
    new_customer_coupon: IntArray
    chargebacks: IntArray
    disputes: IntArray
    not_received: IntArray
    login_failures: IntArray
    password_age_hours: FloatArray
    checkout_seconds: IntArray


class _Draws:
    """Draws that differ by actor: `usual` for everybody, `theirs` for some with a probability."""

    def __init__(self, random: np.random.Generator, actor: IntArray, ring: IntArray) -> None:
        self.random, self.actor, self.ring = random, actor, ring
        self.strength = random.gamma(3.0, 1 / 3.0, int(ring.max()) + 1)[ring]

    def happens(self, usual: float, **theirs: float) -> IntArray:
        """Return 1 with the probability of each order's actor."""
        chance = np.full(len(self.actor), usual)
        for name, probability in theirs.items():
            chance[self.actor == _CODES[name]] = probability
        return happens(self.random, chance, len(chance)).astype(np.int64)

    def counts(self, rare: float, mean: float, idle: float = 0.12, **theirs: float) -> IntArray:
        """Return small counts, more where it `happens`; a ring's strength scales its own."""
        busy = self.happens(rare, **theirs)
        many = 1 + self.random.poisson(mean * self.strength)
        few = self.random.poisson(idle, len(busy))
        return np.where(busy == 1, many, few).astype(np.int64)


_CODES = {
    "farm": FARM,
    "drop": DROP,
    "tester": TESTER,
    "promo": PROMO,
    "takeover": TAKEOVER,
    "abuser": ABUSER,
}


def draw_signals(random: np.random.Generator, moments: Moments) -> Signals:
    """Draw everything that orders placed at `moments` show."""
    n = len(moments.seconds)
    moments, actor = _draw_actors(random, moments)
    histories = draw_histories(random, moments)
    burst = moments.days // _RING_DAYS * _RINGS + random.integers(0, _RINGS, n)
    ring = np.where(actor == SHOPPER, 0, 1 + burst * len(_ACTORS) + actor).astype(np.int64)
    draw = _Draws(random, actor, ring)
    baskets = draw_baskets(
        random,
        histories.pieces + draw.counts(0.0067, 5.0, tester=0.24, takeover=0.32) // 2,
        np.where(draw.happens(0.034, tester=0.56, takeover=0.48, farm=0.24) == 1, 0.53, 0.03),
    )
    young = draw.happens(0.041, farm=0.56, promo=0.68, drop=0.32, tester=0.4)
    age = np.where(young == 1, random.gamma(1.0, 6.0, n), histories.tenure_days + 30.0)
    method = random.choice(len(METHODS), size=n, p=[0.3, 0.28, 0.24, 0.08, 0.06, 0.04])
    method = np.where((actor == TESTER) | (actor == TAKEOVER), 2, method)
    by_card = method == METHODS.index("card")
    failures = draw.counts(0.013, 3.0, tester=0.6, takeover=0.2)
    far = draw.happens(0.027, tester=0.32, takeover=0.56, drop=0.24)
    changed = draw.happens(0.02, takeover=0.48, drop=0.24)
    reset = draw.happens(0.013, takeover=0.56)
    quick = draw.happens(0.02, farm=0.4, promo=0.32, tester=0.24)
    discount = random.beta(1.2, 12.0, n)
    stacking = draw.happens(0.02, promo=0.68)
    stolen = by_card * draw.happens(0.0, tester=0.02)
    return Signals(
        moments=moments,
        histories=histories,
        baskets=baskets,
        channel=random.choice(len(CHANNELS), size=n),
        ring=ring,
        actor=actor,
        account_age_days=np.floor(age),
        device_accounts=1 + draw.counts(0.01, 4.0, farm=0.72, promo=0.4),
        device_orders=1 + draw.counts(0.013, 4.0, farm=0.4, tester=0.28),
        emulator=draw.happens(0.0067, farm=0.4, promo=0.12),
        device_age_days=np.floor(random.gamma(1.3, 160.0, n)).astype(np.int64),
        ip_accounts=1 + draw.counts(0.034, 5.0, farm=0.32, promo=0.48),
        ip_orders=1 + draw.counts(0.027, 4.0, farm=0.24, tester=0.24),
        proxy=draw.happens(0.02, farm=0.28, tester=0.4, takeover=0.32),
        ip_abroad=far * draw.happens(0.45),
        distance_degrees=np.round(
            np.minimum(random.gamma(0.7, 0.6, n) + far * random.gamma(3.0, 4.0, n), 60.0), 2
        ),
        account_orders=1 + draw.counts(0.013, 3.0, takeover=0.32, drop=0.16),
        address_accounts=1 + draw.counts(0.013, 4.0, drop=0.72, promo=0.24),
        address_orders=1 + draw.counts(0.027, 4.0, drop=0.48),
        completeness=np.round(
            np.where(draw.happens(0.034, drop=0.28, farm=0.2) == 1, random.beta(3, 5, n), 1.0)
            * random.beta(30.0, 1.5, n),
            2,
        ),
        forwarder=draw.happens(0.02, drop=0.24, tester=0.16),
        changed_hours=np.where(changed == 1, np.round(random.gamma(1.0, 8.0, n), 1), np.nan),
        method=method,
        prepaid=by_card * draw.happens(0.041, tester=0.32, farm=0.24),
        card_abroad=by_card * draw.happens(0.041, tester=0.36, drop=0.16),
        card_accounts=np.where(by_card, 1 + draw.counts(0.013, 3.0, tester=0.4, drop=0.32), np.nan),
        card_orders=np.where(by_card, 1 + draw.counts(0.02, 3.0, tester=0.48), np.nan),
        stolen=stolen,
        failures=failures,
        cards_tried=1 + np.minimum(failures, random.poisson(0.6 * failures)),
        coupons=draw.counts(0.041, 2.0, 0.25, promo=0.68),
        discount=np.round(np.where(stacking == 1, random.beta(5.0, 6.0, n), discount), 3),
        new_customer_coupon=draw.happens(0.047, promo=0.56, farm=0.24),
        chargebacks=draw.counts(0.004, 1.0, 0.01, abuser=0.44, tester=0.08),
        disputes=draw.counts(0.013, 1.5, 0.03, abuser=0.48),
        not_received=draw.counts(0.0067, 1.5, 0.03, abuser=0.48),
        login_failures=draw.counts(0.02, 5.0, takeover=0.6),
        password_age_hours=np.where(reset == 1, np.round(random.gamma(1.0, 10.0, n), 1), np.nan),
        checkout_seconds=np.floor(
            np.where(quick == 1, 3 + random.gamma(2.0, 5.0, n), 40 + random.gamma(2.0, 120.0, n))
        ).astype(np.int64),
    )


def _draw_actors(random: np.random.Generator, moments: Moments) -> tuple[Moments, IntArray]:
    """Draw who orders; some abusers order in the small hours of their day."""
    actor = random.choice(len(_ACTORS), size=len(moments.seconds), p=_ACTORS)
    night = (actor != SHOPPER) & happens(random, _NIGHT_SHARE, len(actor))
    small_hours = moments.days * 86_400 + 3600 + random.integers(0, 4 * 3600, len(actor))
    seconds = np.where(night, small_hours, moments.seconds)
    order = np.argsort(seconds, kind="stable")
    return Moments(seconds[order]), actor[order].astype(np.int64)


def mechanism(signals: Signals) -> Mechanism:
    """Return how the signals make an order abusive; drivers are named as the reason groups."""
    past, lines = signals.histories, signals.baskets
    shared_device = ramp(signals.device_accounts, 1.0, 5.0)
    shared_ip, hidden = ramp(signals.ip_accounts, 2.0, 8.0), signals.proxy.astype(np.float64)
    shared_address = ramp(signals.address_accounts, 1.0, 5.0)
    shared_card = ramp(signals.card_accounts, 1.0, 4.0)
    distance = ramp(signals.distance_degrees * KM_PER_DEGREE, 400.0, 1500.0)
    hurry = ramp(signals.device_orders, 1.0, 5.0)
    new = ramp(-signals.account_age_days, -30.0, -2.0)
    failing = ramp(signals.failures, 0.0, 4.0)
    stacked = ramp(signals.coupons, 1.0, 4.0)
    resale = lines.total(lines.unit_price * lines.quantity * lines.resale_value) / lines.order_value
    costly = ramp(np.log(lines.order_value), np.log(900.0), np.log(6000.0))
    hours = signals.moments.hours
    night = ramp(hours, 0.5, 1.5) * ramp(-hours, -6.0, -5.0)
    main = {
        "device_reuse": 2.4 * shared_device + 1.2 * signals.emulator,
        "ip_reuse": 1.5 * shared_ip + 1.2 * hidden,
        "ip_distance": 2.0 * distance + 0.8 * signals.ip_abroad,
        "velocity": 1.6 * hurry
        + 0.7 * ramp(signals.ip_orders, 1.0, 6.0)
        + 1.1 * ramp(signals.account_orders, 1.0, 5.0),
        "address_reuse": 2.5 * shared_address + 0.6 * ramp(signals.address_orders, 1.0, 6.0),
        "address_quality": 1.8 * ramp(-signals.completeness, -0.8, -0.4) + 1.0 * signals.forwarder,
        "account_age": 1.3 * new,
        "payment_method": 1.0 * signals.prepaid + 1.2 * signals.card_abroad,
        "card_reuse": 2.3 * shared_card + 0.7 * ramp(signals.card_orders, 1.0, 5.0),
        "payment_failures": 2.2 * failing + 0.8 * ramp(signals.cards_tried, 1.0, 4.0),
        "promo_stacking": 1.7 * stacked
        + 1.2 * ramp(signals.discount, 0.25, 0.6)
        + 0.5 * signals.new_customer_coupon,
        "chargebacks": 2.4 * ramp(signals.chargebacks, 0.0, 2.0)
        + 1.0 * ramp(signals.disputes, 0.0, 3.0),
        "returns_abuse": 1.9 * ramp(signals.not_received, 0.0, 3.0)
        + 0.9 * ramp(share(past.returned_90d, past.pieces_90d), 0.3, 0.9),
        "basket": 1.0 * ramp(resale, 0.3, 0.7) + 0.9 * costly,
        "time_of_day": 1.2 * night,
        "session": 1.5 * ramp(signals.login_failures, 1.0, 6.0)
        + 1.6 * ramp(np.nan_to_num(-signals.password_age_hours, nan=-999.0), -36.0, -4.0)
        + 0.9 * ramp(-signals.checkout_seconds, -40.0, -10.0),
        "address_change": 1.7
        * ramp(np.nan_to_num(-signals.changed_hours, nan=-999.0), -30.0, -3.0),
    }
    pairs = (
        Pair("device_reuse", "account_age", 0.9, shared_device, new),
        Pair("ip_reuse", "velocity", 0.8, hidden, hurry),
        Pair("promo_stacking", "account_age", 0.9, stacked, new),
        Pair("address_reuse", "basket", 0.6, shared_address, costly),
        Pair("card_reuse", "payment_failures", 0.8, shared_card, failing),
        Pair("ip_distance", "payment_failures", 0.6, distance, failing),
        Pair("time_of_day", "velocity", 0.5, night, hurry),
    )
    return Mechanism(_INTERCEPT, main, pairs, _NOISE)
