"""A plan that breaks the law, forgets a line or miscounts its cost is refused."""

from dataclasses import replace

import pytest

from models.split.errors import PlanInvalidError
from models.split.plan import Plan, Priced, build_plan
from models.split.problem import Constraint
from models.split.solve import solve
from models.split.verify import verify_plan, violations
from tests.models.split.examples import (
    LIMITS,
    certain,
    line,
    near_and_far,
    priced,
    problem,
    service,
    stock,
    warehouse,
)


def _planned() -> tuple[Priced, Plan]:
    task = near_and_far()
    ready = priced(task, certain(task))
    plan = solve(ready, LIMITS).plan
    assert plan is not None
    return ready, plan


def test_a_plan_of_the_solver_passes() -> None:
    verify_plan(*_planned())


def test_a_line_that_is_not_served_is_refused() -> None:
    ready, plan = _planned()
    with pytest.raises(PlanInvalidError, match="line 2: 0 pieces"):
        verify_plan(ready, build_plan(ready, {(1, "EAST", "s1"): 2}))
    with pytest.raises(PlanInvalidError, match="does not offer"):
        verify_plan(ready, replace(plan, shipments=(replace(plan.shipments[0], service_id="x"),)))


def test_a_plan_that_breaks_a_constraint_is_refused() -> None:
    ready, _ = _planned()
    broken = build_plan(ready, {(1, "CLOSED", "s1"): 2, (2, "CLOSED", "s1"): 2})
    with pytest.raises(PlanInvalidError, match="customer_warehouse"):
        verify_plan(ready, broken)


def test_costs_that_do_not_add_up_are_refused() -> None:
    ready, plan = _planned()
    cheaper = replace(plan, cost=replace(plan.cost, freight_cents=1))
    with pytest.raises(PlanInvalidError, match="costs"):
        verify_plan(ready, cheaper)


def test_what_binds_candidates_together_is_checked() -> None:
    house = replace(
        warehouse(stocks=(stock("A", 3),), services=(service("s1"), service("s2"))),
        capacity_parcels=1,
        capacity_pieces=3,
    )
    house = replace(
        house, services=tuple(replace(s, max_parcel_grams=1000) for s in house.services)
    )
    task = replace(problem((line(1, "A", 2), line(2, "A", 2)), (house,)), max_parcels=1)
    ready = priced(task)
    quantities = {(1, "W1", "s1"): 2, (2, "W1", "s1"): 1, (2, "W1", "s2"): 1}
    broken = violations(ready, quantities)
    assert broken == (
        Constraint.STOCK,
        Constraint.CAPACITY,
        Constraint.PARCEL_WEIGHT,
        Constraint.MAX_PARCELS,
    )
    assert violations(ready, quantities, frozenset(broken)) == ()
