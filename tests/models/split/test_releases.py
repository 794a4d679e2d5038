"""Release sequences of a plan: beside what waits, no later than a cut-off that can be met."""

from dataclasses import replace
from datetime import timedelta

from models.split.decide import decide_problem
from models.split.plan import Plan
from models.split.problem import Floor, Problem, WaitingParcel, Warehouse
from models.split.record import read_verdict_facts, replay, verdict_facts
from models.split.releases import ParcelRelease, missed_cut_offs, plan_outbound
from models.split.solve import solve
from tests.models.split.examples import (
    LIMITS,
    PLACED,
    certain,
    decide_example,
    lateness_model,
    line,
    policy,
    priced,
    problem,
    random_priced,
    service,
    stock,
    warehouse,
)


def _waiting(number: int, cut_off: int, packing: int = 30, available: int = 0) -> WaitingParcel:
    return WaitingParcel(
        waiting_id=number,
        cut_off_at=PLACED + timedelta(minutes=cut_off),
        packing_minutes=packing,
        forklift_minutes=0,
        aisle=None,
        available_at=PLACED + timedelta(minutes=available),
    )


def _house(floor: Floor) -> Warehouse:
    house = warehouse("W1", (stock("A"),), (service("s1", 8, 24),))
    return replace(house, floor=floor)


def _planned(task: Problem) -> Plan:
    plan = solve(priced(task, certain(task)), LIMITS, break_ties=True).plan
    assert plan is not None
    return plan


def _sequence(task: Problem) -> tuple[ParcelRelease, ...]:
    (house,) = plan_outbound(task, _planned(task))
    return house.sequence


def test_a_parcel_alone_is_ready_when_the_law_says_so() -> None:
    """Without waiting parcels a parcel is ready at the minute that the cut-off is checked with."""
    for lifting in (0, 10, 30):
        task = problem(warehouses=(_house(Floor(forklift_minutes=lifting)),))
        (release,) = _sequence(task)
        assert release.ready_at == _planned(task).parcels[0].ready_at
        assert (release.service_id, release.waiting_id, release.is_met) == ("s1", None, True)
        assert release.starts_at == PLACED + timedelta(hours=2)
        assert release.packing_at == release.starts_at + timedelta(minutes=lifting)
        assert release.cut_off_at == PLACED + timedelta(hours=8)
        assert release.slack_minutes == 330


def test_what_waits_with_an_earlier_cut_off_goes_first() -> None:
    floor = Floor(waiting=(_waiting(7, 200, available=110), _waiting(3, 600, available=110)))
    sequence = _sequence(problem(warehouses=(_house(floor),)))
    assert [(r.service_id, r.waiting_id) for r in sequence] == [(None, 7), ("s1", None), (None, 3)]
    assert [release.position for release in sequence] == [1, 2, 3]
    assert all(release.is_met for release in sequence)
    assert sequence[0].finding.code == "EARLIEST_CUT_OFF"


def test_a_station_more_lets_all_leave_in_time() -> None:
    waiting = tuple(_waiting(number, 480, 120, 120) for number in (1, 2, 3))
    crowded = problem(warehouses=(_house(Floor(waiting=waiting)),))
    assert sum(not release.is_met for release in _sequence(crowded)) == 1
    roomy = Floor(stations_idle_minutes=(0, 0), waiting=waiting)
    assert all(release.is_met for release in _sequence(problem(warehouses=(_house(roomy),))))


def test_articles_of_one_aisle_share_it_and_articles_of_two_do_not() -> None:
    offers = (service("a", 8, 24, 100), service("b", 8, 24, 100))
    house = replace(
        warehouse("W1", (replace(stock("A"), aisle="N"), replace(stock("B"), aisle="S")), offers),
        floor=Floor(30, (0, 0), (0, 0)),
    )
    heavy = tuple(replace(offer, max_parcel_grams=600) for offer in offers)
    apart = replace(house, services=heavy)
    both = problem((line(1, "A", 1), line(2, "B", 1)), (apart,))
    assert {release.starts_at for release in _sequence(both)} == {PLACED + timedelta(hours=2)}
    same = replace(apart, stock=tuple(replace(item, aisle="N") for item in apart.stock))
    starts = [release.starts_at for release in _sequence(replace(both, warehouses=(same,)))]
    assert starts[1] - starts[0] == timedelta(minutes=30)
    together = _sequence(replace(both, warehouses=(house,)))
    assert len(together) == 1


def test_a_parcel_that_misses_its_carrier_in_the_queue_is_reviewed() -> None:
    """The law lets the plan pass, the queue does not: a person decides, and is told why."""
    house = replace(_house(Floor()), services=(service("s1", 2.5, 24),))
    assert decide_problem(lateness_model(), policy(), problem(warehouses=(house,))).automated
    busy = replace(house, floor=Floor(stations_idle_minutes=(130,)))
    late = decide_problem(lateness_model(), policy(), problem(warehouses=(busy,)))
    assert (late.outcome, late.automated, late.summary.code) == ("review", False, "DOUBTED")
    (missed,) = missed_cut_offs(late.releases)
    assert missed.text.en == (
        "in the queue of W1 the parcel by s1 is ready at 2026-03-01T03:40Z, after its cut-off at "
        "2026-03-01T03:30Z"
    )
    assert missed.text.zh in late.summary.text.zh


def test_what_cannot_be_met_does_not_stand_in_the_way() -> None:
    """Waiting parcels that are late anyhow leave after the one that can be in time."""
    waiting = tuple(_waiting(number, 150, 200) for number in (1, 2, 3))
    house = replace(_house(Floor(waiting=waiting)), services=(service("s1", 2.5, 24),))
    sequence = _sequence(problem(warehouses=(house,)))
    assert [(release.service_id, release.is_met) for release in sequence] == [
        ("s1", True),
        (None, False),
        (None, False),
        (None, False),
    ]


def test_each_warehouse_that_ships_has_a_sequence_and_no_other() -> None:
    """Every parcel of the plan stands once in its warehouse's sequence, and says why in both."""
    for seed in range(30):
        ready = random_priced(seed)
        plan = solve(ready, LIMITS).plan
        if plan is None:
            continue
        found = plan_outbound(ready.problem, plan)
        assert {house.warehouse_id for house in found} == set(plan.warehouses())
        own = {(house.warehouse_id, r.service_id) for house in found for r in house.sequence}
        assert own == {(parcel.warehouse_id, parcel.service_id) for parcel in plan.parcels}
        for house in found:
            assert house.is_exact
            for release in house.sequence:
                assert release.finding.text.zh
                assert "{" not in release.finding.text.zh + release.finding.text.en
                assert release.is_met == (release.ready_at <= release.cut_off_at)


def test_the_example_shows_waiting_parcels_and_is_replayed() -> None:
    decision = decide_example("two-parcels")
    verdict = decision.verdict
    waiting = [r.waiting_id for house in verdict.releases for r in house.sequence if r.waiting_id]
    assert waiting
    assert read_verdict_facts(verdict_facts(verdict)) == verdict
    assert replay(lateness_model(), policy(), decision.problem, verdict) == ()
    timed_out = replace(verdict, is_timed_out=True)
    assert replay(lateness_model(), policy(), decision.problem, timed_out) == ()
    wrong = replace(timed_out, releases=())
    assert replay(lateness_model(), policy(), decision.problem, wrong) == ("releases",)
