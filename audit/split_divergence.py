"""Why the replay of a split differs: see `audit.divergence`, with a split's own stages.

Problem, what the model sees of each candidate, its score, its calibration, the rules about it, and
the plan: each is done again from what the record holds of the one before it. The rules about one
candidate are the kind's own, pinned by the bundle; the weights are the policy's.
"""

from collections.abc import Iterator
from typing import Final

from audit.causes import Cause, Factor, of_runtime, others
from audit.divergence import of_calibration, of_score
from audit.order_divergence import of_reading
from audit.split_facts import RecordedSplit
from models.calibration import logistic
from models.conclude import Calibrated, conclude_from
from models.decide import LoadedModel, explain
from models.domain import Json, RuleHit
from models.split.decide import pair_snapshots, plan_scored
from models.split.pairs import PairKey, build_pairs
from models.split.policy import SplitPolicy
from models.split.record import check_plan
from models.split.rules import collect_rules
from models.split.verdict import PairScore
from models.surroundings import Surroundings

_SOLVING: Final = ("scipy", "numpy")


def find_split_causes(
    split: RecordedSplit,
    present: LoadedModel,
    policy: SplitPolicy,
    problem_json: Json,
) -> tuple[Cause, ...]:
    """Return every factor that by itself gives something else than the record says.

    Parameters
    ----------
    split
        What was decided.
    present, policy
        What decides now.
    problem_json
        The problem as it is read from the order now, where the order can still be opened;
        else as recorded.

    Raises
    ------
    SolverError, PlanInvalidError
        When planning again fails.
    """
    return tuple(dict.fromkeys(_causes(split, present, policy, problem_json)))


def _causes(
    split: RecordedSplit, present: LoadedModel, policy: SplitPolicy, problem_json: Json
) -> Iterator[Cause]:
    made, now = split.versions, present.runtime
    scores = split.verdict.scores
    digest = present.model_ref.bundle
    # 1. The order becomes another problem, or a candidate is seen otherwise.
    pairs = build_pairs(split.problem)
    seen = [score.snapshot for score in scores]
    is_read = problem_json == split.problem_json
    if not is_read or pair_snapshots(present, split.problem, pairs) != seen:
        yield from of_reading(made, now, digest)
    # 2. The recorded snapshots are scored otherwise.
    if scores and explain(present, seen) != [score.attributions for score in scores]:
        yield from of_score(made.model, made.runtime, present)
    # 3. The recorded margins are calibrated otherwise.
    if not all(_is_calibrated(present, score) for score in scores):
        yield from of_calibration(made.model, made.runtime, present)
    # 4. The recorded candidates are judged otherwise.
    for factor in _judged_otherwise(split, present):
        bundle = others(factor, "bundle", made.model.bundle, digest)
        yield from bundle or of_runtime(made.runtime, now, ("zen_engine",))
    # 5. The recorded scores and rules make another plan.
    if not _is_planned(split, present, policy):
        yield from (
            others(Factor.POLICY, "policy", made.policy.digest, present.policy_ref.digest)
            or others(Factor.MODEL, "bundle", made.model.bundle, digest)
            or of_runtime(made.runtime, now, _SOLVING, by_cpu=True)
        )


def _is_calibrated(present: LoadedModel, score: PairScore) -> bool:
    margin, tables = score.attributions.margin, present.calibration
    now = tables.probability(margin), tables.interval(margin)
    return now == (score.probability, tuple(score.interval))


def _judged_otherwise(split: RecordedSplit, present: LoadedModel) -> Iterator[Factor]:
    # The policy by other rules, the model by other reasons.
    around = Surroundings(placed_at=split.problem.placed_at)
    plan = split.verdict.plan
    used = {} if plan is None else plan.quantities()
    is_said = True
    hits: dict[PairKey, tuple[RuleHit, ...]] = {}
    for score in split.verdict.scores:
        calibrated = Calibrated(
            logistic(score.attributions.margin), score.probability, score.interval
        )
        judged = conclude_from(present, score.snapshot, score.attributions, around, calibrated)
        hits[score.key] = judged.rules
        said = judged.reasons, judged.counter_reasons
        is_said &= score.key not in used or said == (score.reasons, score.counter_reasons)
    if collect_rules(hits) != split.verdict.rules:
        yield Factor.POLICY
    if not is_said:
        yield Factor.MODEL


def _is_planned(split: RecordedSplit, present: LoadedModel, policy: SplitPolicy) -> bool:
    recorded = split.verdict
    if policy.currency != split.versions.currency:
        return False
    if recorded.is_timed_out:
        return not check_plan(policy, split.problem, recorded)
    again = plan_scored(present, policy, split.problem, recorded.scores, recorded.rules)
    return again == recorded
