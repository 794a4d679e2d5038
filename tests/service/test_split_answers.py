"""A split's answer says what the record holds: money, one language, the chosen and the others."""

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from audit.canonical import facts_json, parse_json
from audit.split_facts import build_split_facts
from models.domain import Effect, Language, RuleHit, Text
from models.split.decide import SplitDecision
from models.split.rules import RuleUse
from service.split_answers import build_split_fields
from tests.splits import EXAMPLES, decided

CHINESE = re.compile(r"[一-鿿]")
Shown = dict[str, Any]


def shown(decision: SplitDecision, language: Language = "en") -> Shown:
    stored = parse_json(facts_json(build_split_facts(decision, "CNY", "oms", bytes(32))))
    assert isinstance(stored, dict)
    return build_split_fields(stored, language)


def every_text(value: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return [text for item in value for text in every_text(item)]
    if not isinstance(value, dict):
        return []
    own = [value["text"]] if "text" in value else []
    return own + [text for item in value.values() for text in every_text(item)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_texts_are_of_one_language(name: str) -> None:
    chinese, english = (every_text(shown(decided(name), one)) for one in ("zh", "en"))
    assert len(chinese) == len(english) > 3
    assert all(CHINESE.search(text) for text in chinese)
    assert not any(CHINESE.search(text) for text in english)


def test_the_plan_places_every_line_and_its_costs_add_up() -> None:
    answer, plan = shown(decided()), decided().verdict.plan
    assert plan is not None
    assert [line["line_id"] for line in answer["plan"]] == [1, 2]
    assert {line["warehouse_id"] for line in answer["plan"]} == set(plan.warehouses())
    assert answer["cost"]["total"] == plan.cost.total_cents / 100
    assert answer["cost"]["freight"] == sum(parcel["freight"] for parcel in answer["parcels"])
    for line in answer["plan"]:
        terms = line["freight"] + line["turnover"] + line["lateness"]
        assert line["cost"] == pytest.approx(terms)
        parcel = next(p for p in answer["parcels"] if p["warehouse_id"] == line["warehouse_id"])
        assert line["ship_by"] == parcel["ship_by_at"]
    assert sum(term["share"] for term in answer["terms"]) == pytest.approx(1)
    assert {weight["name"] for weight in answer["weights"]} >= {"customer_tier", "late_penalty"}


def test_each_chosen_pair_is_explained_and_the_worst_speaks_for_the_plan() -> None:
    answer = shown(decided())
    for line in answer["plan"]:
        attributions = line["attributions"]
        explained = attributions["base_value"] + sum(attributions["values"].values())
        assert explained == pytest.approx(attributions["margin"], abs=1e-9)
        assert line["features"].keys() == attributions["values"].keys()
        assert line["reasons"]
    worst = max(answer["plan"], key=lambda line: line["lateness_probability"])
    assert answer["probability"] == worst["lateness_probability"]
    assert answer["confidence"] == 1 - answer["probability"]
    for name in ("raw_probability", "interval", "features", "attributions"):
        assert answer[name] == worst[name]
    assert answer["reasons"] == worst["reasons"]
    strengths = [abs(reason["contribution"]) for reason in answer["reasons"]]
    assert all(one >= two for one, two in pairwise(strengths))


def test_reasons_towards_the_outcome_come_first() -> None:
    """A plan that ships is told what speaks for shipping, whatever its candidate's own outcome."""
    verdict = replace(decided().verdict, outcome="ship")
    answer = shown(replace(decided(), verdict=verdict))
    assert {reason["toward"] for reason in answer["reasons"]} == {"ship"}
    assert {reason["toward"] for reason in answer["counter_reasons"]} == {"hold"}
    one_sided = tuple(
        replace(score, reasons=score.reasons and (score.reasons[0],), counter_reasons=())
        for score in verdict.scores
    )
    kept = shown(replace(decided(), verdict=replace(verdict, scores=one_sided)))
    assert [reason["toward"] for reason in kept["reasons"]] == ["hold"]


def test_every_rejected_warehouse_and_candidate_says_why() -> None:
    for name in EXAMPLES:
        decision = decided(name)
        answer = shown(decision)
        whole = [one for one in answer["why_not"] if one["line_id"] is None]
        parts = [one for one in answer["why_not"] if one["line_id"] is not None]
        used = {line["warehouse_id"] for line in answer["plan"]}
        houses = {house.warehouse_id for house in decision.problem.warehouses}
        assert {one["warehouse_id"] for one in whole} == houses - used
        assert len(parts) + len(answer["plan"]) == len(decision.verdict.candidates)
        assert all(one["text"] for one in answer["why_not"])


def test_a_dearer_candidate_is_told_in_money_time_and_lateness() -> None:
    by_standing: dict[str, Shown] = {}
    for one in shown(decided())["why_not"]:
        if one["line_id"] is not None:
            by_standing.setdefault(one["standing"], one)
    dearer = by_standing["dearer"]
    cost, late = dearer["difference"]["cost"], dearer["difference"]["late_lines"]
    assert f"cost {abs(cost):.2f} CNY {'more' if cost >= 0 else 'less'}" in dearer["text"]
    assert f"late lines by {late:+.2f}" in dearer["text"]
    assert dearer["groups"]
    excluded = by_standing["excluded"]
    assert excluded["text"] == "; ".join(one["text"] for one in excluded["exclusions"])


def test_a_blocked_candidate_names_what_it_would_break() -> None:
    decision = decided()
    blocked = tuple(
        replace(one, standing=type(one.standing)("blocked"), blocked_by=("capacity", "rule:storm"),
                difference=None, exclusions=())
        if one.quantity == 0 else one
        for one in decision.verdict.candidates
    )  # fmt: skip
    verdict = replace(decision.verdict, candidates=blocked)
    texts = [
        one["text"]
        for one in shown(replace(decision, verdict=verdict))["why_not"]
        if one["line_id"] is not None
    ]
    assert len(texts) > 1
    assert all("would break" in text and "rule storm" in text for text in texts)


def test_without_a_plan_the_conflict_is_the_reason() -> None:
    answer = shown(decided("no-plan"))
    assert (answer["plan"], answer["cost"], answer["probability"]) == ([], None, None)
    assert (answer["features"], answer["attributions"]) == ({}, None)
    [reason] = answer["reasons"]
    assert (reason["code"], reason["toward"]) == ("CONFLICT", answer["outcome"])
    assert answer["conflict"]["constraints"] == ["bonded", "cold_chain"]
    assert answer["conflict"]["text"] == reason["text"] == answer["summary"]
    assert {one["relaxed"] for one in answer["alternatives"]} == {"bonded", "cold_chain"}


def test_a_candidate_of_an_order_without_plan_that_nothing_excludes_says_so() -> None:
    decision = decided("no-plan")
    free = tuple(
        replace(one, standing=type(one.standing)("blocked"), exclusions=())
        for one in decision.verdict.candidates
    )
    verdict = replace(decision.verdict, candidates=free)
    texts = {
        one["text"]
        for one in shown(replace(decision, verdict=verdict))["why_not"]
        if one["line_id"] is not None
    }
    assert texts == {"the order has no plan"}


def test_a_rule_names_its_candidates() -> None:
    hit = RuleHit("storm", "2", Effect.EXCLUDE, {"weather": 3}, Text("暴风雪", "snow storm"))
    use = RuleUse(hit, ((1, "WH-HZ-1", "yto-economy"),))
    verdict = replace(decided().verdict, rules=(use,))
    [rule] = shown(replace(decided(), verdict=verdict))["rules"]
    assert (rule["id"], rule["effect"], rule["text"]) == ("storm", "exclude", "snow storm")
    assert rule["candidates"] == [
        {"line_id": 1, "warehouse_id": "WH-HZ-1", "service_id": "yto-economy"}
    ]


def test_each_release_says_why_it_stands_there() -> None:
    releases = shown(decided())["releases"]
    assert releases
    for house in releases:
        assert [one["position"] for one in house["sequence"]] == [
            number + 1 for number in range(len(house["sequence"]))
        ]
        assert all(one["text"] and one["code"] for one in house["sequence"])
