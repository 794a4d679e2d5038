"""The policy's rules over candidates: excluded as by law, told, and never outweighed."""

from dataclasses import replace
from typing import Any

import pytest

from models.decide import LoadedModel
from models.domain import Effect, RuleHit, Text
from models.policy import CompiledPolicy
from models.policy_document import Policy
from models.split.constraints import title_of
from models.split.decide import decide_problem, price
from models.split.errors import PlanInvalidError
from models.split.pairs import PairKey, build_pairs
from models.split.plan import build_plan
from models.split.problem import Constraint, Problem, rule_constraint
from models.split.record import read_verdict_facts, replay, verdict_facts
from models.split.rules import attach_rules, collect_rules, review_rules
from models.split.solve import solve
from models.split.verify import verify_plan, violations
from models.split.why_not import Standing
from tests.models.split.examples import (
    LIMITS,
    certain,
    lateness_model,
    line,
    policy,
    problem,
    random_priced,
    random_ruled,
    service,
    stock,
    warehouse,
)

_CLOSED = rule_constraint("weather-closed")


def _storm(*, both: bool = False) -> Problem:
    """Return an order whose cheap warehouse lies in a storm, and perhaps its dear one too."""
    cheap = warehouse("CHEAP", services=(service("s1", 8, 20, 200),))
    dear = warehouse("DEAR", services=(service("s1", 8, 20, 3000),))
    task = problem((line(),), (cheap, dear))
    closed = {"CHEAP", "DEAR"} if both else {"CHEAP"}
    return replace(
        task,
        warehouses=tuple(
            replace(house, weather_severity=3.4 if house.warehouse_id in closed else 0.2)
            for house in task.warehouses
        ),
    )


def _with_rules(*rules: dict[str, Any], **more: object) -> LoadedModel:
    model = lateness_model()
    document = {"name": "split", "version": "7", "review_at": 0.5, "adverse_at": 0.8,
                "rules": rules, **more}  # fmt: skip
    known = model.kind.value_types()
    return replace(model, policy=CompiledPolicy(Policy.model_validate(document), known))


def _rule(effect: str, **changes: object) -> dict[str, Any]:
    words = {"zh": "距离{distance_km:fixed0}公里", "en": "{distance_km:fixed0} km away"}
    return {"id": "far", "effect": effect, "when": ["distance_km >= 300"], **words, **changes}


def test_a_cheap_plan_that_needs_a_warehouse_that_a_rule_excludes_is_told_and_not_taken() -> None:
    """The rule wins over the cost: its warehouse is out, and the record shows rule and price."""
    task = _storm()
    verdict = decide_problem(lateness_model(), policy(), task)
    assert verdict.plan is not None
    assert verdict.plan.warehouses() == ("DEAR",)
    # The rule is in the record with its values and the candidates it took out.
    (use,) = verdict.rules
    assert (use.hit.id, use.hit.effect) == ("weather-closed", Effect.EXCLUDE)
    assert use.candidates == ((1, "CHEAP", "s1"),)
    assert use.hit.facts == {"origin_weather": 3.4}
    # The warehouse says so with the rule's own sentence.
    (why,) = verdict.why_not
    assert why.standing is Standing.EXCLUDED
    assert why.finding.text == Text(
        "CHEAP:发货地天气等级3.4,该仓暂停发货",
        "CHEAP: weather level 3.4 at the warehouse: nothing leaves from there",
    )
    assert why.exclusions[0].facts["rule"] == "weather-closed"
    # What it would have cost without the rule is one of the plans not taken.
    alternative = next(a for a in verdict.alternatives if a.relaxed == _CLOSED)
    assert alternative.finding.code == "RULE_CONFLICT"
    assert alternative.plan.warehouses() == ("CHEAP",)
    assert alternative.difference is not None
    assert alternative.difference.cost_cents < 0
    assert alternative.finding.text.en.startswith(
        "without the rule weather-closed, the plan would cost "
    )
    assert "规则weather-closed" in alternative.finding.text.zh
    # And all of it is read back and replayed.
    assert read_verdict_facts(verdict_facts(verdict)) == verdict
    assert replay(lateness_model(), policy(), task, verdict) == ()


def test_a_rule_may_leave_no_plan() -> None:
    verdict = decide_problem(lateness_model(), policy(), _storm(both=True))
    assert (verdict.outcome, verdict.plan, verdict.confidence) == ("hold", None, 1.0)
    assert verdict.conflict is not None
    assert verdict.conflict.constraints == (_CLOSED,)
    assert "rule weather-closed" in verdict.summary.text.en
    assert [a.relaxed for a in verdict.alternatives] == [_CLOSED]
    assert len(verdict.why_not) == 2


def test_a_rule_that_rejects_excludes_too() -> None:
    verdict = decide_problem(_with_rules(_rule("reject")), policy(), problem())
    assert verdict.plan is None
    assert verdict.conflict is not None
    assert verdict.conflict.constraints == ("rule:far",)


def test_a_rule_that_asks_for_review_counts_where_the_plan_uses_it() -> None:
    far = replace(warehouse("FAR", services=(service("s1", 8, 20, 0),)), distance_km=500.0)
    near = replace(warehouse("NEAR", services=(service("s1", 8, 20, 9000),)), distance_km=20.0)
    model = _with_rules(_rule("review"))
    verdict = decide_problem(model, policy(), problem((line(),), (far, near)))
    assert (verdict.outcome, verdict.automated) == ("review", False)
    assert verdict.summary.code == "DOUBTED"
    assert verdict.summary.text.en.startswith("to be reviewed (500 km away): ship from FAR")
    assert verdict.summary.text.zh.startswith("需人工复核(距离500公里):")
    assert verdict.plan is not None
    assert verdict.confidence == 1.0 - verdict.plan.late_probability
    only_near = decide_problem(
        model, policy(), problem((line(),), (replace(far, serves_customer=False), near))
    )
    assert (only_near.outcome, len(only_near.rules)) == ("ship", 1)


def test_an_approved_exception_lets_a_warehouse_ship_at_the_orders_own_time() -> None:
    """An exception counts by the order's date, and the record says who approved it."""
    granted = {"id": "plant-4", "rule": "far", "actor": "ops", "reason": "recall",
               "expires_on": "2026-03-01"}  # fmt: skip
    task = problem()
    lifted = decide_problem(_with_rules(_rule("exclude"), exceptions=[granted]), policy(), task)
    assert lifted.plan is not None
    (use,) = lifted.rules
    assert (use.hit.effect, use.hit.facts["exception"]) == (Effect.NONE, "plant-4")
    expired = {**granted, "expires_on": "2026-02-28"}
    strict = decide_problem(_with_rules(_rule("exclude"), exceptions=[expired]), policy(), task)
    assert strict.plan is None


def test_a_rule_may_look_at_the_candidate_and_not_at_the_warehouse_alone() -> None:
    """Only the lines and services for which the rule fires are out."""
    task = problem((line(1, "A", 1), line(2, "B", 9)), (warehouse("W1", (stock("A"), stock("B"))),
                   warehouse("W2", (stock("A"), stock("B")))))  # fmt: skip
    bulky = _rule("exclude", id="bulky", when=["pieces >= 5", "distance_km >= 300"])
    near = replace(task.warehouses[1], distance_km=10.0)
    verdict = decide_problem(
        _with_rules(bulky), policy(), replace(task, warehouses=(task.warehouses[0], near))
    )
    assert [use.candidates for use in verdict.rules] == [((2, "W1", "s1"),)]
    assert verdict.plan is not None
    assert all(s.warehouse_id == "W2" for s in verdict.plan.shipments if s.line_id == 2)


def _hit(effect: Effect = Effect.EXCLUDE, weather: float = 3.0, name: str = "closed") -> RuleHit:
    said = f"level {weather}"
    return RuleHit(name, "1", effect, {"origin_weather": weather}, Text(said, said))


def test_a_rule_is_told_once_for_the_same_values() -> None:
    hits: dict[PairKey, tuple[RuleHit, ...]] = {
        (1, "W1", "s1"): (_hit(), _hit(name="also")),
        (2, "W1", "s1"): (_hit(),),
        (1, "W2", "s1"): (_hit(weather=3.5),),
    }
    uses = collect_rules(hits)
    assert [(use.hit.id, use.candidates) for use in uses] == [
        ("also", ((1, "W1", "s1"),)),
        ("closed", ((1, "W1", "s1"), (2, "W1", "s1"))),
        ("closed", ((1, "W2", "s1"),)),
    ]


def test_no_plan_breaks_a_rule() -> None:
    """Whatever the order and the rules, a plan uses no candidate that a rule excludes."""
    plans = 0
    for seed in range(40):
        ruled = random_ruled(seed)
        plan, unruled = solve(ruled, LIMITS).plan, solve(random_priced(seed), LIMITS).plan
        if plan is None:
            continue
        plans += 1
        verify_plan(ruled, plan)
        assert not plan.quantities().keys() & {pair.key for pair in ruled.pairs if pair.rules}
        assert unruled is not None
        assert unruled.cost.total_cents <= plan.cost.total_cents
    assert plans > 5


def test_a_plan_that_breaks_a_rule_is_refused_by_name() -> None:
    task = problem()
    key = (1, "W1", "s1")
    uses = collect_rules({key: (_hit(),)})
    ruled = price(task, attach_rules(build_pairs(task), uses), certain(task), policy())
    plan = build_plan(ruled, {key: 2})
    with pytest.raises(PlanInvalidError, match="the plan breaks rule:closed"):
        verify_plan(ruled, plan)
    assert violations(ruled, {key: 2}, frozenset({"rule:closed"})) == ()


def test_only_what_excludes_is_attached_and_only_what_asks_is_asked() -> None:
    task = problem()
    key = (1, "W1", "s1")
    effects = {effect: collect_rules({key: (_hit(effect),)}) for effect in Effect}
    excluded = {e for e, uses in effects.items() if attach_rules(build_pairs(task), uses)[0].rules}
    assert excluded == {Effect.EXCLUDE, Effect.REJECT}
    plan = build_plan(price(task, build_pairs(task), certain(task), policy()), {key: 2})
    assert {e for e, uses in effects.items() if review_rules(plan, uses)} == {Effect.REVIEW}


def test_constraints_are_called_by_name() -> None:
    assert title_of(Constraint.STOCK).en == "stock"
    assert title_of("rule:far") == Text("规则far", "rule far")
