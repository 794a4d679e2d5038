"""Customers with histories: what each bought, returned and cancelled before.

Every customer has lasting habits; each of a customer's orders joins the history that its later
orders quote, so last-three and 90-day figures agree with each other. Half a year before the first
order is simulated and dropped, so that early orders have histories too.
"""

from dataclasses import dataclass

import numpy as np

from models.domain import Json
from training.simulation.calendar import IntArray, Moments
from training.simulation.draws import happens
from training.simulation.mechanism import FloatArray

DEPTH = 5
_DAY_SECONDS = 86_400
_WINDOW_SECONDS = 90 * _DAY_SECONDS
_BEFORE_SECONDS = 182 * _DAY_SECONDS
_SPAN = 10**10


@dataclass(frozen=True, slots=True)
class Histories:
    """What is known of the customer when each order is placed.

    Parameters
    ----------
    customer
        Number of the customer, shape (n,).
    pieces
        Pieces of the order itself, shape (n,).
    recent_pieces, recent_returned, recent_cancelled
        The customer's orders before, newest first, shape (n, 5); -1 where there is none.
    orders_90d, cancelled_90d, pieces_90d, returned_90d
        Sums over the 90 days before, shape (n,).
    tenure_days
        Since the customer's account was opened, shape (n,).
    """

    customer: IntArray
    pieces: IntArray
    recent_pieces: IntArray
    recent_returned: IntArray
    recent_cancelled: IntArray
    orders_90d: IntArray
    cancelled_90d: IntArray
    pieces_90d: IntArray
    returned_90d: IntArray
    tenure_days: IntArray

    def last(self, values: IntArray, orders: int) -> IntArray:
        """Return the sum of the newest `orders` columns of a recent array, absent ones as 0."""
        return np.asarray(np.maximum(values[:, :orders], 0).sum(axis=1), dtype=np.int64)

    def known(self, orders: int) -> IntArray:
        """Return how many of the newest `orders` orders exist."""
        return np.asarray((self.recent_pieces[:, :orders] >= 0).sum(axis=1), dtype=np.int64)


def draw_histories(random: np.random.Generator, moments: Moments) -> Histories:
    """Give each order a customer and that customer's past."""
    kept = len(moments.seconds)
    earlier = np.sort(random.integers(-_BEFORE_SECONDS, 0, kept // 3))
    seconds = np.concatenate([earlier, moments.seconds])
    people = max(kept // 5, 1)
    activity = random.gamma(0.9, 1.0, people) + 0.05
    customer = random.choice(people, size=len(seconds), p=activity / activity.sum())
    pieces = 1 + random.poisson(1.7, len(seconds)).astype(np.int64)
    cancelled = happens(random, _habit(random, people)[customer], len(seconds)).astype(np.int64)
    kept_back = random.binomial(pieces, _habit(random, people)[customer]).astype(np.int64)
    returned = np.where(cancelled == 1, 0, kept_back)
    joined = np.full(people, np.iinfo(np.int64).max)
    np.minimum.at(joined, customer, seconds)
    before_first_order = random.gamma(0.7, 400.0, people)[customer]
    tenure = np.floor((seconds - joined[customer]) / _DAY_SECONDS + before_first_order)

    order = np.lexsort((seconds, customer))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    mine = place[len(earlier) :]
    sums = _window_sums(customer[order], seconds[order], (pieces, returned, cancelled), order)
    recent = [_before(customer[order], part[order])[mine] for part in (pieces, returned, cancelled)]
    return Histories(
        customer=customer[len(earlier) :].astype(np.int64),
        pieces=pieces[len(earlier) :],
        recent_pieces=recent[0],
        recent_returned=recent[1],
        recent_cancelled=recent[2],
        orders_90d=sums[0][mine],
        pieces_90d=sums[1][mine],
        returned_90d=sums[2][mine],
        cancelled_90d=sums[3][mine],
        tenure_days=tenure[len(earlier) :].astype(np.int64),
    )


def write_customers(past: Histories) -> list[dict[str, Json]]:
    """Return the customer objects that a history gives."""
    keys = ("tenure_days", "orders_90d", "cancelled_orders_90d", "ordered_pieces_90d")
    columns = (
        past.customer,
        past.tenure_days,
        past.orders_90d,
        past.cancelled_90d,
        past.pieces_90d,
        past.returned_90d,
    )
    recent = zip(
        past.recent_pieces.tolist(),
        past.recent_returned.tolist(),
        past.recent_cancelled.tolist(),
        strict=True,
    )
    orders: list[Json] = [
        [
            {"ordered_pieces": p, "returned_pieces": r, "cancelled": c == 1}
            for p, r, c in zip(pieces, returned, cancelled, strict=True)
            if p >= 0
        ]
        for pieces, returned, cancelled in recent
    ]
    rows = zip(*(column.tolist() for column in columns), orders, strict=True)
    return [
        {
            "customer_id": f"C-{customer:07d}",
            **dict(zip(keys, figures, strict=True)),
            "returned_pieces_90d": returned,
            "recent_orders": earlier,
        }
        for customer, *figures, returned, earlier in rows
    ]


def _habit(random: np.random.Generator, people: int) -> FloatArray:
    """Most people seldom do it, some often, a few nearly always."""
    kind = random.choice(3, size=people, p=[0.82, 0.10, 0.08])
    often = np.array([1.0, 4.0, 9.0])[kind]
    seldom = np.array([16.0, 7.0, 4.0])[kind]
    return np.asarray(random.beta(often, seldom), dtype=np.float64)


def _window_sums(
    customer: IntArray, seconds: IntArray, parts: tuple[IntArray, ...], order: IntArray
) -> list[IntArray]:
    """Sum orders and each part over the window before each order; inputs sorted by customer."""
    keys = customer * _SPAN + seconds
    first = np.searchsorted(keys, keys - _WINDOW_SECONDS, side="left")
    here = np.arange(len(keys))
    sums = [here - first]
    for part in parts:
        running = np.concatenate([[0], np.cumsum(part[order])])
        sums.append(running[here] - running[first])
    return sums


def _before(customer: IntArray, values: IntArray) -> IntArray:
    """Return each order's previous values of the same customer, newest first, -1 where none."""
    columns = np.full((len(values), DEPTH), -1, dtype=np.int64)
    for back in range(1, DEPTH + 1):
        same = customer[back:] == customer[:-back]
        columns[back:, back - 1] = np.where(same, values[:-back], -1)
    return columns
