"""The optimiser against trying every plan, its limits, and its ties."""

import math
from dataclasses import replace
from random import Random

import pytest

from models.split.decide import price
from models.split.errors import SolverError
from models.split.pairs import build_pairs
from models.split.program import Program, Variation, build_program
from models.split.solve import (
    Limits,
    Planner,
    Solution,
    Status,
    _known,
    _preferred,
    _run,
    _whole_bound,
    solve,
)
from models.split.verify import verify_plan
from tests.models.split.examples import (
    LIMITS,
    certain,
    cheapest,
    keeps_the_law,
    line,
    near_and_far,
    policy,
    priced,
    problem,
    random_priced,
    service,
    stock,
    warehouse,
)


def _check_against_brute_force(seeds: range) -> int:
    plans = 0
    for seed in seeds:
        task = random_priced(seed, small=True)
        solution, best = solve(task, LIMITS, break_ties=True), cheapest(task)
        if best is None:
            assert (solution.status, solution.plan) == (Status.INFEASIBLE, None), seed
            continue
        plans += 1
        assert solution.plan is not None, seed
        assert (solution.status, solution.gap_cents) == (Status.PROVEN, 0), seed
        assert solution.plan.cost.total_cents == best, seed
    return plans


def _check_the_law(seeds: range) -> int:
    plans = 0
    for seed in seeds:
        task = random_priced(seed)
        plan = solve(task, LIMITS, break_ties=True).plan
        if plan is not None:
            plans += 1
            verify_plan(task, plan)
            assert keeps_the_law(task, plan.quantities()), seed
    return plans


def test_brute_force_agrees_on_small_orders() -> None:
    """On small orders the plan costs what the cheapest of all plans costs, or none exists."""
    assert _check_against_brute_force(range(100)) > 30


def test_no_plan_breaks_a_hard_constraint() -> None:
    """Whatever the order, a plan keeps every hard constraint."""
    assert _check_the_law(range(200)) > 60


@pytest.mark.trial
def test_no_plan_breaks_a_hard_constraint_in_ten_thousand_orders() -> None:
    """Over 10,000 orders no plan breaks a hard constraint; brute force agrees on 2,000 small."""
    assert _check_the_law(range(1000, 11_000)) > 3000
    assert _check_against_brute_force(range(1000, 3000)) > 700


def test_solving_twice_gives_the_same_plan() -> None:
    """Ties are broken by what the plans are, so a second search finds the same plan."""
    for seed in range(10):
        task = random_priced(seed)
        again = price(task.problem, build_pairs(task.problem), task.lateness, policy())
        assert solve(again, LIMITS, break_ties=True) == solve(task, LIMITS, break_ties=True)


def test_a_tie_goes_to_fewer_parcels_then_to_the_earlier_arrival() -> None:
    names = ("W1", "W2", "W3")
    houses = [
        warehouse(name, (stock("A"), stock("B")), (service("s1", 8, hours, 0),))
        for name, hours in zip(names, (30, 20, 25), strict=True)
    ]
    task = problem((line(1, "A"), line(2, "B")), tuple(houses))
    ready = priced(task, certain(task), split_penalty_cents=0)
    plan = solve(ready, LIMITS, break_ties=True).plan
    assert plan is not None
    assert [parcel.warehouse_id for parcel in plan.parcels] == ["W2"]


def test_lines_of_one_article_share_its_stock() -> None:
    lines = (line(1, "A", 3), line(2, "A", 3))
    scarce = warehouse("W1", (stock("A", 5),))
    assert solve(priced(problem(lines, (scarce,))), LIMITS).status is Status.INFEASIBLE
    second = warehouse("W2", (stock("A", 1),), (service("s1", 8, 24, 9000),))
    plan = solve(priced(problem(lines, (scarce, second))), LIMITS).plan
    assert plan is not None
    assert sum(s.quantity for s in plan.shipments if s.warehouse_id == "W2") == 1


def test_without_candidates_there_is_no_plan() -> None:
    task = priced(problem((line(),), ()))
    assert solve(task, LIMITS).status is Status.INFEASIBLE


def _large() -> Program:
    random = Random(1)  # noqa: S311 - test data, not secrets
    count = 60
    program = Program((), ())
    program.costs = [-random.randint(1000, 9999) for _ in range(count)]
    program.upper = [1] * count
    for _ in range(5):
        row = {column: float(random.randint(1000, 9999)) for column in range(count)}
        program.add_row(row, -math.inf, sum(row.values()) / 2)
    return program


def test_the_node_limit_ends_the_search_and_says_so() -> None:
    program = _large()
    run = _run(program, program.costs, Limits(1, 60.0))
    assert run.status is Status.NODE_LIMIT
    assert run.values is not None
    again = _run(program, program.costs, Limits(1, 60.0))
    assert again == run


def test_the_time_limit_ends_the_search_and_says_so() -> None:
    program = _large()
    assert _run(program, program.costs, Limits(10**6, 1e-6)).status is Status.TIME_LIMIT
    planner = Planner(Limits(10**6, 0.0))
    task = near_and_far()
    solution = planner.solve(priced(task, certain(task)), break_ties=True)
    assert planner.is_timed_out
    assert (solution.status, solution.plan) == (Status.TIME_LIMIT, None)


def test_after_the_time_limit_no_other_search_begins() -> None:
    task = priced(near_and_far())
    ended = Planner(LIMITS)
    assert ended.solve(task).status is Status.PROVEN
    ended.is_timed_out = True
    assert ended.solve(task) == Solution(Status.TIME_LIMIT, None, None, None)


def test_a_solver_that_fails_is_an_error() -> None:
    program = Program((), ())
    program.costs, program.upper = [-1], [math.inf]
    program.add_row({0: 0.0}, -math.inf, 1)
    with pytest.raises(SolverError, match="HiGHS"):
        _run(program, program.costs, LIMITS)


def test_what_is_known_of_a_plan() -> None:
    assert _known(Status.NODE_LIMIT, 0) is Status.PROVEN
    assert _known(Status.PROVEN, 3) is Status.TOLERANCE
    assert _known(Status.TIME_LIMIT, None) is Status.TIME_LIMIT
    assert _whole_bound(None, 0, 5) is None
    assert _whole_bound(-math.inf, 0, 5) is None
    assert _whole_bound(1240.0000001, 300, 2000) == 940


def test_without_time_to_choose_among_equals_the_first_is_kept() -> None:
    ready = random_priced(3)
    plan = solve(ready, LIMITS).plan
    assert plan is not None
    program = build_program(ready, Variation())
    hurried = Limits(10**6, 0.0)
    assert _run(program, program.tie_break(), hurried).values is None
    assert _preferred(ready, program, plan, hurried) == plan


def test_a_parcel_limit_is_kept() -> None:
    task = replace(near_and_far(), max_parcels=1)
    plan = solve(priced(task, certain(task)), LIMITS).plan
    assert plan is not None
    assert plan.warehouses() == ("FAR",)
