"""An order made ready: counters, moments, what tables say."""

from dataclasses import replace
from datetime import UTC, date, datetime

from models.caps import CapKey
from models.case import moment_at
from models.conformal import build_conformal
from models.decide import LoadedModel, build_case, decide_cases, decide_snapshot, load_model
from models.domain import PolicyRef, Verdict
from models.policy_document import Policy, Promise
from models.surroundings import CapCount, ErrorRates, Surroundings
from tests.models.examples import bundle, loaded, order

_GOOD = {"recent_orders": [{"ordered": 9, "returned": 0}]}
_CAP = {
    "id": "express-full",
    "effect": "review",
    "when": ["channel == 'amazon'"],
    "limit": 2,
    "zh": "已用{cap_used}",
    "en": "{cap_used} used",
}


def under(**changes: object) -> LoadedModel:
    made = bundle()
    own = made.kind.policy.model_copy(update={"rules": ()})
    policy = Policy.model_validate({**own.model_dump(mode="json"), **changes})
    return load_model(made, loaded().model_ref, policy, PolicyRef("p", "1", "sha256:22"))


def test_a_counter_that_is_not_known_counts_as_none_used() -> None:
    model = under(caps=[_CAP])
    case = build_case(
        model, model.schema.parse(order(channel="amazon", stock=190.0, customer=_GOOD))
    )
    key = CapKey("express-full", "2026-02-01", "")
    assert case.cap_keys == (key,)
    assert case.counted({}).surroundings.counts == (CapCount(*_parts(key), 0),)
    full = case.counted({key: 2})
    (first,) = decide_cases(model, [case.counted({key: 1})], lambda: 0.0, 0.0)
    (second,) = decide_cases(model, [full], lambda: 0.0, 0.0)
    assert (first.verdict.outcome, second.verdict.outcome) == ("accept", "review")
    assert second.verdict.caps[0].used == 2
    assert [hit.id for hit in second.verdict.rules] == ["express-full"]
    assert second.verdict.conflict is not None
    assert second.verdict.conflict.winner == "cap"
    # A replay needs nothing but what was recorded.
    again = decide_snapshot(model, second.snapshot, second.surroundings)
    assert again == second.verdict
    # An order that uses no counter is not changed by any.
    plain = build_case(model, model.schema.parse(order()))
    assert plain.counted({key: 9}) is plain


def _parts(key: CapKey) -> tuple[str, str, str]:
    return key.cap, key.day, key.tier


def test_a_promise_sends_to_a_person_what_the_set_does_not_settle() -> None:
    """Thresholds would refuse; the set holds both labels, so a person decides."""
    table = build_conformal([0.0] * 50 + [1.0] * 50, [1, 0] * 50)
    model = replace(
        under(review_at=0.05, adverse_at=0.1, promise=Promise(adverse=0.1, favourable=0.1)),
        conformal=table,
    )
    case = build_case(model, model.schema.parse(order(stock=120.0)))
    margin = _verdict(model, case.surroundings).attributions.margin
    assert 0.0 <= margin + 5 <= 10
    verdict = _verdict(model, case.surroundings)
    settled = table.outcome_set(margin, 0.1, 0.1)
    assert verdict.promise is not None
    assert (verdict.promise.adverse, verdict.promise.working_adverse) == (0.1, 0.1)
    assert len(verdict.outcome_set) == len(settled)
    assert verdict.automated == (len(settled) == 1 and verdict.outcome in verdict.outcome_set)
    moved = _verdict(model, replace(case.surroundings, error_rates=ErrorRates(0.0, 0.0)))
    assert moved.promise is not None
    assert moved.promise.working_adverse == 0.0
    assert (moved.outcome_set, moved.outcome) == (("accept", "reject"), "review")
    assert moved.conflict is not None
    assert (moved.conflict.winner, moved.conflict.by) == ("set", "promise")


def _verdict(model: LoadedModel, surroundings: Surroundings) -> Verdict:
    snapshot = build_case(model, model.schema.parse(order(stock=120.0))).snapshot
    return decide_snapshot(model, snapshot, surroundings)


def test_a_moment_keeps_the_order_s_own_offset() -> None:
    placed = datetime.fromisoformat("2026-02-01T23:30:00+08:00")
    found = moment_at({"a": {"placed_at": placed}}, "a.placed_at")
    assert found is not None
    assert found.date() == date(2026, 2, 1)
    assert moment_at({"on": date(2026, 2, 1)}, "on") == datetime(2026, 2, 1, tzinfo=UTC)
    assert moment_at({"a": 3.0}, "a.b") is None
    assert moment_at({}, None) is None
