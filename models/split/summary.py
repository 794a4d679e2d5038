"""What a split comes to: its level, and one sentence that says so."""

from collections.abc import Sequence

from models.domain import JsonScalar, Text
from models.finding import Finding, build_finding
from models.policy import Level
from models.split.conflict import Conflict
from models.split.plan import Plan
from models.split.policy import SplitPolicy
from models.split.solve import Solution, Status

_PLAN = Text(
    "由{warehouses}发货,{parcels}个包裹,运费{freight_cents}{currency},"
    "最高迟到概率{worst_late_probability}%",
    "ship from {warehouses}, parcels: {parcels}, freight {freight_cents} {currency}, "
    "largest P(late) {worst_late_probability} %",
)
_NO_PLAN_FOUND = Text(
    "在求解限制内未找到方案,需人工处理",
    "no plan was found within the solver's limits: a person has to decide",
)


def conclude(
    policy: SplitPolicy,
    solution: Solution,
    conflict: Conflict | None,
    doubts: Sequence[Text] = (),
) -> tuple[Level, Finding]:
    """Return the level of the outcome and its sentence.

    A plan is favourable, unless its largest P(late) reaches the policy's limit or something else
    speaks against it: then it is reviewed. No plan is adverse when none exists, and reviewed when
    none was found in time.

    Parameters
    ----------
    conflict
        Why there is no plan; None when there is one or none was found in time.
    doubts
        What a person has to look at: rules that ask for it, cut-offs missed in the queue.
    """
    if conflict is not None:
        return Level.ADVERSE, conflict.finding
    if solution.plan is None:
        return Level.REVIEW, build_finding("NO_PLAN_FOUND", _NO_PLAN_FOUND, {})
    facts = _facts(solution.plan, policy)
    is_late = solution.plan.late_probability >= policy.review_late_at
    if doubts:
        facts["why_zh"] = ";".join(doubt.zh for doubt in doubts)
        facts["why_en"] = "; ".join(doubt.en for doubt in doubts)
        sentence = Text(
            "需人工复核({why_zh}):" + _PLAN.zh, "to be reviewed ({why_en}): " + _PLAN.en
        )
        return Level.REVIEW, build_finding("LATE_LIKELY" if is_late else "DOUBTED", sentence, facts)
    if is_late:
        sentence = Text("需人工复核:" + _PLAN.zh, "to be reviewed: " + _PLAN.en)
        return Level.REVIEW, build_finding("LATE_LIKELY", sentence, facts)
    if solution.status is Status.PROVEN:
        return Level.FAVOURABLE, build_finding("PLAN", _PLAN, facts)
    sentence = Text(_PLAN.zh + "(未证明最优)", _PLAN.en + " (not proven best)")
    return Level.FAVOURABLE, build_finding("PLAN_UNPROVEN", sentence, facts)


def _facts(plan: Plan, policy: SplitPolicy) -> dict[str, JsonScalar]:
    return {
        "warehouses": ", ".join(plan.warehouses()),
        "parcels": len(plan.parcels),
        "freight_cents": plan.cost.freight_cents,
        "worst_late_probability": plan.late_probability,
        "currency": policy.currency,
    }
