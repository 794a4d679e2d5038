"""Why a replay differs: one factor at a time is held against the record.

A decision is made in stages, and the record holds what went into each and what came out. So each
stage is done again now with exactly what the record says went in, all others being as recorded.
A stage that gives what it gave then is no cause, whatever happened before it; one that does not
is. Which factor of the stage it is, digests and versions tell: the record pins them all. A factor
is named alone only when nothing else differs; a difference that no recorded factor can explain
(an altered record, a fault of the machine) is not explained away.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from audit.facts import RecordedDecision, snapshot_json, surroundings_json, verdict_json
from models.caps import CapKey
from models.case import Case
from models.conclude import describe_conflict, outcome_codes, outcome_labels
from models.decide import LoadedModel, encode
from models.domain import Attributions, CapStanding, Runtime, Side, Verdict
from models.policy import Level, PolicyInputs

UNEXPLAINED: Final = "unexplained"


class Factor(StrEnum):
    """What a decision depends on."""

    MODEL = "model"
    CALIBRATION = "calibration"
    FEATURE_CODE = "feature code"
    POLICY = "policy"
    REFERENCE = "reference version"
    LIBRARY = "library"
    CPU = "CPU"


@dataclass(frozen=True, slots=True)
class Cause:
    """A factor that gives something else than it gave then.

    Parameters
    ----------
    factor
        Which one.
    detail
        What was recorded and what replays, as far as versions or digests tell.
    """

    factor: Factor
    detail: str

    def __str__(self) -> str:
        """Return factor and detail in one line."""
        return f"{self.factor}: {self.detail}"


def find_causes(
    decision: RecordedDecision, present: LoadedModel, case: Case | None = None
) -> tuple[Cause, ...]:
    """Return every factor that by itself gives something else than the record says.

    Parameters
    ----------
    decision
        What was decided.
    present
        What decides now.
    case
        What is seen of the order now, where the order can still be opened; None leaves feature
        code and reference versions out.

    Returns
    -------
    tuple of Cause
        One cause explains the difference alone; several, together; none, not at all.
    """
    return tuple(_causes(decision, present, case))


def _causes(decision: RecordedDecision, present: LoadedModel, case: Case | None) -> Iterator[Cause]:
    # 1. The order is seen otherwise.
    if case is not None:
        yield from _of_features(decision, present, case)
        yield from _of_references(decision, present, case)
    # 2. The recorded snapshot is scored otherwise.
    if _score(present, decision) != decision.verdict.attributions:
        yield from _of_score(decision, present)
    # 3. The recorded margin is calibrated otherwise.
    verdict = decision.verdict
    margin = verdict.attributions.margin
    calibrated = (present.calibration.probability(margin), present.calibration.interval(margin))
    recorded, replays = decision.model.bundle, present.model_ref.bundle
    is_other = calibrated != (verdict.probability, tuple(verdict.interval))
    if is_other and recorded != replays:
        yield _other(Factor.CALIBRATION, "bundle", recorded, replays)
    # 4. The recorded snapshot and probability are judged otherwise.
    if verdict_json(_judge(decision, present)) != verdict_json(verdict):
        yield from _of_policy(decision, present)


def _of_features(decision: RecordedDecision, present: LoadedModel, case: Case) -> Iterator[Cause]:
    said = {name for lookup in present.kind.lookups for name in lookup.names()}
    then, now = (
        snapshot_json(replace(one, context={n: v for n, v in one.context.items() if n not in said}))
        for one in (decision.snapshot, case.snapshot)
    )
    if then == now:
        return
    recorded, replays = decision.runtime.feature_code, present.runtime.feature_code
    if recorded != replays:
        yield _other(Factor.FEATURE_CODE, "feature_code", recorded, replays)
    elif decision.model.bundle != present.model_ref.bundle:
        # The kind, which says what a feature is made of, is in the bundle.
        yield _other(Factor.MODEL, "bundle", decision.model.bundle, present.model_ref.bundle)


def _of_references(decision: RecordedDecision, present: LoadedModel, case: Case) -> Iterator[Cause]:
    names = {name for lookup in present.kind.lookups for name in lookup.names()}
    then = {name: decision.snapshot.context.get(name) for name in names}
    now = {name: case.snapshot.context.get(name) for name in names}
    stale = surroundings_json(replace(case.surroundings, references=())) == surroundings_json(
        replace(decision.surroundings, references=())
    )
    if then == now and stale:
        return
    recorded = {one.name: one.digest for one in decision.surroundings.references}
    replays = {one.name: one.digest for one in case.surroundings.references}
    others = [
        n for n in sorted(recorded.keys() | replays.keys()) if recorded.get(n) != replays.get(n)
    ]
    if not others and decision.runtime.rapidfuzz != present.runtime.rapidfuzz:
        yield _library("rapidfuzz", decision.runtime, present.runtime)
        return
    detail = "; ".join(
        f"{name}: {recorded.get(name)} was recorded, {replays.get(name)} replays" for name in others
    )
    yield Cause(Factor.REFERENCE, detail or "the tables say otherwise")


def _of_score(decision: RecordedDecision, present: LoadedModel) -> Iterator[Cause]:
    recorded, replays = decision.model.bundle, present.model_ref.bundle
    if recorded != replays:
        yield _other(Factor.MODEL, "bundle", recorded, replays)
        return
    # The same model and the same numbers in: what computes is another.
    then, now = decision.runtime, present.runtime
    for name in ("explainer", "lightgbm", "numpy"):
        if getattr(then, name) != getattr(now, name):
            yield _library(name, then, now)
            break
    if then.machine != now.machine:
        yield _other(Factor.CPU, "machine", then.machine, now.machine)


def _of_policy(decision: RecordedDecision, present: LoadedModel) -> Iterator[Cause]:
    recorded, replays = decision.policy.digest, present.policy_ref.digest
    if recorded == replays and decision.runtime.zen_engine != present.runtime.zen_engine:
        yield _library("zen_engine", decision.runtime, present.runtime)
    elif recorded != replays:
        yield _other(Factor.POLICY, "policy", recorded, replays)


def _score(present: LoadedModel, decision: RecordedDecision) -> Attributions:
    scores = present.scorer.score(encode(present, [decision.snapshot]), 1)
    names = present.extractor.feature_names
    return Attributions(
        base_value=float(scores.base_values[0]) + 0.0,
        margin=float(scores.margins[0]) + 0.0,
        link="logit",
        values={
            name: value + 0.0
            for name, value in zip(names, scores.contributions[0].tolist(), strict=True)
        },
    )


def _judge(decision: RecordedDecision, present: LoadedModel) -> Verdict:
    verdict, around = decision.verdict, decision.surroundings
    labels = outcome_labels(present, verdict.attributions.margin, around)
    result = present.policy.apply(
        PolicyInputs(
            probability=verdict.probability,
            interval=verdict.interval,
            values={**decision.snapshot.context, **decision.snapshot.features},
            outcome_set=labels,
            placed_at=around.placed_at,
            counts={CapKey(c.cap, c.day, c.tier): c.count for c in around.counts},
            stale=around.stale,
        )
    )
    codes = outcome_codes(present.kind)
    side = Side.FAVOURABLE if result.level is Level.FAVOURABLE else Side.ADVERSE
    values = verdict.attributions.values
    reasons, counter_reasons = present.catalogue.both_sides(decision.snapshot, values, side)
    return replace(
        verdict,
        outcome=codes[result.level],
        automated=result.level is not Level.REVIEW,
        rules=result.hits,
        reasons=reasons,
        counter_reasons=counter_reasons,
        thresholds=(result.review_at, result.adverse_at),
        conflict=describe_conflict(result, codes),
        caps=tuple(
            CapStanding(use.key.cap, use.key.day, use.key.tier, use.used, use.limit)
            for use in result.cap_uses
        ),
    )


def _library(name: str, then: Runtime, now: Runtime) -> Cause:
    return _other(Factor.LIBRARY, name, getattr(then, name), getattr(now, name))


def _other(factor: Factor, name: str, recorded: str, replays: str) -> Cause:
    return Cause(factor, f"{name}: {recorded} was recorded, {replays} replays")
