"""Costs are whole cents, rounded once, and weighed as the policy says."""

from dataclasses import replace

from models.split.pairs import build_pairs
from models.split.plan import build_plan
from models.split.rates import build_rates, late_cents, order_weights
from tests.models.split.examples import line, policy, priced, problem, service, stock, warehouse


def test_a_rate_is_rounded_once_per_piece() -> None:
    offer = replace(service(), cents_per_kg=333)
    ready = priced(problem((line(grams=450, quantity=3),), (warehouse(services=(offer,)),)))
    assert ready.rates[1, "W1", "s1"].freight_per_piece == 150
    plan = build_plan(ready, {(1, "W1", "s1"): 3})
    assert plan.cost.freight_cents == 1000 + 3 * 150
    assert plan.parcels[0].grams == 1350


def test_tier_and_channel_weigh_lateness() -> None:
    task = replace(problem(), customer_tier="vip", channel="tmall")
    weights = order_weights(task, policy())
    assert (weights.tier_percent, weights.channel_percent) == (300, 120)
    assert late_cents(0.5, weights) == 1800
    unknown = order_weights(replace(task, customer_tier="?", channel=None), policy())
    assert late_cents(0.5, unknown) == 500


def test_stock_that_sells_faster_costs_more_to_take() -> None:
    houses = tuple(
        warehouse(name, (replace(stock(), turnover_days=days),))
        for name, days in (("FAST", 30), ("SLOW", 130), ("UNKNOWN", None), ("ENDLESS", 900))
    )
    task = problem(warehouses=houses)
    pairs = build_pairs(task)
    weights = order_weights(task, policy())
    rates = build_rates(task, pairs, {pair.key: 0.0 for pair in pairs}, weights)
    turnover = {key[1]: rate.turnover_per_piece for key, rate in rates.items()}
    assert turnover == {"FAST": 150, "SLOW": 50, "UNKNOWN": 0, "ENDLESS": 0}


def test_each_parcel_after_the_first_costs_the_split_penalty() -> None:
    task = problem((line(1, quantity=2),), (warehouse("W1"), warehouse("W2")))
    plan = build_plan(priced(task), {(1, "W1", "s1"): 1, (1, "W2", "s1"): 1})
    assert plan.cost.split_cents == 300
    assert plan.cost.total_cents == sum(
        (plan.cost.freight_cents, plan.cost.lateness_cents, 300, plan.cost.turnover_cents)
    )
    assert build_plan(priced(task), {}).cost.total_cents == 0
