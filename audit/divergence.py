"""Why a replay differs: one factor at a time is held against the record.

A decision is made in stages, and the record holds what went into each and what came out. So each
stage is done again now with exactly what the record says went in, all others being as recorded.
A stage that gives what it gave then is no cause, whatever happened before it; one that does not
is. Which factor of the stage it is, digests and versions tell: the record pins them all. Named are
all factors of the stage that are others, so one is named alone when nothing else of its stage is
another. What no recorded factor explains (a fault of the machine) is not explained away.
"""

from collections.abc import Iterator
from typing import Final

from audit.causes import Cause, Factor, of_runtime, others
from audit.facts import RecordedDecision, verdict_json
from audit.order_divergence import find_order_causes
from models.calibration import logistic
from models.case import Case
from models.conclude import Calibrated, conclude_from
from models.decide import LoadedModel, explain
from models.domain import ModelRef, Runtime

SCORING: Final = ("explainer", "lightgbm", "numpy")


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
    return tuple(dict.fromkeys(_causes(decision, present, case)))


def _causes(decision: RecordedDecision, present: LoadedModel, case: Case | None) -> Iterator[Cause]:
    verdict, margin = decision.verdict, decision.verdict.attributions.margin
    # 1. The order is seen otherwise.
    if case is not None:
        yield from find_order_causes(decision, present, present.model_ref.bundle, case)
    # 2. The recorded snapshot is scored otherwise.
    if explain(present, [decision.snapshot]) != [verdict.attributions]:
        yield from of_score(decision.model, decision.runtime, present)
    # 3. The recorded margin is calibrated otherwise.
    calibrated = (present.calibration.probability(margin), present.calibration.interval(margin))
    if calibrated != (verdict.probability, tuple(verdict.interval)):
        yield from of_calibration(decision.model, decision.runtime, present)
    if logistic(margin) != verdict.raw_probability:
        yield from of_runtime(decision.runtime, present.runtime)
    # 4. The recorded snapshot, attributions and probability are judged otherwise.
    yield from _of_judgement(decision, present)


def of_score(then: ModelRef, ran: Runtime, present: LoadedModel) -> tuple[Cause, ...]:
    """Return what gives other margins or attributions for the same snapshot."""
    model = others(Factor.MODEL, "bundle", then.bundle, present.model_ref.bundle)
    return model or of_runtime(ran, present.runtime, SCORING, by_cpu=True)


def of_calibration(then: ModelRef, ran: Runtime, present: LoadedModel) -> tuple[Cause, ...]:
    """Return what gives another probability for the same margin."""
    tables = others(Factor.CALIBRATION, "bundle", then.bundle, present.model_ref.bundle)
    return tables or of_runtime(ran, present.runtime)


def _of_judgement(decision: RecordedDecision, present: LoadedModel) -> tuple[Cause, ...]:
    verdict, then = decision.verdict, decision.model
    calibrated = Calibrated(verdict.raw_probability, verdict.probability, verdict.interval)
    judged = conclude_from(
        present, decision.snapshot, verdict.attributions, decision.surroundings, calibrated
    )
    if verdict_json(judged) == verdict_json(verdict):
        return ()
    policy = others(Factor.POLICY, "policy", decision.policy.digest, present.policy_ref.digest)
    if policy:
        return policy
    # What is left of the bundle: the conformal table behind the set of outcomes, and the kind's
    # own words.
    is_set = judged.outcome_set != verdict.outcome_set
    factor = Factor.CALIBRATION if is_set else Factor.MODEL
    bundle = others(factor, "bundle", then.bundle, present.model_ref.bundle)
    return bundle or of_runtime(decision.runtime, present.runtime, ("zen_engine",))
