"""A conflict is minimal: serve one line less or relax one of its constraints, and a plan exists."""

from dataclasses import replace

from models.split.conflict import find_conflict
from models.split.problem import RELAXABLE, Constraint
from models.split.program import Variation
from models.split.solve import Status, solve
from tests.models.split.examples import (
    LIMITS,
    line,
    planner,
    priced,
    problem,
    random_priced,
    stock,
    warehouse,
)


def test_two_requirements_that_no_warehouse_has_together() -> None:
    cold = replace(warehouse("COLD"), is_bonded=False)
    bonded = replace(warehouse("BONDED"), is_bonded=True, has_cold_chain=False)
    wanted = replace(line(2), cold_chain=True, bonded_required=True)
    task = problem((replace(line(1), quantity=1), wanted), (bonded, cold))
    conflict = find_conflict(priced(task), planner())
    assert conflict.lines == (2,)
    assert conflict.constraints == (Constraint.BONDED, Constraint.COLD_CHAIN)
    assert conflict.finding.text.zh == "订单行2无法同时满足:保税要求、冷链要求"


def test_without_any_offer_the_offer_is_missing() -> None:
    conflict = find_conflict(priced(problem((line(),), (warehouse(services=()),))), planner())
    assert conflict.constraints == (Constraint.OFFER,)


def test_lines_that_only_together_exceed_the_stock() -> None:
    task = problem(
        (line(1, "A", 3), line(2, "A", 3), line(3, "B", 1)),
        (warehouse(stocks=(stock("A", 4), stock("B", 1))),),
    )
    conflict = find_conflict(priced(task), planner())
    assert (conflict.lines, conflict.constraints) == ((1, 2), (Constraint.STOCK,))


def test_each_conflict_is_minimal() -> None:
    """No line and no constraint of a conflict can be left out."""
    found = 0
    for seed in range(30):
        task = random_priced(seed)
        if solve(task, LIMITS).status is not Status.INFEASIBLE:
            continue
        found += 1
        conflict = find_conflict(task, planner())
        others = frozenset(RELAXABLE) - set(conflict.constraints)
        lines = frozenset(conflict.lines)
        assert solve(task, LIMITS, Variation(relaxed=others, lines=lines)).plan is None
        for constraint in conflict.constraints:
            variation = Variation(relaxed=others | {constraint}, lines=lines)
            assert solve(task, LIMITS, variation).plan is not None, seed
        for number in conflict.lines if len(lines) > 1 else ():
            assert solve(task, LIMITS, Variation(lines=lines - {number})).plan is not None, seed
    assert found > 3
