"""Every warehouse that does not ship and every candidate that is not used says why."""

from dataclasses import replace

import pytest

from models.domain import Text
from models.split.plan import Plan, Priced
from models.split.problem import Constraint, Problem
from models.split.program import Variation
from models.split.solve import Limits, Planner, Status, solve
from models.split.why_not import (
    Explained,
    Standing,
    WhyNot,
    explain_candidates,
    explain_warehouses,
)
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
    stock,
    warehouse,
)

_TITLES = {"transit": Text("在途", "transit"), "carrier": Text("承运商", "carrier")}


def _explained(ready: Priced) -> Explained:
    groups = {
        pair.key: {"transit": pair.service.transit_minutes / 600, "carrier": 0.25}
        for pair in ready.pairs
    }
    return Explained(groups, _TITLES)


def _told(task: Problem, **changes: object) -> tuple[Plan | None, dict[str, WhyNot]]:
    ready = priced(task, certain(task), **changes)
    plan = solve(ready, LIMITS, break_ties=True).plan
    found = explain_warehouses(ready, plan, _explained(ready), planner())
    return plan, {why.warehouse_id: why for why in found}


def test_a_dearer_warehouse_is_compared_and_names_the_group() -> None:
    plan, told = _told(near_and_far())
    assert plan is not None
    assert set(told) == {"CLOSED", "FAR"}
    far = told["FAR"]
    assert far.standing is Standing.DEARER
    assert far.difference is not None
    assert (far.difference.cost_cents, far.difference.arrival_minutes) == (1240, 540)
    assert [group.group for group in far.groups] == ["transit", "carrier"]
    assert far.groups[0].contribution > 0 == far.groups[1].contribution
    assert far.finding.text.en == (
        "the best plan through FAR (its lateness differs most by transit) would "
        "cost 12.40 more and arrive 9 hours later"
    )
    assert "时效差异主要因在途" in far.finding.text.zh


def test_an_excluded_warehouse_names_the_constraint() -> None:
    _, told = _told(near_and_far())
    closed = told["CLOSED"]
    assert (closed.standing, closed.plan) == (Standing.EXCLUDED, None)
    assert closed.finding.text.zh == "CLOSED:该仓不服务此客户"
    assert [finding.code for finding in closed.exclusions] == ["CUSTOMER_WAREHOUSE"]


def test_a_warehouse_without_services_says_so() -> None:
    _, told = _told(problem(warehouses=(warehouse("W1"), warehouse("W2", services=()))))
    assert told["W2"].finding.text.en == "W2 offers no carrier service"


def test_a_warehouse_that_no_plan_can_include_names_what_would_let_it() -> None:
    houses = (warehouse("W1", (stock("A"), stock("B"))), warehouse("W2", (stock("B"),)))
    task = replace(problem((line(1, "A"), line(2, "B")), houses), max_parcels=1)
    _, told = _told(task)
    assert told["W2"].standing is Standing.BLOCKED
    assert told["W2"].blocked_by == (Constraint.STOCK, Constraint.MAX_PARCELS)
    assert "stock, maximum number of parcels" in told["W2"].finding.text.en


def test_one_parcel_more_always_lets_a_blocked_warehouse_ship() -> None:
    """A blocked warehouse is blocked by the number of parcels, whatever else would let it."""
    blocked = 0
    for seed in range(40):
        ready = random_priced(seed)
        plan = solve(ready, LIMITS).plan
        if plan is None:
            continue
        for why in explain_warehouses(ready, plan, _explained(ready), planner()):
            if why.standing is Standing.BLOCKED:
                blocked += 1
                relaxed = frozenset({Constraint.MAX_PARCELS})
                variation = Variation(relaxed=relaxed, forced_warehouse=why.warehouse_id)
                assert solve(ready, LIMITS, variation).plan is not None
                assert Constraint.MAX_PARCELS in why.blocked_by
    assert blocked > 0


def test_without_a_difference_of_lateness_no_group_is_named() -> None:
    ready = priced(near_and_far(), certain(near_and_far()))
    plan = solve(ready, LIMITS).plan
    even = Explained({pair.key: {"transit": 0.5} for pair in ready.pairs}, _TITLES)
    far = explain_warehouses(ready, plan, even, planner())[0]
    assert far.finding.text.en.startswith("the best plan through FAR would cost 12.40 more")


def test_without_a_plan_a_warehouse_that_could_ship_says_so() -> None:
    task = problem((line(1, "A"), line(2, "B")), (warehouse("W1"), warehouse("W2", (stock("C"),))))
    plan, told = _told(task)
    assert plan is None
    assert told["W1"].finding.code == "NO_PLAN"
    assert told["W2"].standing is Standing.EXCLUDED


def test_a_search_that_ends_too_soon_is_said() -> None:
    task = near_and_far()
    ready = priced(task, certain(task))
    plan = solve(ready, LIMITS).plan
    hurried = Planner(Limits(20_000, 0.0))
    told = explain_warehouses(ready, plan, _explained(ready), hurried)
    assert hurried.is_timed_out
    assert [why.standing for why in told] == [Standing.NOT_SEARCHED, Standing.EXCLUDED]
    assert told[0].finding.text.en == "FAR: no plan was found within the solver's limits"


def test_every_candidate_stands_somewhere() -> None:
    """A candidate is chosen, excluded by a named constraint, blocked by one, or not cheaper."""
    seen: set[Standing] = set()
    for seed in range(40):
        ready = random_priced(seed)
        solution = solve(ready, LIMITS, break_ties=True)
        standings = explain_candidates(ready, solution.plan, _explained(ready))
        assert len(standings) == len(ready.pairs)
        for item in standings:
            seen.add(item.standing)
            assert (item.quantity > 0) == (item.standing is Standing.CHOSEN)
            if item.standing is Standing.EXCLUDED:
                assert item.exclusions
            if item.standing is Standing.BLOCKED and solution.plan is not None:
                assert item.blocked_by
            if item.standing is Standing.DEARER:
                assert solution.status is Status.PROVEN
                assert item.difference is not None
                assert item.difference.cost_cents >= 0, (seed, item)
                assert item.groups
    assert seen == {Standing.CHOSEN, Standing.EXCLUDED, Standing.BLOCKED, Standing.DEARER}


def _check_coverage(seeds: range) -> int:
    answers = 0
    for seed in seeds:
        ready = random_ruled(seed) if seed % 2 else random_priced(seed)
        plan = solve(ready, LIMITS).plan
        told = explain_warehouses(ready, plan, _explained(ready), planner())
        shipping = () if plan is None else plan.warehouses()
        names = [house.warehouse_id for house in ready.problem.warehouses]
        assert [why.warehouse_id for why in told] == [n for n in names if n not in shipping]
        for why in told:
            answers += 1
            assert why.warehouse_id in why.finding.text.zh
            assert why.warehouse_id in why.finding.text.en
            assert "{" not in why.finding.text.zh + why.finding.text.en
    return answers


def test_every_warehouse_that_does_not_ship_says_why() -> None:
    """Each rejected warehouse has exactly one answer, with a sentence in both languages."""
    assert _check_coverage(range(12)) > 10


@pytest.mark.trial
def test_every_warehouse_of_a_thousand_orders_that_does_not_ship_says_why() -> None:
    """Over 1,000 orders, half of them under rules, no rejected warehouse is without its answer."""
    assert _check_coverage(range(30_000, 31_000)) > 1000
