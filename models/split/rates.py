"""What a plan costs, in whole cents.

Four terms: freight (rate per parcel plus rate per kilogram), the penalty for lateness (policy's
penalty x tier x channel x P(late), for each line and parcel), the penalty for each parcel after
the first, and the turnover of the stock taken. Freight and turnover are rounded half up to a whole
cent per piece, lateness per candidate, once and before planning: so plans are compared, tied and
replayed in exact integers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from models.split.pairs import Pair, PairKey
from models.split.policy import NEUTRAL_PERCENT, SplitPolicy
from models.split.problem import Problem


@dataclass(frozen=True, slots=True)
class Weights:
    """The policy's weights for one order: percentages, 100 neutral; penalties in cents."""

    late_penalty_cents: int
    split_penalty_cents: int
    tier_percent: int
    channel_percent: int
    turnover_cents_per_100_days: int
    turnover_days_cap: int


@dataclass(frozen=True, slots=True)
class PairRate:
    """What a candidate costs, in cents: per piece, and once when it is used."""

    freight_per_piece: int
    turnover_per_piece: int
    lateness: int


def order_weights(problem: Problem, policy: SplitPolicy) -> Weights:
    """Return the weights that the policy gives to this order."""
    return Weights(
        late_penalty_cents=policy.late_penalty_cents,
        split_penalty_cents=policy.split_penalty_cents,
        tier_percent=policy.tier_weight(problem.customer_tier),
        channel_percent=policy.channel_weight(problem.channel),
        turnover_cents_per_100_days=policy.turnover_cents_per_100_days,
        turnover_days_cap=policy.turnover_days_cap,
    )


def build_rates(
    problem: Problem, pairs: tuple[Pair, ...], lateness: Mapping[PairKey, float], weights: Weights
) -> dict[PairKey, PairRate]:
    """Price every candidate.

    Parameters
    ----------
    lateness
        P(late) of each candidate, 0 to 1.
    """
    slowest = {
        line.sku: max(
            (_turnover(pair, weights) for pair in pairs if pair.line.sku == line.sku), default=0
        )
        for line in problem.lines
    }
    return {
        pair.key: PairRate(
            freight_per_piece=half_up(pair.service.cents_per_kg * pair.line.unit_grams, 1000),
            turnover_per_piece=half_up(
                (slowest[pair.line.sku] - _turnover(pair, weights))
                * weights.turnover_cents_per_100_days,
                100,
            ),
            lateness=late_cents(lateness[pair.key], weights),
        )
        for pair in pairs
    }


def late_cents(probability: float, weights: Weights) -> int:
    """Return the lateness term of one candidate, cents, rounded half up.

    Examples
    --------
    >>> late_cents(0.25, Weights(3000, 0, 200, 100, 0, 0))
    1500
    """
    scale = NEUTRAL_PERCENT * NEUTRAL_PERCENT
    whole = weights.late_penalty_cents * weights.tier_percent * weights.channel_percent
    return math.floor(whole * probability / scale + 0.5)


def half_up(numerator: int, denominator: int) -> int:
    """Divide non-negative whole numbers, rounding half up, exactly.

    Examples
    --------
    >>> half_up(5, 10), half_up(4, 10)
    (1, 0)
    """
    return (2 * numerator + denominator) // (2 * denominator)


def _turnover(pair: Pair, weights: Weights) -> int:
    days = pair.warehouse.stock_of(pair.line.sku).turnover_days
    # Unknown turnover is neutral: it counts as the slowest.
    return weights.turnover_days_cap if days is None else min(days, weights.turnover_days_cap)
