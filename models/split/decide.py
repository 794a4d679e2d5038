"""The main path of the split: an order, a model of lateness and a policy make a plan.

Numbered steps: read the order, score every candidate in one batch, take out what the policy's rules
exclude, price in whole cents, solve, check the plan without the solver, put its parcels in the
order of their release, tell the plans not taken. The same problem, model and policy give
the same answer, unless the time limit struck, which the answer says.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from models.decide import LoadedModel, decide_snapshots
from models.domain import PolicyRef, RuleHit, Snapshot, Text
from models.order import ParsedOrder
from models.policy import Level
from models.split.alternatives import find_alternatives
from models.split.conflict import find_conflict
from models.split.constraints import exclusions
from models.split.pairs import Pair, PairKey, build_pair_values, build_pairs
from models.split.plan import Plan, Priced
from models.split.policy import SplitPolicy
from models.split.problem import Problem
from models.split.rates import build_rates, order_weights
from models.split.releases import WarehouseReleases, missed_cut_offs, plan_outbound
from models.split.request import order_schema, read_problem
from models.split.rules import RuleUse, attach_rules, collect_rules, review_rules
from models.split.solve import Limits, Planner, Solution, Status
from models.split.summary import conclude
from models.split.verdict import PairScore, SplitDecision, SplitVerdict
from models.split.verify import verify_plan
from models.split.weights import build_terms, weigh
from models.split.why_not import (
    Explained,
    explain_candidates,
    explain_warehouses,
)
from models.surroundings import Surroundings

__all__ = [
    "SplitDecision",
    "SplitVerdict",
    "decide_problem",
    "decide_split",
    "pair_snapshots",
    "plan_scored",
    "price",
]

Clock = Callable[[], float]


def decide_split(
    model: LoadedModel, policy: SplitPolicy, policy_ref: PolicyRef, body: bytes, clock: Clock
) -> SplitDecision:
    """Split one order.

    Parameters
    ----------
    model
        The live model of lateness.
    policy, policy_ref
        The weights in force, and how a record names them.
    body
        The order as JSON text, as received.
    clock
        Seconds, rising; for the timings only.

    Raises
    ------
    MalformedJsonError, OrderInvalidError
        When the order is not what the kind asks for.
    ScorerError, InvariantError, SolverError, PlanInvalidError
        When model or optimiser fails or the answer does not add up; nothing may be answered then.
    """
    started = clock()
    order = order_schema(model.kind).parse(body)
    return split_order(model, policy, policy_ref, order, (clock, started))


def split_order(
    model: LoadedModel,
    policy: SplitPolicy,
    policy_ref: PolicyRef,
    order: ParsedOrder,
    timed: tuple[Clock, float],
) -> SplitDecision:
    """Split an order that was checked already; see `decide_split`.

    Parameters
    ----------
    order
        As `order_schema` reads it.
    timed
        The clock, and its reading when the order came.

    Raises
    ------
    OrderInvalidError, ScorerError, InvariantError, SolverError, PlanInvalidError
        See `decide_split`.
    """
    clock, started = timed
    problem = read_problem(order.values)
    ready = clock()
    verdict = decide_problem(model, policy, problem)
    timings = {"features": (ready - started) * 1e3, "split": (clock() - ready) * 1e3}
    return SplitDecision(
        kind=model.kind.name,
        problem=problem,
        verdict=verdict,
        model=model.model_ref,
        policy=policy_ref,
        runtime=model.runtime,
        unknown_fields=order.unknown_fields,
        timings_ms={name: round(value, 3) for name, value in timings.items()},
    )


def decide_problem(model: LoadedModel, policy: SplitPolicy, problem: Problem) -> SplitVerdict:
    """Split from a problem; what replay does.

    Raises
    ------
    ScorerError, InvariantError, SolverError, PlanInvalidError
        See `decide_split`.
    """
    # 1. Score every candidate in one batch.
    pairs = build_pairs(problem)
    scores, hits = _score(model, problem, pairs)
    return plan_scored(model, policy, problem, scores, collect_rules(hits))


def plan_scored(
    model: LoadedModel,
    policy: SplitPolicy,
    problem: Problem,
    scores: tuple[PairScore, ...],
    rules: tuple[RuleUse, ...],
) -> SplitVerdict:
    """Split from a problem whose candidates were scored.

    Parameters
    ----------
    scores
        What the model said of each candidate.
    rules
        The policy's rules that fired.

    Raises
    ------
    SolverError, PlanInvalidError
        See `decide_split`.
    """
    # 2. Take out what the policy's rules exclude, and price in whole cents.
    pairs = build_pairs(problem)
    lateness = {score.key: score.probability for score in scores}
    priced = price(problem, attach_rules(pairs, rules), lateness, policy)
    # 3. Solve, and check the plan without the solver.
    planner = Planner(Limits(policy.node_limit, policy.time_limit_seconds))
    solution = planner.solve(priced, break_ties=True)
    if solution.plan is not None:
        verify_plan(priced, solution.plan)
    # 4. Tell why, and the plans not taken.
    return _explain(model, policy, scores, _Search(priced, rules, solution, planner))


def price(
    problem: Problem, pairs: tuple[Pair, ...], lateness: dict[PairKey, float], policy: SplitPolicy
) -> Priced:
    """Put a problem, its candidates' lateness and the policy's weights together."""
    weights = order_weights(problem, policy)
    return Priced(
        problem=problem,
        pairs=pairs,
        excluded={pair.key: exclusions(problem, pair) for pair in pairs},
        lateness=lateness,
        rates=build_rates(problem, pairs, lateness, weights),
        weights=weights,
        max_parcels=policy.max_parcels if problem.max_parcels is None else problem.max_parcels,
    )


def pair_snapshots(model: LoadedModel, problem: Problem, pairs: tuple[Pair, ...]) -> list[Snapshot]:
    """Return what the model sees of each candidate."""
    return [model.extractor.snapshot(build_pair_values(problem, pair)) for pair in pairs]


def _score(
    model: LoadedModel, problem: Problem, pairs: tuple[Pair, ...]
) -> tuple[tuple[PairScore, ...], dict[PairKey, tuple[RuleHit, ...]]]:
    if not pairs:
        return (), {}
    snapshots = pair_snapshots(model, problem, pairs)
    around = Surroundings(placed_at=problem.placed_at)
    verdicts = decide_snapshots(model, snapshots, [around] * len(snapshots))
    hits = {pair.key: verdict.rules for pair, verdict in zip(pairs, verdicts, strict=True)}
    scores = tuple(
        PairScore(
            *pair.key,
            snapshot=snapshot,
            attributions=verdict.attributions,
            probability=verdict.probability,
            interval=verdict.interval,
            reasons=verdict.reasons,
            counter_reasons=verdict.counter_reasons,
        )
        for pair, snapshot, verdict in zip(pairs, snapshots, verdicts, strict=True)
    )
    return scores, hits


@dataclass(frozen=True, slots=True)
class _Search:
    priced: Priced
    rules: tuple[RuleUse, ...]
    solution: Solution
    planner: Planner


def _explain(
    model: LoadedModel, policy: SplitPolicy, scores: tuple[PairScore, ...], search: _Search
) -> SplitVerdict:
    priced, solution, planner = search.priced, search.solution, search.planner
    plan = solution.plan
    explained = Explained(
        groups={
            score.key: model.catalogue.group_contributions(score.attributions.values)
            for score in scores
        },
        titles={group.name: Text(group.title.zh, group.title.en) for group in model.kind.groups},
    )
    # A search that ran out of time once would do so again for every plan not taken.
    may_search = not planner.is_timed_out
    alternatives = find_alternatives(priced, plan, planner) if may_search else ()
    weights = weigh(priced, plan, planner) if may_search and plan is not None else ()
    why_not = explain_warehouses(priced, plan, explained, planner) if may_search else ()
    conflict = find_conflict(priced, planner) if solution.status is Status.INFEASIBLE else None
    releases = () if plan is None else plan_outbound(priced.problem, plan)
    doubts = () if plan is None else _doubts(plan, search.rules, releases)
    level, summary = conclude(policy, solution, conflict, doubts)
    return SplitVerdict(
        outcome=_outcome(model, level),
        automated=level is not Level.REVIEW,
        confidence=_confidence(solution),
        status=solution.status,
        gap_cents=solution.gap_cents,
        is_timed_out=planner.is_timed_out,
        plan=plan,
        terms=() if plan is None else build_terms(plan.cost),
        weights=weights,
        scores=_shortened(scores, plan),
        rules=search.rules,
        releases=releases,
        candidates=explain_candidates(priced, plan, explained),
        why_not=why_not,
        alternatives=alternatives,
        conflict=conflict,
        summary=summary,
    )


def _doubts(
    plan: Plan, rules: tuple[RuleUse, ...], releases: tuple[WarehouseReleases, ...]
) -> tuple[Text, ...]:
    asked = [hit.text for hit in review_rules(plan, rules)]
    missed = [finding.text for finding in missed_cut_offs(releases)]
    return tuple(dict.fromkeys([*asked, *missed]))


def _confidence(solution: Solution) -> float:
    if solution.plan is not None:
        return 1.0 - solution.plan.late_probability
    return 1.0 if solution.status is Status.INFEASIBLE else 0.0


def _shortened(scores: tuple[PairScore, ...], plan: Plan | None) -> tuple[PairScore, ...]:
    # Sentences for hundreds of candidates that are not used would make a record of a megabyte;
    # snapshot and attributions of all are kept.
    used = {} if plan is None else plan.quantities()
    return tuple(
        score if score.key in used else replace(score, reasons=(), counter_reasons=())
        for score in scores
    )


def _outcome(model: LoadedModel, level: Level) -> str:
    outcomes = model.kind.outcomes
    return (outcomes.favourable.code, outcomes.review.code, outcomes.adverse.code)[level]
