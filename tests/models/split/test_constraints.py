"""Each hard constraint excludes what it names, with its values, in both languages."""

from dataclasses import replace
from datetime import timedelta

import pytest

from models.split.constraints import PREDICATES, TITLES, exclusions
from models.split.pairs import Pair, build_pairs
from models.split.problem import RELAXABLE, Constraint, Problem
from models.split.program import Variation, build_program
from models.split.solve import Status, solve
from tests.models.split.examples import (
    LIMITS,
    PLACED,
    line,
    priced,
    problem,
    service,
    stock,
    warehouse,
)

_HOUSE, _LINE, _SERVICE = warehouse(), line(), service()

_BREAKS: dict[str, tuple[Constraint, Problem]] = {
    "not listed": (
        Constraint.PRODUCT_WAREHOUSE,
        problem(warehouses=(replace(_HOUSE, allowed_skus=("B",)),)),
    ),
    "excluded": (
        Constraint.PRODUCT_WAREHOUSE,
        problem(warehouses=(replace(_HOUSE, excluded_skus=("A",)),)),
    ),
    "customer": (
        Constraint.CUSTOMER_WAREHOUSE,
        problem(warehouses=(replace(_HOUSE, serves_customer=False),)),
    ),
    "bonded": (Constraint.BONDED, problem(lines=(replace(_LINE, bonded_required=True),))),
    "cold": (
        Constraint.COLD_CHAIN,
        problem((replace(_LINE, cold_chain=True),), (replace(_HOUSE, has_cold_chain=False),)),
    ),
    "dangerous": (
        Constraint.DANGEROUS_GOODS,
        problem(
            (replace(_LINE, dangerous_goods=True),), (replace(_HOUSE, may_ship_dangerous=False),)
        ),
    ),
    "stock": (Constraint.STOCK, problem(warehouses=(warehouse(stocks=(stock("B"),)),))),
    "parcels": (Constraint.CAPACITY, problem(warehouses=(replace(_HOUSE, capacity_parcels=0),))),
    "pieces": (Constraint.CAPACITY, problem(warehouses=(replace(_HOUSE, capacity_pieces=0),))),
    "weight": (
        Constraint.PARCEL_WEIGHT,
        problem(warehouses=(warehouse(services=(replace(_SERVICE, max_parcel_grams=499),)),)),
    ),
    "cut-off": (
        Constraint.CUT_OFF,
        problem(warehouses=(warehouse(services=(service(cut_off_hours=2.4),)),)),
    ),
    "late": (
        Constraint.DELIVERY_WINDOW,
        replace(problem(), latest_at=_SERVICE.arrives_at - timedelta(minutes=1)),
    ),
    "early": (
        Constraint.DELIVERY_WINDOW,
        replace(problem(), earliest_at=_SERVICE.arrives_at + timedelta(minutes=1)),
    ),
}


def _only(task: Problem) -> Pair:
    (pair,) = build_pairs(task)
    return pair


@pytest.mark.parametrize("name", _BREAKS)
def test_a_constraint_excludes_and_says_so(name: str) -> None:
    constraint, task = _BREAKS[name]
    ((name, finding),) = exclusions(task, _only(task)).items()
    assert name == constraint
    assert finding.code == constraint.upper()
    assert finding.facts
    assert "{" not in finding.text.zh + finding.text.en
    variation = Variation(relaxed=frozenset({constraint}))
    assert build_program(priced(task), Variation()).pairs == ()
    assert build_program(priced(task), variation).pairs == build_pairs(task)
    assert solve(priced(task), LIMITS).status is Status.INFEASIBLE


def test_what_keeps_every_constraint_is_admitted() -> None:
    assert exclusions(problem(), _only(problem())) == {}


def test_each_constraint_has_a_title_and_but_max_parcels_a_predicate() -> None:
    assert set(TITLES) == set(Constraint)
    assert set(RELAXABLE) - set(PREDICATES) == {Constraint.MAX_PARCELS}


def test_a_just_in_time_window_of_fifteen_minutes_is_kept_to_the_minute() -> None:
    """A window of 15 minutes admits arrival at both of its ends and at no minute outside."""
    opens = PLACED + timedelta(hours=10)
    closes = opens + timedelta(minutes=15)
    for minutes in range(-20, 36):
        arrives = opens + timedelta(minutes=minutes)
        cheap_but_wrong = replace(service("s1", 4, 0, 0), transit_minutes=0)
        offer = replace(cheap_but_wrong, cut_off_at=arrives - timedelta(minutes=60),
                        transit_minutes=60)  # fmt: skip
        task = replace(
            problem(warehouses=(warehouse(services=(offer,)),)),
            earliest_at=opens,
            latest_at=closes,
        )
        plan = solve(priced(task), LIMITS).plan
        assert (plan is not None) == (0 <= minutes <= 15), minutes
        if plan is not None:
            assert opens <= plan.arrives_at <= closes


def test_no_penalty_buys_a_window_off() -> None:
    """A cheap, certain service outside the window never replaces a dear, late one inside."""
    inside = replace(service("dear", 8, 2, 99_000))
    outside = service("cheap", 8, 2.25, 0)
    task = replace(
        problem(warehouses=(warehouse(services=(outside, inside)),)),
        latest_at=inside.arrives_at + timedelta(minutes=14),
    )
    plan = solve(priced(task, {(1, "W1", "dear"): 1.0, (1, "W1", "cheap"): 0.0}), LIMITS).plan
    assert plan is not None
    assert [parcel.service_id for parcel in plan.parcels] == ["dear"]
