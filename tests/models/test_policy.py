"""Thresholds decide; rules only make it stricter, unless an approved exception lifts them."""

from datetime import date, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.caps import CapKey
from models.domain import Effect, JsonScalar, RuleHit, Side, Text
from models.errors import PolicyError
from models.kind import built_in_kind
from models.policy import CompiledPolicy, Level, PolicyInputs, PolicyResult, effect_level, strictest
from models.policy_document import (
    Policy,
    Rule,
    built_in_policy,
    built_in_policy_names,
    parse_policy,
)
from models.reference import built_in_references, parse_reference
from tests.models.examples import small_kind
from tests.models.governed import governed_kind, governed_policy, inputs
from tests.models.jdm import graph, rule_table, threshold_table

PLACED = datetime.fromisoformat("2026-02-01T10:00:00+08:00")


def document(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a policy
    return {"name": "p", "version": "7", "review_at": 0.4, "adverse_at": 0.7, **changes}


def rule(identity: str, effect: str, *when: str) -> dict[str, Any]:
    return {"id": identity, "effect": effect, "when": list(when), "zh": "规则", "en": "rule"}


def approved(rule_id: str, expires_on: date, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any
    return {
        "id": f"for-{rule_id}",
        "rule": rule_id,
        "actor": "head-of-trade",
        "reason": "licence L-7",
        "expires_on": expires_on.isoformat(),
        **changes,
    }


def applied(
    policy: dict[str, Any],
    values: dict[str, JsonScalar],
    probability: float = 0.1,
    outcome_set: frozenset[Side] | None = None,
    placed_at: datetime | None = None,
) -> PolicyResult:
    return CompiledPolicy(parse_policy(policy)).apply(
        PolicyInputs(probability, (probability, probability), values, outcome_set, placed_at)
    )


def ending(found: PolicyResult) -> tuple[Level, str, str]:
    assert found.conflict is not None
    return found.level, found.conflict.winner, found.conflict.by


@pytest.mark.parametrize(
    ("probability", "level"),
    [(0.0, 0), (0.39, 0), (0.4, 1), (0.69, 1), (0.7, 2), (1.0, 2)],
)
def test_thresholds(probability: float, level: int) -> None:
    policy = CompiledPolicy(small_kind().policy)
    assert policy.level(probability) == level
    found = policy.apply(PolicyInputs(probability, (0.0, 1.0), {}))
    assert (found.level, found.model_level) == (level, level)
    assert (found.review_at, found.adverse_at) == (0.4, 0.7)


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("effect", list(Effect))
def test_a_rule_never_makes_it_milder(level: Level, effect: Effect) -> None:
    hit = RuleHit("r", "1", effect, {}, Text("", ""))
    assert strictest(level, (hit,)) >= level
    assert strictest(level, ()) is level
    assert strictest(level, (hit,)) == max(level, effect_level(effect))


def test_a_rule_that_fires_shows_its_values() -> None:
    policy = CompiledPolicy(small_kind().policy)
    (hit,) = policy.fired({"pieces": 120.0, "rule_since": None})
    assert (hit.id, hit.effect, hit.facts) == ("many-pieces", Effect.REVIEW, {"pieces": 120.0})
    assert hit.text == Text("120件", "120 pieces")
    assert policy.fired({"pieces": 100.0}) == ()


_EFFECTS = st.sampled_from(["none", "review", "reject"])
_VALUES = st.fixed_dictionaries({name: st.sampled_from([None, 0.0, 1.0]) for name in "abc"})
_RULES = st.lists(st.tuples(_EFFECTS, st.sampled_from("abc")), max_size=4)
_SETS = st.none() | st.frozensets(st.sampled_from(list(Side)))
_ORDERS: st.SearchStrategy[list[str]] = st.permutations(["model", "set"]).map(
    lambda tail: ["rule", "cap", *tail]
) | st.just([])


def _rules(drawn: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [rule(f"r{place}", effect, f"{name} == 1") for place, (effect, name) in enumerate(drawn)]


@given(_RULES, _VALUES, st.floats(0, 1), _SETS, _ORDERS)
def test_rules_never_make_it_milder_without_an_exception(
    drawn: list[tuple[str, str]],
    values: dict[str, JsonScalar],
    probability: float,
    outcome_set: frozenset[Side] | None,
    precedence: list[str],
) -> None:
    """Whatever voices and precedence, the outcome with rules is at least that without."""
    plain = document(precedence=precedence)
    without = applied(plain, values, probability, outcome_set=outcome_set)
    found = applied({**plain, "rules": _rules(drawn)}, values, probability, outcome_set=outcome_set)
    assert found.level == max([without.level, *(effect_level(hit.effect) for hit in found.hits)])
    assert [hit.id for hit in found.hits] == [
        one["id"] for one, (_, name) in zip(_rules(drawn), drawn, strict=True) if values[name] == 1
    ]


@given(st.integers(-400, 400), st.integers(0, 400) | st.none(), st.none() | st.just(PLACED))
def test_an_exception_counts_only_from_its_approval_to_its_last_day(
    days_left: int, days_since: int | None, placed_at: datetime | None
) -> None:
    """An exception that is not approved yet, or has expired, changes nothing."""
    last = PLACED.date() + timedelta(days=days_left)
    changes = {}
    if days_since is not None:
        changes["approved_on"] = (last - timedelta(days=days_since)).isoformat()
    policy = document(rules=[rule("r", "reject")], exceptions=[approved("r", last, **changes)])
    found = applied(policy, {}, placed_at=placed_at)
    counts = (
        placed_at is not None and days_left >= 0 and (days_since is None or days_since >= days_left)
    )
    assert found.level == (Level.FAVOURABLE if counts else Level.ADVERSE)
    (hit,) = found.hits
    assert hit.effect == (Effect.NONE if counts else Effect.REJECT)
    assert hit.facts.get("exception_actor") == ("head-of-trade" if counts else None)
    assert ("lifted by an approved exception" in hit.text.en) is counts


def test_an_exception_lifts_only_its_rule_and_only_its_orders() -> None:
    policy = document(
        rules=[rule("r", "reject"), rule("s", "review")],
        exceptions=[approved("r", date(2026, 12, 31), when=["licence == 'L-7'"])],
    )
    lifted = applied(policy, {"licence": "L-7"}, placed_at=PLACED)
    assert [hit.effect for hit in lifted.hits] == [Effect.NONE, Effect.REVIEW]
    assert applied(policy, {}, placed_at=PLACED).level is Level.ADVERSE


@given(st.sampled_from(["tmall", "amazon", "douyin", None]), st.floats(0, 1e5), st.floats(0, 1))
def test_evaluation_is_deterministic(
    channel: str | None, order_value: float, probability: float
) -> None:
    """The same inputs give the same result, also from a policy that was stored and read back."""
    policy = governed_policy("risk")
    again = CompiledPolicy(
        Policy.model_validate_json(orjson.dumps(policy.policy.model_dump(mode="json"))),
        governed_kind("risk").value_types(),
    )
    values: dict[str, JsonScalar] = {"channel": channel, "order_value": order_value}
    asked = PolicyInputs(probability, (0.0, 1.0), values, placed_at=PLACED)
    assert policy.apply(asked) == policy.apply(asked) == again.apply(asked)


@given(
    st.sampled_from(["low", "high", None]),
    st.sampled_from([None, 0.0, 1.0]),
    st.floats(0, 1),
)
def test_rules_of_the_graph_never_make_it_milder(
    tier: str | None, flag: float | None, probability: float
) -> None:
    """A rule table changes nothing but to raise the outcome; thresholds are the table's."""
    thresholds = threshold_table([({"tier": "'low'"}, "0.1", "0.2")], ["tier"])
    rules = rule_table(
        [({"flag": "1"}, "g", "review"), ({"tier": "'high'"}, "h", "reject")], ["flag", "tier"]
    )
    types: Any = {"tier": "text", "flag": "number"}
    values: dict[str, JsonScalar] = {"tier": tier, "flag": flag}
    asked = PolicyInputs(probability, (0.0, 1.0), values)
    alone = CompiledPolicy(parse_policy(document(decision=graph(t=thresholds))), types)
    both = CompiledPolicy(parse_policy(document(decision=graph(t=thresholds, r=rules))), types)
    base, found = alone.apply(asked), both.apply(asked)
    assert base.hits == ()
    assert found.level == max([base.level, *(effect_level(hit.effect) for hit in found.hits)])
    assert [hit.id for hit in found.hits] == [
        name for name, fires in (("g", flag == 1), ("h", tier == "high")) if fires
    ]
    assert found.review_at == (0.1 if tier == "low" else 0.4)


def test_the_model_s_set_and_the_thresholds_are_settled_by_precedence() -> None:
    both = frozenset(Side)
    found = applied(document(), {}, 0.1, outcome_set=both)
    assert ending(found) == (Level.REVIEW, "set", "promise")
    surer = applied(document(), {}, 0.9, outcome_set=both)
    assert ending(surer) == (Level.REVIEW, "set", "promise")
    other = applied(document(), {}, 0.9, outcome_set=frozenset({Side.FAVOURABLE}))
    assert ending(other) == (Level.REVIEW, "set", "promise")
    listed = document(precedence=["rule", "model", "set"])
    found = applied(listed, {}, 0.1, outcome_set=both)
    assert ending(found) == (Level.FAVOURABLE, "model", "precedence")
    agreed = applied(document(), {}, 0.9, outcome_set=frozenset({Side.ADVERSE}))
    assert (agreed.level, agreed.conflict) == (Level.ADVERSE, None)
    sized = document(rules=[rule("both", "review", "outcome_set_size >= 2")])
    assert [hit.id for hit in applied(sized, {}, 0.1, outcome_set=both).hits] == ["both"]


_CAP = {
    "id": "priority-full",
    "effect": "review",
    "when": ["wants_priority == true"],
    "tier": "tier",
    "limits": {"vip": 2},
    "limit": 0,
    "zh": "{cap_tier}已用{cap_used}/{cap_limit}",
    "en": "{cap_used} of {cap_limit} on {cap_day}",
}


@pytest.mark.parametrize(
    ("tier", "used", "level"),
    [("vip", 0, 0), ("vip", 1, 0), ("vip", 2, 1), ("vip", 9, 1), ("gold", 0, 1), (None, 0, 1)],
)
def test_a_cap_asks_a_person_from_its_limit_on(tier: str | None, used: int, level: int) -> None:
    policy = CompiledPolicy(parse_policy(document(caps=[_CAP])))
    values: dict[str, JsonScalar] = {"wants_priority": True, "tier": tier}
    (key,) = policy.cap_keys(values, PLACED)
    assert key == CapKey("priority-full", "2026-02-01", tier or "")
    asked = PolicyInputs(0.1, (0.1, 0.1), values, placed_at=PLACED, counts={key: used})
    found = policy.apply(asked)
    assert found.level == level
    assert found.cap_keys_taken() == (() if level else (key,))
    (use,) = found.cap_uses
    assert (use.used, use.is_full) == (used, bool(level))
    if level:
        (hit,) = found.hits
        assert hit.facts["cap_used"] == used
        assert hit.text.en == f"{used} of {2 if tier == 'vip' else 0} on 2026-02-01"


def test_a_cap_that_an_order_does_not_use_or_that_is_not_counted() -> None:
    found = applied(document(caps=[_CAP]), {"wants_priority": False}, placed_at=PLACED)
    assert (found.level, found.cap_uses) == (Level.FAVOURABLE, ())
    uncounted = applied(document(caps=[_CAP]), {"wants_priority": True, "tier": "vip"})
    assert [hit.id for hit in uncounted.hits] == ["policy-failed"]
    assert uncounted.level is Level.REVIEW
    assert uncounted.cap_uses[0].key.day == "undated"
    free = {**_CAP, "limit": None}
    unlimited = applied(document(caps=[free]), {"wants_priority": True, "tier": "gold"})
    assert (unlimited.level, unlimited.hits) == (Level.FAVOURABLE, ())


def test_data_of_domestic_consumers_stays_with_domestic_nodes() -> None:
    policy = governed_policy("admission")
    home: dict[str, JsonScalar] = {"destination_country": "CN"}
    (refusal,) = policy.residency(home, ["gpu", "fast"], "features")
    assert (refusal.effect, refusal.facts["node_marks"]) == (Effect.EXCLUDE, "fast, gpu")
    assert "fast, gpu" in refusal.text.en
    assert policy.residency(home, ["domestic"], "personal") == ()
    assert policy.residency({"destination_country": "SG"}, [], "personal") == ()
    assert len(policy.residency({}, [], "personal")) == 1


def test_residency_is_about_the_data_that_it_names() -> None:
    one = {**rule("stays", "none", "country is present"), "marks": ["domestic"]}
    del one["effect"]
    policy = CompiledPolicy(parse_policy(document(residency=[{**one, "data": ["personal"]}])))
    assert policy.residency({"country": "CN"}, [], "features") == ()
    assert len(policy.residency({"country": "CN"}, [], "personal")) == 1
    assert policy.residency({}, [], "personal") == ()


def test_a_stale_table_asks_a_person() -> None:
    table = parse_reference(
        {
            **built_in_references()["customs_notices"].model_dump(mode="json"),
            "staleness_days": 30,
        }
    )
    body = governed_kind("admission").examples[0].order.encode()
    tables = {**built_in_references(), "customs_notices": table}
    found = governed_policy("admission").apply(inputs("admission", body, tables=tables))
    assert found.level is Level.REVIEW
    (hit,) = found.hits
    assert (hit.id, hit.facts["table"], hit.facts["limit_days"]) == (
        "reference-stale",
        "customs_notices",
        30.0,
    )
    assert "海关公告" in hit.text.zh
    fresh = inputs("admission", body)
    assert governed_policy("admission").apply(fresh).level is Level.FAVOURABLE


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["admission", "risk"])
def test_a_sanctioned_destination_is_never_accepted(name: str, probability: float) -> None:
    """Whatever the model says, the rule rejects, with the list's entry in its facts."""
    order = orjson.loads(governed_kind(name).examples[0].order)
    order.setdefault("destination" if name == "admission" else "shipping", {})["country"] = "ZZ"
    found = governed_policy(name).apply(inputs(name, orjson.dumps(order), probability))
    assert found.level is Level.ADVERSE
    (hit,) = [hit for hit in found.hits if hit.id == "destination-sanctioned"]
    assert hit.facts["destination_sanctions_entry"] == "DST-002"
    assert hit.version == built_in_policy(name).version
    assert "ZZ" in hit.text.zh


@pytest.mark.parametrize(
    ("name", "rule_id"),
    [
        ("诸葛 明轩", "party-sanctioned"),
        ("DEMIDENKO, Viktor Aleksandrovich", "party-sanctioned"),
        ("Viktor Aleksandrovitch Demidenko", "party-similar-to-sanctioned"),
        ("林小雨", None),
    ],
)
def test_parties_are_compared_and_stay_out_of_the_facts(name: str, rule_id: str | None) -> None:
    order = orjson.loads(governed_kind("admission").examples[0].order)
    order["customer"]["name"] = name
    found = governed_policy("admission").apply(inputs("admission", orjson.dumps(order)))
    assert [hit.id for hit in found.hits] == ([] if rule_id is None else [rule_id])
    assert all(name not in str(hit) and "PTY" not in str(hit) for hit in found.hits)


def test_controlled_codes_and_review_triggers() -> None:
    order = orjson.loads(governed_kind("admission").examples[0].order)
    order["lines"][0]["hs_code"] = "9301.20.0000"
    order["total_amount"] = 60000.0
    found = governed_policy("admission").apply(inputs("admission", orjson.dumps(order)))
    assert [hit.id for hit in found.hits] == ["hs-code-prohibited", "order-value-high"]
    assert found.hits[0].facts["hs_prohibited_entry"] == "HS-9301"
    assert found.hits[1].text.en.startswith("the order is worth 60,000.00")
    assert (found.review_at, found.adverse_at) == (0.2, 0.5)
    assert found.level is Level.ADVERSE


@pytest.mark.parametrize("name", ["admission", "risk"])
def test_thresholds_follow_channel_tier_and_value(name: str) -> None:
    policy = governed_policy(name)
    seen = set()
    for channel, tier, value in [
        ("tmall", "standard", 100.0),
        ("tmall", "vip", 100.0),
        ("amazon", "vip", 6000.0),
        ("tmall", "vip", 60000.0),
    ]:
        values: dict[str, JsonScalar] = {
            "channel": channel,
            "customer_tier": tier,
            "order_value": value,
        }
        found = policy.apply(PolicyInputs(0.1, (0.1, 0.1), values))
        seen.add((found.review_at, found.adverse_at))
    assert len(seen) == 4
    default = built_in_kind(name).policy
    assert (default.review_at, default.adverse_at) in seen


@pytest.mark.parametrize("name", ["admission", "risk"])
def test_the_examples_pass_the_built_in_policies_unchanged(name: str) -> None:
    """No shipped example meets a rule of the graph, so the model's answer stands."""
    for example in governed_kind(name).examples:
        found = governed_policy(name).apply(inputs(name, example.order.encode()))
        rules = {hit.id for hit in found.hits} - {
            one.id for one in built_in_kind(name).policy.rules
        }
        assert rules == set(), example.name


def test_what_the_engine_cannot_evaluate_asks_a_person() -> None:
    """A number that the engine refuses costs no order: the rule says so, and a person decides."""
    values: dict[str, JsonScalar] = {"order_value": 1e300}
    found = governed_policy("risk").apply(PolicyInputs(0.01, (0.0, 0.1), values))
    assert found.level is Level.REVIEW
    assert [(hit.id, hit.facts) for hit in found.hits] == [
        ("policy-failed", {"cause": "decision-engine"})
    ]
    worse = governed_policy("risk").apply(PolicyInputs(0.99, (0.9, 1.0), values))
    assert worse.level is Level.ADVERSE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exceptions": [approved("absent", date(2030, 1, 1))]}, "lifts no rule"),
        ({"rules": [rule("policy-failed", "none")]}, "named twice: policy-failed"),
        ({"rules": [rule("reference-stale", "none")]}, "named twice: reference-stale"),
        ({"rules": [rule("r", "none", "absent > 1")]}, "rule 'r' uses unknown values: absent"),
        ({"caps": [_CAP]}, "cap 'priority-full' uses unknown values"),
        (
            {
                "rules": [rule("r", "none")],
                "exceptions": [approved("r", date(2030, 1, 1), when=["absent > 1"])],
            },
            "exception 'for-r' uses unknown values: absent",
        ),
        (
            {"residency": [{"id": "x", "when": ["y > 1"], "marks": ["m"], "zh": "", "en": "{z}"}]},
            "residency 'x' uses unknown values: y, z",
        ),
        (
            {
                "decision": graph(r=rule_table([({}, "twice", "none")], ["stock"])),
                "rules": [rule("twice", "none")],
            },
            "named twice: twice",
        ),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        CompiledPolicy(parse_policy(document(**changes)), {"stock": "number"})


def test_every_rule_of_the_built_in_policies_has_words_in_both_languages() -> None:
    assert {"admission", "risk"} <= set(built_in_policy_names())
    for name in ("admission", "risk"):
        policy = governed_policy(name)
        assert policy._rulebook is not None
        for row in policy._rulebook.checked.rows.values():
            assert row.zh
            assert row.en
        assert all(isinstance(one, Rule) for one in policy.policy.rules)
