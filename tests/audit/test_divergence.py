"""The drill: each factor is changed alone, and that factor is named, alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit.causes import Cause, Factor, join_causes, of_runtime, suspects
from audit.divergence import find_causes
from audit.facts import RecordedDecision, parse_decision
from audit.log import append
from audit.records import Identity, build_decision_entry
from audit.replay import replay
from audit.store import Record
from models.case import Case
from models.decide import LoadedModel, build_case, decide
from models.domain import ModelRef, PolicyRef, Snapshot, Text
from models.policy import CompiledPolicy
from models.reasons import ReasonCatalogue
from models.surroundings import ReferenceRef, StaleReference
from tests.audit.plants import LastBit
from tests.audit.sample import SEALER, SIGNER, START, open_sample_store
from tests.models.examples import DOCUMENT, loaded, model_text, order, small_kind

BODY = order(customer={"recent_orders": [{"ordered": 4, "returned": 3}]})
OTHER_MODEL = ModelRef("parcel", "2", "sha256:ee", "run-2")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder: Path = tmp_path_factory.mktemp("divergence")
    store = open_sample_store(folder)
    identity = Identity("d-1", START, "P-1", None, "c-1", None, "oms")
    decision = decide(loaded(), BODY, lambda: 0.0)
    append(store, [build_decision_entry(decision, identity, BODY, None)], SIGNER, SEALER)
    with store.reading() as reading:
        return reading.record("d-1")


@pytest.fixture(scope="module")
def decision(record: Record) -> RecordedDecision:
    return parse_decision(record.facts or b"")


def seen(model: LoadedModel, body: bytes = BODY) -> Case:
    return build_case(model, model.schema.parse(body))


def off_by_a_bit(**runtime: str) -> LoadedModel:
    scorer = LastBit(model_text(), len(loaded().kind.features))
    return replace(loaded(), scorer=scorer, runtime=replace(loaded().runtime, **runtime))


def other_policy() -> LoadedModel:
    kind = small_kind(policy={**DOCUMENT["policy"], "review_at": 0.01, "adverse_at": 0.02})
    policy = CompiledPolicy(kind.policy, kind.value_types())
    return replace(loaded(), policy=policy, policy_ref=PolicyRef("parcel", "2026-02", "sha256:22"))


def other_calibration() -> LoadedModel:
    table = replace(loaded().calibration, probabilities=(0.05, 0.4, 0.95))
    return replace(loaded(), calibration=table, model_ref=OTHER_MODEL)


DRILL = {
    Factor.MODEL: replace(off_by_a_bit(), model_ref=OTHER_MODEL),
    Factor.CALIBRATION: other_calibration(),
    Factor.POLICY: other_policy(),
    Factor.LIBRARY: off_by_a_bit(lightgbm="9.9", python="3.12.1"),
    Factor.CPU: off_by_a_bit(cpu="SSE SSE2", python="3.12.1"),
}


def test_nothing_is_named_when_nothing_differs(decision: RecordedDecision) -> None:
    assert find_causes(decision, loaded(), seen(loaded())) == ()


@pytest.mark.parametrize("factor", DRILL)
def test_a_factor_changed_alone_is_named_alone(decision: RecordedDecision, factor: Factor) -> None:
    """Whatever else of the runtime is another too, such as Python's own version."""
    present = DRILL[factor]
    for case in (None, seen(present)):
        assert [cause.factor for cause in find_causes(decision, present, case)] == [factor]


def test_feature_code_changed_alone_is_named_alone(decision: RecordedDecision) -> None:
    present = replace(loaded(), runtime=replace(loaded().runtime, feature_code="sha256:ff"))
    case = seen(present)
    features = {**case.snapshot.features, "return_rate": 0.5}
    changed = replace(case, snapshot=Snapshot(features, case.snapshot.context))
    [cause] = find_causes(decision, present, changed)
    assert cause.factor is Factor.FEATURE_CODE
    assert str(cause).endswith("was recorded, sha256:ff replays")


def test_a_kind_that_reads_the_order_otherwise_is_named(decision: RecordedDecision) -> None:
    """What a feature is made of stands in the bundle; with the same bundle nothing says why."""
    present = replace(loaded(), model_ref=OTHER_MODEL)
    case = seen(present, order(stock=5.0))
    causes = find_causes(decision, present, case)
    assert {cause.factor for cause in causes} == {Factor.MODEL}
    assert find_causes(decision, loaded(), case) == ()


def test_a_reference_changed_alone_is_named_alone(decision: RecordedDecision) -> None:
    case = seen(loaded())
    table = ReferenceRef("customs_notices", "sha256:ab", START)
    late = StaleReference(table, Text("海关公告", "customs notices"), 14.0, 7.0)
    around = replace(case.surroundings, references=(table,), stale=(late,))
    [cause] = find_causes(decision, loaded(), replace(case, surroundings=around))
    assert cause.factor is Factor.REFERENCE
    assert str(cause).endswith("customs_notices: none was recorded, sha256:ab replays")
    same = replace(case, surroundings=replace(around, references=()))
    assert find_causes(decision, loaded(), same) == ()
    for part, factor in (("rapidfuzz", Factor.LIBRARY), ("feature_code", Factor.FEATURE_CODE)):
        present = replace(loaded(), runtime=replace(loaded().runtime, **{part: "99"}))
        [cause] = find_causes(decision, present, same)
        assert (cause.factor, cause.part) == (factor, part)


def test_the_policys_library_is_named(decision: RecordedDecision) -> None:
    changed = other_policy()
    present = replace(
        changed,
        policy_ref=loaded().policy_ref,
        runtime=replace(changed.runtime, zen_engine="99"),
    )
    [cause] = find_causes(decision, present)
    assert (cause.factor, cause.part) == (Factor.LIBRARY, "zen_engine")


def test_two_factors_are_both_named(decision: RecordedDecision) -> None:
    both = replace(off_by_a_bit(lightgbm="9.9", machine="aarch64"), policy=other_policy().policy)
    both = replace(both, policy_ref=other_policy().policy_ref)
    factors = [cause.factor for cause in find_causes(decision, both)]
    assert factors == [Factor.LIBRARY, Factor.CPU, Factor.POLICY]


def test_what_no_factor_explains_is_not_explained(decision: RecordedDecision) -> None:
    """The same model, runtime and policy, and yet another number: nothing recorded says why."""
    assert find_causes(decision, off_by_a_bit()) == ()
    silent = replace(other_policy(), policy_ref=loaded().policy_ref)
    assert find_causes(decision, silent) == ()


@pytest.mark.parametrize("factor", DRILL)
def test_a_replay_names_the_factor(record: Record, factor: Factor) -> None:
    result = replay(record, lambda _model, _policy: DRILL[factor])
    assert not result.match
    assert result.cause is not None
    assert result.cause.en.startswith(f"{factor}: ")
    assert f" ({factor}): " in result.cause.zh
    assert [cause.factor for cause in result.causes] == [factor]


def test_words_of_the_kind_and_the_set_of_outcomes_come_from_the_bundle(
    decision: RecordedDecision,
) -> None:
    """Where margin, probability and policy are as recorded, the bundle's other parts are left."""
    reasons = [
        {**one, "en": "another {stock}"} if one["code"] == "STOCK_LOW" else one
        for one in DOCUMENT["reasons"]
    ]
    catalogue = ReasonCatalogue(small_kind(reasons=reasons))
    other = replace(loaded(), catalogue=catalogue, model_ref=OTHER_MODEL)
    assert [cause.factor for cause in find_causes(decision, other)] == [Factor.MODEL]
    wider = replace(decision, verdict=replace(decision.verdict, outcome_set=("accept",)))
    present = replace(loaded(), model_ref=OTHER_MODEL)
    assert [cause.factor for cause in find_causes(wider, present)] == [Factor.CALIBRATION]


def test_the_link_of_the_margin_is_a_library_s(decision: RecordedDecision) -> None:
    raw = decision.verdict.raw_probability
    off = replace(decision.verdict, raw_probability=float(np.nextafter(raw, 1)))
    present = replace(loaded(), runtime=replace(loaded().runtime, python="3.12.1"))
    [cause] = find_causes(replace(decision, verdict=off), present)
    assert (cause.factor, cause.part) == (Factor.LIBRARY, "python")


def test_another_moment_of_the_order_is_the_reader_s(decision: RecordedDecision) -> None:
    present = replace(loaded(), runtime=replace(loaded().runtime, python="3.12.1"))
    case = seen(present)
    later = replace(case, surroundings=replace(case.surroundings, placed_at=START))
    [cause] = find_causes(decision, present, later)
    assert (cause.factor, cause.part) == (Factor.LIBRARY, "python")


def test_what_is_only_another_is_said_to_be_that() -> None:
    """A part of the runtime that no stage depends on by itself explains nothing."""
    then = loaded().runtime
    assert suspects(then, then) == ()
    for part, factor in (
        ("scipy", Factor.LIBRARY),
        ("feature_code", Factor.FEATURE_CODE),
        ("machine", Factor.CPU),
    ):
        [cause] = suspects(then, replace(then, **{part: "x", "python": "x"}))
        assert (cause.factor, cause.part, cause.is_shown) == (
            (factor, part, False) if part != "machine" else (Factor.LIBRARY, "python", False)
        )
        assert cause.text.en.startswith("unexplained; also other: ")
        assert cause.text.zh.startswith("原因不明 (unexplained); 仅此不同: ")
    [cpu] = suspects(then, replace(then, machine="x"))
    assert cpu.factor is Factor.CPU


def test_the_nearest_part_of_the_runtime_is_named() -> None:
    then = loaded().runtime
    assert of_runtime(then, then, ("numpy",), by_cpu=True) == ()
    every = replace(then, **dict.fromkeys(("numpy", "lightgbm", "python", "cpu"), "x"))
    parts = [cause.part for cause in of_runtime(then, every, ("lightgbm", "numpy"), by_cpu=True)]
    assert parts == ["lightgbm", "cpu"]
    assert [cause.part for cause in of_runtime(then, every)] == ["python"]
    assert [cause.part for cause in of_runtime(then, replace(then, cpu="x"))] == ["cpu"]


def test_causes_are_one_line_in_either_language() -> None:
    both = [Cause(Factor.POLICY, "policy", "a", "b"), Cause(Factor.CPU, "cpu", "c", None)]
    assert join_causes(both).en == (
        "policy: policy: a was recorded, b replays; CPU: cpu: c was recorded, none replays"
    )
    assert join_causes(both).zh == (
        "策略 (policy): policy: 记录为 a, 重放为 b; 处理器 (CPU): cpu: 记录为 c, 重放为 无"
    )


def test_a_record_that_is_not_the_logged_one_is_named_alone(record: Record) -> None:
    """Nothing can be told from facts that the log does not hold, whatever else is another."""
    altered = replace(record, facts=(record.facts or b"").replace(b'"reject"', b'"review"', 1))
    result = replay(altered, lambda _model, _policy: DRILL[Factor.LIBRARY])
    assert [cause.factor for cause in result.causes] == [Factor.RECORD]


def test_other_artefacts_that_say_the_same_are_a_difference(record: Record) -> None:
    same = replace(loaded(), model_ref=OTHER_MODEL)
    result = replay(record, lambda _model, _policy: same)
    assert [one.path for one in result.differences] == ["/model/bundle"]
