"""Each weight of the policy says what it added and whether it decided."""

from dataclasses import replace

from models.split.solve import solve
from models.split.weights import build_terms, weigh
from tests.models.split.examples import LIMITS, planner, priced, problem, service, warehouse


def test_a_weight_is_decisive_when_the_plan_would_be_another() -> None:
    offers = (service("fast", 8, 20, 3000), service("slow", 8, 40, 1000))
    task = replace(problem(warehouses=(warehouse(services=offers),)), customer_tier="vip")
    lateness = {(1, "W1", "fast"): 0.0, (1, "W1", "slow"): 0.9}
    ready = priced(task, lateness)
    plan = solve(ready, LIMITS).plan
    assert plan is not None
    assert plan.parcels[0].service_id == "fast"
    effects = {effect.name: effect for effect in weigh(ready, plan, planner())}
    assert effects["customer_tier"].is_decisive
    assert effects["customer_tier"].saved_cents == 2000 - 1080
    assert effects["late_penalty"].is_decisive
    assert not effects["split_penalty"].is_decisive
    assert effects["customer_tier"].value == 300
    assert effects["customer_tier"].share == 0.0


def test_shares_are_of_what_the_weights_add() -> None:
    task = replace(problem(), customer_tier="vip")
    ready = priced(task, {(1, "W1", "s1"): 0.5})
    plan = solve(ready, LIMITS).plan
    assert plan is not None
    effects = weigh(ready, plan, planner())
    assert abs(sum(effect.share for effect in effects) - 1) < 1e-12
    assert {effect.name: effect.cents for effect in effects} == {
        "customer_tier": 1200,
        "channel_margin": 300,
        "stock_turnover": 0,
        "late_penalty": 1800,
        "split_penalty": 0,
    }
    terms = build_terms(plan.cost)
    assert sum(term.cents for term in terms) == plan.cost.total_cents
    assert abs(sum(term.share for term in terms) - 1) < 1e-12
    assert {term.share for term in build_terms(replace(plan.cost, freight_cents=0,
                                                       lateness_cents=0))} == {0.0}  # fmt: skip
