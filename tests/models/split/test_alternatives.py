"""The plans not taken: never dearer when a constraint is relaxed, and told in words."""

import pytest

from models.split.alternatives import find_alternatives
from models.split.constraints import relaxable
from models.split.problem import RELAXABLE, Constraint
from models.split.program import Variation
from models.split.solve import Status, solve
from tests.models.split.examples import (
    LIMITS,
    certain,
    line,
    near_and_far,
    planner,
    priced,
    problem,
    random_priced,
    random_ruled,
    service,
    stock,
    warehouse,
)


def test_one_parcel_less_would_cost_more_and_arrive_later() -> None:
    task = near_and_far()
    ready = priced(task, certain(task))
    chosen = solve(ready, LIMITS).plan
    assert chosen is not None
    fewer, *relaxed = find_alternatives(ready, chosen, planner())
    assert fewer.finding.text.en == (
        "one parcel less would cost 12.40 more and arrive 9 hours later"
    )
    assert fewer.finding.text.zh == "少1个包裹:成本多12.40元,晚9小时送达"
    assert fewer.plan.warehouses() == ("FAR",)
    open_again = next(a for a in relaxed if a.relaxed is Constraint.CUSTOMER_WAREHOUSE)
    assert open_again.plan.warehouses() == ("CLOSED",)
    assert open_again.difference is not None
    assert open_again.difference.cost_cents < 0
    assert "cost 12.00 less" in open_again.finding.text.en


def test_several_parcels_less_are_counted() -> None:
    lines = tuple(line(number, sku) for number, sku in enumerate("ABC", start=1))
    single = [warehouse(f"W{sku}", (stock(sku),)) for sku in "ABC"]
    whole = warehouse("X", tuple(stock(sku) for sku in "ABC"), (service("s1", 8, 24, 5000),))
    task = problem(lines, (*single, whole))
    lateness = certain(task) | {(number, "X", "s1"): 1.0 for number in (1, 2, 3)}
    ready = priced(task, lateness, late_penalty_cents=10)
    chosen = solve(ready, LIMITS).plan
    assert chosen is not None
    assert len(chosen.parcels) == 3
    fewer = find_alternatives(ready, chosen, planner())[0]
    assert fewer.relaxed is None
    assert fewer.finding.text.en.startswith("2 parcels less would cost ")
    assert "largest P(late) of 100 % instead of 0 %" in fewer.finding.text.en


def test_fewer_parcels_are_not_told_where_none_would_do() -> None:
    houses = (warehouse("W1", (stock("A"),)), warehouse("W2", (stock("B"),)))
    ready = priced(problem((line(1, "A"), line(2, "B")), houses))
    chosen = solve(ready, LIMITS).plan
    assert chosen is not None
    assert all(found.relaxed for found in find_alternatives(ready, chosen, planner()))


def test_an_order_without_a_plan_is_told_what_would_give_one() -> None:
    task = problem(warehouses=(warehouse(stocks=(stock("A", 1),)),))
    (found,) = find_alternatives(priced(task), None, planner())
    assert (found.relaxed, found.difference) == (Constraint.STOCK, None)
    assert found.finding.text.en == "with the stock relaxed, there is a plan"


def _check_relaxing(seeds: range) -> int:
    cheaper = 0
    for seed in seeds:
        task = random_ruled(seed) if seed % 4 == 0 else random_priced(seed)
        base = solve(task, LIMITS).plan
        for constraint in relaxable(task.pairs):
            relaxed = solve(task, LIMITS, Variation(relaxed=frozenset({constraint})))
            assert relaxed.status in {Status.PROVEN, Status.INFEASIBLE}
            if base is not None:
                assert relaxed.plan is not None, (seed, constraint)
                assert relaxed.plan.cost.total_cents <= base.cost.total_cents, (seed, constraint)
                cheaper += relaxed.plan.cost.total_cents < base.cost.total_cents
    return cheaper


def test_relaxing_a_constraint_never_raises_the_cost() -> None:
    """The best plan under one constraint less costs at most what the best plan costs."""
    assert _check_relaxing(range(15)) > 0


@pytest.mark.trial
def test_relaxing_a_constraint_never_raises_the_cost_of_a_thousand_orders() -> None:
    """Over 1,000 orders no relaxation makes the best plan dearer."""
    assert _check_relaxing(range(20_000, 21_000)) > 0


def test_alternatives_are_those_that_differ() -> None:
    """Each told relaxation is cheaper than the plan, and one that is not told would not be."""
    for seed in range(8):
        task = random_priced(seed)
        chosen = solve(task, LIMITS).plan
        if chosen is None:
            continue
        told = {a.relaxed for a in find_alternatives(task, chosen, planner())}
        for constraint in RELAXABLE:
            plan = solve(task, LIMITS, Variation(relaxed=frozenset({constraint}))).plan
            assert plan is not None
            is_cheaper = plan.cost.total_cents < chosen.cost.total_cents
            assert is_cheaper == (constraint in told), (seed, constraint)
