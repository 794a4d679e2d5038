"""The drill of the split: each factor is changed alone, and that factor is named, alone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from audit.canonical import facts_json
from audit.causes import Factor
from audit.records import Identity
from audit.replay import Replay
from audit.split_facts import build_split_facts
from audit.split_records import build_split_entry
from audit.split_replay import replay_split
from audit.store import Record
from models.decide import LoadedModel
from models.domain import PolicyRef
from models.features import Extractor
from models.policy import CompiledPolicy
from models.reasons import ReasonCatalogue
from models.split.decide import SplitDecision
from models.split.policy import SplitPolicy
from tests.audit.plants import LastBit
from tests.audit.sample import START, logged
from tests.models.split.examples import example_order, lateness_bundle, lateness_model
from tests.splits import decided, weights

Plant = Callable[[LoadedModel, SplitPolicy], tuple[LoadedModel, SplitPolicy]]
BODY = example_order("two-parcels")


def record_of(decision: SplitDecision) -> Record:
    identity = Identity("d-1", START, "O-1", None, "c-1", None, "oms")
    entry = build_split_entry(decision, "CNY", identity, BODY, None)
    facts = facts_json(build_split_facts(decision, "CNY", "oms", b""))
    return logged(Record(0, entry.entry_id, b"{}", facts, None, 1))


def replayed(
    plant: Plant, decision: SplitDecision | None = None, *, with_order: bool = True
) -> Replay:
    return replay_split(
        record_of(decision or decided()),
        lambda _model, _policy: plant(lateness_model(), weights()),
        lambda _record: BODY if with_order else None,
    )


def ran(model: LoadedModel, **parts: str) -> LoadedModel:
    return replace(model, runtime=replace(model.runtime, **parts))


def other_bundle(model: LoadedModel) -> LoadedModel:
    return replace(model, model_ref=replace(model.model_ref, bundle="sha256:ee"))


def other_bit(model: LoadedModel) -> LoadedModel:
    bundle = lateness_bundle()
    return replace(model, scorer=LastBit(bundle.model_text, len(bundle.kind.features)))


def other_tables(model: LoadedModel) -> LoadedModel:
    tables = replace(model.calibration, probabilities=(0.06, 0.5, 0.94))
    return replace(other_bundle(model), calibration=tables)


def other_features(model: LoadedModel) -> LoadedModel:
    """Swap two features of a candidate, as an altered feature function would."""
    extractor = Extractor(model.kind)
    first, second, *_ = extractor._features
    extractor._features[:2] = [
        (first[0], first[1], second[2]),
        (second[0], second[1], first[2]),
    ]
    return ran(replace(model, extractor=extractor), feature_code="sha256:ff")


def other_rules(model: LoadedModel) -> LoadedModel:
    policy = CompiledPolicy(
        model.kind.policy.model_copy(update={"rules": RULES}), model.kind.value_types()
    )
    return replace(other_bundle(model), policy=policy)


RULES = tuple(
    rule.model_copy(update={"id": "no-carrier", "when": ()})
    for rule in lateness_model().kind.policy.rules[:1]
)


def other_weights(model: LoadedModel) -> tuple[LoadedModel, SplitPolicy]:
    policy = weights().model_copy(update={"split_penalty_cents": 90_000})
    return replace(model, policy_ref=PolicyRef("split", "2", "sha256:22")), policy


DRILL: list[tuple[str, Factor, Plant]] = [
    ("model", Factor.MODEL, lambda m, p: (other_bundle(other_bit(m)), p)),
    ("calibration", Factor.CALIBRATION, lambda m, p: (other_tables(m), p)),
    ("feature code", Factor.FEATURE_CODE, lambda m, p: (other_features(m), p)),
    ("rules", Factor.POLICY, lambda m, p: (other_rules(m), p)),
    ("weights", Factor.POLICY, lambda m, _: other_weights(m)),
    ("library", Factor.LIBRARY, lambda m, p: (ran(other_bit(m), lightgbm="9", python="3.12"), p)),
    ("CPU", Factor.CPU, lambda m, p: (ran(other_bit(m), cpu="SSE", python="3.12"), p)),
]


@pytest.mark.parametrize(
    ("factor", "plant"), [one[1:] for one in DRILL], ids=[n for n, *_ in DRILL]
)
def test_a_factor_changed_alone_is_named_alone(factor: Factor, plant: Plant) -> None:
    """Whatever else of the runtime is another too, such as Python's own version."""
    result = replayed(plant, with_order=factor is not Factor.FEATURE_CODE)
    assert not result.match
    assert [cause.factor for cause in result.causes] == [factor]
    assert result.cause is not None
    assert f" ({factor}): " in result.cause.zh


def test_two_factors_are_both_named() -> None:
    result = replayed(lambda m, _: other_weights(ran(other_bit(m), lightgbm="9")))
    assert [cause.factor for cause in result.causes] == [Factor.LIBRARY, Factor.POLICY]


@pytest.mark.parametrize(("part", "factor"), [("scipy", Factor.LIBRARY), ("cpu", Factor.CPU)])
def test_another_plan_from_the_same_scores_is_the_solver_s(part: str, factor: Factor) -> None:
    """What another solver found is recorded, with its version; ours finds another plan."""
    verdict = decided().verdict
    [alternative, *_] = [one for one in verdict.alternatives if one.plan is not None]
    found = replace(decided(), verdict=replace(verdict, plan=alternative.plan))
    result = replayed(lambda m, p: (ran(m, **{part: "0"}), p), found)
    assert [(cause.factor, cause.part) for cause in result.causes] == [(factor, part)]
    assert replayed(lambda m, p: (m, p), found).causes == ()


def test_another_problem_from_the_same_order_is_the_reader_s() -> None:
    problem = decided().problem
    shifted = replace(problem, placed_at=problem.placed_at + timedelta(minutes=1))
    result = replayed(
        lambda m, p: (ran(m, feature_code="sha256:ff"), p), replace(decided(), problem=shifted)
    )
    assert result.causes[0].factor is Factor.FEATURE_CODE


def test_other_words_for_a_candidate_are_the_kind_s() -> None:
    kind = lateness_model().kind
    reasons = tuple(
        one.model_copy(update={"en": "other words", "zh": "别的话"}) for one in kind.reasons
    )
    catalogue = ReasonCatalogue(kind.model_copy(update={"reasons": reasons}))
    result = replayed(lambda m, p: (replace(other_bundle(m), catalogue=catalogue), p))
    assert [(one.factor, one.part) for one in result.causes] == [(Factor.MODEL, "bundle")]


def test_another_currency_is_the_policy_s() -> None:
    def plant(model: LoadedModel, policy: SplitPolicy) -> tuple[LoadedModel, SplitPolicy]:
        other = replace(model, policy_ref=PolicyRef("split", "2", "sha256:22"))
        return other, policy.model_copy(update={"currency": "EUR"})

    assert [cause.factor for cause in replayed(plant).causes] == [Factor.POLICY]


def test_after_a_time_out_costs_that_do_not_add_up_are_the_policy_s() -> None:
    late = replace(decided(), verdict=replace(decided().verdict, is_timed_out=True))
    assert replayed(lambda m, p: (m, p), late).match
    result = replayed(lambda m, _: other_weights(m), late)
    assert [cause.factor for cause in result.causes] == [Factor.POLICY]


def test_the_same_from_another_bundle_is_a_difference_without_a_cause() -> None:
    result = replayed(lambda m, p: (other_bundle(m), p))
    assert ([one.path for one in result.differences], result.causes) == (["/model/bundle"], ())
