"""The whole path: an order in, a plan with its reasons out, the same on replay."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import orjson
import pytest

from models.domain import Text
from models.errors import OrderInvalidError
from models.finding import Finding
from models.split.decide import SplitDecision, SplitVerdict, decide_problem, decide_split
from models.split.record import (
    problem_facts,
    read_problem_facts,
    read_verdict_facts,
    replay,
    verdict_facts,
)
from models.split.solve import Solution, Status
from models.split.summary import conclude
from models.split.why_not import Standing
from tests.models.split.examples import (
    POLICY_REF,
    example_order,
    lateness_model,
    policy,
    random_priced,
)

_NUMBER = re.compile(r"\d+")


def _decide(name: str, **changes: object) -> SplitDecision:
    ticks = count()
    return decide_split(
        lateness_model(),
        policy(**changes),
        POLICY_REF,
        example_order(name),
        lambda: next(ticks) / 1000,
    )


def test_an_order_is_split_over_two_warehouses() -> None:
    decision = _decide("two-parcels")
    verdict = decision.verdict
    assert (verdict.outcome, verdict.automated, verdict.status) == ("ship", True, Status.PROVEN)
    assert verdict.plan is not None
    assert {shipment.line_id for shipment in verdict.plan.shipments} == {1, 2}
    assert [why.warehouse_id for why in verdict.why_not][-1] == "WH-NB-BONDED"
    assert len(verdict.scores) == len(verdict.candidates) == 8
    used = verdict.plan.quantities()
    assert all(score.attributions.values for score in verdict.scores)
    assert all(bool(score.reasons) == (score.key in used) for score in verdict.scores)
    assert sum(term.cents for term in verdict.terms) == verdict.plan.cost.total_cents
    assert decision.timings_ms == {"features": 1.0, "split": 1.0}
    assert verdict.summary.text.zh.startswith("由WH-")
    assert verdict.confidence == 1.0 - verdict.plan.late_probability
    assert {house.warehouse_id for house in verdict.releases} == set(verdict.plan.warehouses())


def test_the_order_of_lines_warehouses_and_services_changes_nothing() -> None:
    """The same order with everything listed the other way round gets the same verdict."""
    body = orjson.loads(example_order("two-parcels"))
    body["lines"].reverse()
    body["warehouses"].reverse()
    for house in body["warehouses"]:
        house["services"].reverse()
        house["stock"].reverse()
    turned = decide_split(lateness_model(), policy(), POLICY_REF, orjson.dumps(body), lambda: 0.0)
    assert turned.verdict == _decide("two-parcels").verdict


def test_the_just_in_time_example_ships_within_its_fifteen_minutes() -> None:
    """The plan arrives within the 15-minute window; one minute later is excluded and says so."""
    verdict = _decide("just-in-time").verdict
    assert verdict.plan is not None
    assert verdict.plan.arrives_at == datetime(2026, 3, 2, 6, 10, tzinfo=UTC)
    (far,) = verdict.why_not
    assert far.finding.text.en == (
        "WH-FAR: arrives at 2026-03-02T06:16Z, after the delivery window ends at 2026-03-02T06:15Z"
    )


def test_no_plan_is_an_answer_with_the_conflict() -> None:
    verdict = _decide("no-plan").verdict
    assert (verdict.outcome, verdict.plan, verdict.terms) == ("hold", None, ())
    assert (verdict.confidence, verdict.releases) == (1.0, ())
    assert verdict.conflict is not None
    assert verdict.conflict.constraints == ("bonded", "cold_chain")
    assert verdict.summary == verdict.conflict.finding
    assert {why.standing for why in verdict.why_not} == {Standing.EXCLUDED}
    assert len(verdict.alternatives) == 2


def test_a_plan_that_is_likely_late_is_reviewed() -> None:
    verdict = _decide("two-parcels", review_late_at=0.0).verdict
    assert (verdict.outcome, verdict.automated) == ("review", False)
    assert verdict.summary.text.en.startswith("to be reviewed: ship from ")


def test_an_order_without_warehouses_has_no_plan() -> None:
    body = orjson.loads(example_order("no-plan")) | {"warehouses": []}
    decision = decide_split(lateness_model(), policy(), POLICY_REF, orjson.dumps(body), lambda: 0.0)
    assert decision.verdict.conflict is not None
    assert decision.verdict.conflict.constraints == ("offer",)
    assert decision.verdict.scores == ()


def test_an_invalid_order_is_refused() -> None:
    with pytest.raises(OrderInvalidError):
        decide_split(lateness_model(), policy(), POLICY_REF, b'{"order_id": 1}', lambda: 0.0)


def test_what_the_search_leaves_open_is_said() -> None:
    plan = _decide("two-parcels").verdict.plan
    level, finding = conclude(policy(), Solution(Status.NODE_LIMIT, plan, None, None), None)
    assert (level.name, finding.code) == ("FAVOURABLE", "PLAN_UNPROVEN")
    assert finding.text.en.endswith("(not proven best)")
    doubt = Text("疑问", "doubt")
    level, finding = conclude(policy(review_late_at=0.0), Solution(Status.PROVEN, plan, 0, 0), None,
                              (doubt,))  # fmt: skip
    assert (level.name, finding.code) == ("REVIEW", "LATE_LIKELY")
    assert finding.text.en.startswith("to be reviewed (doubt): ship from ")
    level, finding = conclude(policy(), Solution(Status.TIME_LIMIT, None, None, None), None)
    assert (level.name, finding.code) == ("REVIEW", "NO_PLAN_FOUND")


@pytest.mark.parametrize("name", ["two-parcels", "just-in-time", "no-plan"])
def test_facts_are_read_back_and_replayed_bit_for_bit(name: str) -> None:
    """A record's problem and verdict survive JSON, and deciding again gives the same verdict."""
    decision = _decide(name)
    problem = read_problem_facts(orjson.loads(orjson.dumps(problem_facts(decision.problem))))
    verdict = read_verdict_facts(orjson.loads(orjson.dumps(verdict_facts(decision.verdict))))
    assert (problem, verdict) == (decision.problem, decision.verdict)
    assert replay(lateness_model(), policy(), problem, verdict) == ()


def test_a_changed_record_is_named_by_replay() -> None:
    decision = _decide("two-parcels")
    changed = replace(decision.verdict, outcome="hold", terms=())
    assert replay(lateness_model(), policy(), decision.problem, changed) == ("outcome", "terms")


def test_after_a_time_out_replay_checks_the_plan_and_its_cost() -> None:
    decision = _decide("two-parcels")
    timed_out = replace(decision.verdict, is_timed_out=True, alternatives=(), weights=())
    assert replay(lateness_model(), policy(), decision.problem, timed_out) == ()
    assert timed_out.plan is not None
    cost = replace(timed_out.plan.cost, freight_cents=1)
    wrong = replace(timed_out, plan=replace(timed_out.plan, cost=cost))
    (said,) = replay(lateness_model(), policy(), decision.problem, wrong)
    assert said.startswith("plan: ")
    without = replace(timed_out, plan=None)
    assert replay(lateness_model(), policy(), decision.problem, without) == ()
    unknown = replace(timed_out, scores=())
    assert replay(lateness_model(), policy(), decision.problem, unknown)[0].startswith("plan: ")


def test_a_search_without_time_is_reviewed_and_explains_nothing_further() -> None:
    hurried = policy().model_copy(update={"time_limit_seconds": 0.0})
    problem = _decide("two-parcels").problem
    verdict = decide_problem(lateness_model(), hurried, problem)
    assert (verdict.outcome, verdict.status, verdict.plan) == ("review", Status.TIME_LIMIT, None)
    assert verdict.is_timed_out
    assert (verdict.alternatives, verdict.why_not, verdict.weights) == ((), (), ())
    assert verdict.confidence == 0.0


def _findings(verdict: SplitVerdict) -> list[Finding]:
    found = [verdict.summary, *(item.finding for item in verdict.alternatives)]
    found += [release.finding for house in verdict.releases for release in house.sequence]
    for why in verdict.why_not:
        found += [why.finding, *why.exclusions]
    for candidate in verdict.candidates:
        found += candidate.exclusions
    return found


def test_both_languages_show_the_same_numbers() -> None:
    """Chinese and English come from the same facts: they show the same numbers."""
    for seed in range(6):
        verdict = decide_problem(lateness_model(), policy(), random_priced(seed).problem)
        for finding in _findings(verdict):
            zh = [n for n in _NUMBER.findall(finding.text.zh) if n != "1"]
            en = [n for n in _NUMBER.findall(finding.text.en) if n != "1"]
            assert sorted(zh) == sorted(en), finding.text


def test_random_orders_replay_identically() -> None:
    """Deciding the same problem twice gives the same verdict, explanations included."""
    for seed in range(6):
        problem = random_priced(seed).problem
        verdict = decide_problem(lateness_model(), policy(), problem)
        assert replay(lateness_model(), policy(), problem, verdict) == ()
