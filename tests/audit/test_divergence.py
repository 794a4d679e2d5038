"""The drill: each factor is changed alone, and that factor is named, alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit.divergence import Factor, find_causes
from audit.facts import RecordedDecision, parse_decision
from audit.log import append
from audit.records import Identity, build_decision_entry
from audit.replay import replay
from audit.store import Record
from models.case import Case
from models.decide import LoadedModel, build_case, decide
from models.domain import ModelRef, PolicyRef, Snapshot, Text
from models.policy import CompiledPolicy
from models.scorer import Matrix, Scorer, Scores
from models.surroundings import ReferenceRef, StaleReference
from tests.audit.sample import SEALER, SIGNER, START, open_sample_store
from tests.models.examples import DOCUMENT, loaded, model_text, order, small_kind

BODY = order(customer={"recent_orders": [{"ordered": 4, "returned": 3}]})
OTHER_MODEL = ModelRef("parcel", "2", "sha256:ee", "run-2")


class LastBit(Scorer):
    """Scores as another build of the library might: one bit off."""

    def score(self, rows: Matrix, threads: int = 1) -> Scores:
        """Return the scores with margins and base values moved by one bit."""
        scores = super().score(rows, threads)
        up = {
            "margins": np.nextafter(scores.margins, np.inf),
            "base_values": np.nextafter(scores.base_values, np.inf),
        }
        return replace(scores, **up)


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
    Factor.CPU: off_by_a_bit(machine="aarch64"),
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
    assert "customs_notices: None was recorded, sha256:ab replays" in cause.detail
    same = replace(around, references=())
    [cause] = find_causes(decision, loaded(), replace(case, surroundings=same))
    assert cause.detail == "the tables say otherwise"
    fuzzy = replace(loaded(), runtime=replace(loaded().runtime, rapidfuzz="99"))
    [cause] = find_causes(decision, fuzzy, replace(case, surroundings=same))
    assert (cause.factor, cause.detail[:9]) == (Factor.LIBRARY, "rapidfuzz")


def test_the_policys_library_is_named(decision: RecordedDecision) -> None:
    changed = other_policy()
    present = replace(
        changed,
        policy_ref=loaded().policy_ref,
        runtime=replace(changed.runtime, zen_engine="99"),
    )
    [cause] = find_causes(decision, present)
    assert (cause.factor, cause.detail[:10]) == (Factor.LIBRARY, "zen_engine")


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
    assert result.cause.startswith(f"{factor}: ")
