"""What the policy's weights did: each term's part of the plan's cost, and which weight decided.

A weight is decisive when the plan would be another one with the weight at neutral.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from models.split.plan import Cost, Plan, Priced, build_plan
from models.split.policy import NEUTRAL_PERCENT
from models.split.rates import Weights, build_rates
from models.split.solve import Planner


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the plan's cost, cents, and its share of the total, 0 to 1."""

    name: str
    cents: int
    share: float


@dataclass(frozen=True, slots=True)
class WeightEffect:
    """What one weight of the policy did to this choice.

    Parameters
    ----------
    name, value
        Which weight and its setting: percent, or cents for penalties and turnover.
    cents
        What the weight adds to the chosen plan's cost over the neutral setting.
    share
        `cents` over the sum of all weights' absolute cents; 0 when none adds anything.
    is_decisive
        Whether the plan would be another one with the weight at neutral.
    saved_cents
        What the neutral plan would cost less, priced with neutral weight; 0 when not decisive.
    """

    name: str
    value: int
    cents: int
    share: float
    is_decisive: bool
    saved_cents: int


@dataclass(frozen=True, slots=True)
class _Weight:
    name: str
    value: Callable[[Weights], int]
    neutral: Callable[[Weights], Weights]


_WEIGHTS = (
    _Weight(
        "customer_tier",
        lambda w: w.tier_percent,
        lambda w: replace(w, tier_percent=NEUTRAL_PERCENT),
    ),
    _Weight(
        "channel_margin",
        lambda w: w.channel_percent,
        lambda w: replace(w, channel_percent=NEUTRAL_PERCENT),
    ),
    _Weight(
        "stock_turnover",
        lambda w: w.turnover_cents_per_100_days,
        lambda w: replace(w, turnover_cents_per_100_days=0),
    ),
    _Weight(
        "late_penalty",
        lambda w: w.late_penalty_cents,
        lambda w: replace(w, late_penalty_cents=0),
    ),
    _Weight(
        "split_penalty",
        lambda w: w.split_penalty_cents,
        lambda w: replace(w, split_penalty_cents=0),
    ),
)


def build_terms(cost: Cost) -> tuple[Term, ...]:
    """Return the terms of a cost with their shares.

    Examples
    --------
    >>> [term.share for term in build_terms(Cost(75, 25, 0, 0))]
    [0.75, 0.25, 0.0, 0.0]
    """
    cents = {
        "freight": cost.freight_cents,
        "lateness": cost.lateness_cents,
        "split": cost.split_cents,
        "turnover": cost.turnover_cents,
    }
    total = cost.total_cents
    return tuple(
        Term(name, value, value / total if total else 0.0) for name, value in cents.items()
    )


def weigh(priced: Priced, chosen: Plan, planner: Planner) -> tuple[WeightEffect, ...]:
    """Say what each weight did, by pricing and planning again without it."""
    effects = [_effect(priced, chosen, planner, weight) for weight in _WEIGHTS]
    whole = sum(abs(effect.cents) for effect in effects)
    return tuple(
        replace(effect, share=abs(effect.cents) / whole if whole else 0.0) for effect in effects
    )


def _effect(priced: Priced, chosen: Plan, planner: Planner, weight: _Weight) -> WeightEffect:
    value, weights = weight.value(priced.weights), weight.neutral(priced.weights)
    if weights == priced.weights:
        return WeightEffect(weight.name, value, 0, 0.0, is_decisive=False, saved_cents=0)
    neutral = replace(
        priced,
        weights=weights,
        rates=build_rates(priced.problem, priced.pairs, priced.lateness, weights),
    )
    same = build_plan(neutral, chosen.quantities()).cost.total_cents
    other = planner.solve(neutral).plan
    saved = 0 if other is None else max(0, same - other.cost.total_cents)
    return WeightEffect(
        name=weight.name,
        value=value,
        cents=chosen.cost.total_cents - same,
        share=0.0,
        # A plan of the same cost is not another choice: the tie rule would decide.
        is_decisive=saved > 0,
        saved_cents=saved,
    )
