"""Why not there: every warehouse that does not ship, and every candidate that is not used.

A warehouse is excluded (each line's exclusions are named), blocked (no plan can include it beside
the constraints that bind candidates together), or dearer: the cheapest plan that ships something
from it is found, and compared. A candidate is excluded, blocked, or dearer by moving its line there
and pricing the plan again. A dearer one names the SHAP difference by reason group.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from models.domain import JsonScalar, Text
from models.finding import Finding, build_finding
from models.split.constraints import list_titles, relaxable
from models.split.difference import Difference, compare, say_difference
from models.split.pairs import Pair, PairKey
from models.split.plan import Plan, Priced, build_plan
from models.split.problem import Constraint, ConstraintName, Warehouse
from models.split.program import Variation
from models.split.solve import Planner, Status
from models.split.verify import violations

Groups = Mapping[str, float]
# Of one candidate among hundreds; a warehouse's answer has all.
_STRONGEST = 3


class Standing(StrEnum):
    """How a warehouse or candidate stands towards the plan."""

    CHOSEN = "chosen"
    EXCLUDED = "excluded"
    BLOCKED = "blocked"
    DEARER = "dearer"
    NOT_SEARCHED = "not_searched"


@dataclass(frozen=True, slots=True)
class GroupDifference:
    """A reason group's SHAP sum of a candidate minus that of the one used, log-odds of lateness."""

    group: str
    contribution: float


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a warehouse does not ship.

    Parameters
    ----------
    exclusions
        What excludes its candidates, each sentence once.
    blocked_by
        Constraints of which each, relaxed alone, would let it ship.
    plan, difference
        The cheapest plan that ships from it, and how it differs; None unless dearer.
    groups
        SHAP difference of the first line that it would ship, strongest first.
    """

    warehouse_id: str
    standing: Standing
    exclusions: tuple[Finding, ...]
    blocked_by: tuple[ConstraintName, ...]
    plan: Plan | None
    difference: Difference | None
    groups: tuple[GroupDifference, ...]
    finding: Finding


@dataclass(frozen=True, slots=True)
class CandidateStanding:
    """Why a candidate is used or not.

    Parameters
    ----------
    quantity
        Pieces that the plan takes.
    difference
        What moving the line there, as far as its stock goes, would change; None unless dearer.
    groups
        The strongest of the SHAP differences to the candidate that the line uses most, strongest
        first; all follow from the scores.
    """

    line_id: int
    warehouse_id: str
    service_id: str
    standing: Standing
    quantity: int
    late_probability: float
    exclusions: tuple[Finding, ...]
    blocked_by: tuple[ConstraintName, ...]
    difference: Difference | None
    groups: tuple[GroupDifference, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """What explaining needs beside the problem.

    Parameters
    ----------
    groups
        Candidate to SHAP sums by reason group, log-odds of lateness.
    titles
        Reason group to its title.
    """

    groups: Mapping[PairKey, Groups]
    titles: Mapping[str, Text]


def explain_warehouses(
    priced: Priced, chosen: Plan | None, explained: Explained, planner: Planner
) -> tuple[WhyNot, ...]:
    """Say for each warehouse that does not ship why it does not."""
    shipping = () if chosen is None else chosen.warehouses()
    return tuple(
        _warehouse(priced, chosen, explained, planner, warehouse)
        for warehouse in priced.problem.warehouses
        if warehouse.warehouse_id not in shipping
    )


def explain_candidates(
    priced: Priced, chosen: Plan | None, explained: Explained
) -> tuple[CandidateStanding, ...]:
    """Say for each candidate how it stands towards the plan."""
    return tuple(_candidate(priced, chosen, explained, pair) for pair in priced.pairs)


def _warehouse(
    priced: Priced,
    chosen: Plan | None,
    explained: Explained,
    planner: Planner,
    warehouse: Warehouse,
) -> WhyNot:
    name = warehouse.warehouse_id
    pairs = [pair for pair in priced.pairs if pair.key[1] == name]
    found = [tuple(priced.excluded[pair.key].values()) for pair in pairs]
    if all(found):
        finding = _excluded(name, found)
        return _why(name, Standing.EXCLUDED, _once(found), (), finding)
    if chosen is None:
        sentence = Text("{warehouse}可发部分商品,但订单无可行方案",
                        "{warehouse} could ship a part, but the order has no plan")  # fmt: skip
        finding = build_finding("NO_PLAN", sentence, {"warehouse": name})
        return _why(name, Standing.BLOCKED, _once(found), (), finding)
    solution = planner.solve(priced, Variation(forced_warehouse=name))
    if solution.plan is None and solution.status is not Status.INFEASIBLE:
        sentence = Text("{warehouse}:在求解限制内未找到方案",
                        "{warehouse}: no plan was found within the solver's limits")  # fmt: skip
        finding = build_finding("NOT_SEARCHED", sentence, {"warehouse": name})
        return _why(name, Standing.NOT_SEARCHED, _once(found), (), finding)
    if solution.plan is None:
        blocked_by = _blockers(priced, planner, name)
        finding = _blocked(name, blocked_by)
        return _why(name, Standing.BLOCKED, _once(found), blocked_by, finding)
    groups = _forced_groups(chosen, solution.plan, name, explained)
    return WhyNot(
        warehouse_id=name,
        standing=Standing.DEARER,
        exclusions=_once(found),
        blocked_by=(),
        plan=solution.plan,
        difference=compare(chosen, solution.plan),
        groups=groups,
        finding=_dearer(name, chosen, solution.plan, groups, explained),
    )


def _why(
    name: str,
    standing: Standing,
    found: tuple[Finding, ...],
    blocked_by: tuple[ConstraintName, ...],
    finding: Finding,
) -> WhyNot:
    return WhyNot(name, standing, found, blocked_by, None, None, (), finding)


def _once(found: list[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    unique = {finding.text.en: finding for findings in found for finding in findings}
    return tuple(unique.values())


def _excluded(name: str, found: list[tuple[Finding, ...]]) -> Finding:
    if not found:
        sentence = Text("{warehouse}没有承运服务", "{warehouse} offers no carrier service")
        return build_finding("OFFER", sentence, {"warehouse": name})
    # The first constraint of each candidate is enough to exclude it.
    firsts = {findings[0].text.en: findings[0] for findings in found}
    return build_finding(
        "EXCLUDED",
        Text("{warehouse}:{why_zh}", "{warehouse}: {why_en}"),
        {
            "warehouse": name,
            "why_zh": ";".join(finding.text.zh for finding in firsts.values()),
            "why_en": "; ".join(finding.text.en for finding in firsts.values()),
        },
    )


def _blockers(priced: Priced, planner: Planner, name: str) -> tuple[ConstraintName, ...]:
    def is_freed(constraint: ConstraintName) -> bool:
        # With one parcel more, a piece of any plan can move to a warehouse that is not excluded.
        if constraint == Constraint.MAX_PARCELS:
            return True
        variation = Variation(relaxed=frozenset({constraint}), forced_warehouse=name)
        return planner.solve(priced, variation).plan is not None

    return tuple(constraint for constraint in relaxable(priced.pairs) if is_freed(constraint))


def _blocked(name: str, blocked_by: tuple[ConstraintName, ...]) -> Finding:
    return build_finding(
        "BLOCKED",
        Text(
            "{warehouse}:加入该仓将违反{constraints_zh}",
            "{warehouse}: a plan that includes it would break one of: {constraints_en}",
        ),
        {"warehouse": name, **list_titles(blocked_by)},
    )


def _dearer(
    name: str,
    chosen: Plan,
    other: Plan,
    groups: tuple[GroupDifference, ...],
    explained: Explained,
) -> Finding:
    facts: dict[str, JsonScalar] = {"warehouse": name}
    zh, en = "经{warehouse}发货的最优方案:", "the best plan through {warehouse} would "
    if groups and groups[0].contribution:
        title = explained.titles[groups[0].group]
        facts |= {"group_zh": title.zh, "group_en": title.en}
        zh = "经{warehouse}发货的最优方案(时效差异主要因{group_zh}):"
        en = "the best plan through {warehouse} (its lateness differs most by {group_en}) would "
    return say_difference("DEARER", Text(zh, en), facts, chosen, other)


def _forced_groups(
    chosen: Plan, other: Plan, name: str, explained: Explained
) -> tuple[GroupDifference, ...]:
    own = next(s.key for s in other.shipments if s.warehouse_id == name)
    return _groups(_main_candidate(chosen, own[0]), own, explained)


def _main_candidate(plan: Plan, line_id: int) -> PairKey:
    own = [shipment for shipment in plan.shipments if shipment.line_id == line_id]
    return max(own, key=lambda shipment: shipment.quantity).key


def _groups(used: PairKey, other: PairKey, explained: Explained) -> tuple[GroupDifference, ...]:
    before, after = explained.groups[used], explained.groups[other]
    differences = [GroupDifference(name, after[name] - before[name]) for name in before]
    return tuple(sorted(differences, key=lambda difference: -abs(difference.contribution)))


def _candidate(
    priced: Priced, chosen: Plan | None, explained: Explained, pair: Pair
) -> CandidateStanding:
    found = tuple(priced.excluded[pair.key].values())
    quantity = 0 if chosen is None else chosen.quantities().get(pair.key, 0)
    blocked_by: tuple[ConstraintName, ...] = ()
    difference: Difference | None = None
    groups: tuple[GroupDifference, ...] = ()
    if quantity:
        standing = Standing.CHOSEN
    elif found:
        standing = Standing.EXCLUDED
    elif chosen is None:
        standing = Standing.BLOCKED
    else:
        moved = _moved(chosen, pair)
        blocked_by = violations(priced, moved)
        standing = Standing.BLOCKED if blocked_by else Standing.DEARER
        difference = None if blocked_by else compare(chosen, build_plan(priced, moved))
        every = _groups(_main_candidate(chosen, pair.line.line_id), pair.key, explained)
        groups = every[:_STRONGEST]
    return CandidateStanding(
        *pair.key,
        standing=standing,
        quantity=quantity,
        late_probability=priced.lateness[pair.key],
        exclusions=found,
        blocked_by=blocked_by,
        difference=difference,
        groups=groups,
    )


def _moved(chosen: Plan, pair: Pair) -> dict[PairKey, int]:
    quantities = chosen.quantities()
    left = pair.pieces
    quantities[pair.key] = left
    for shipment in chosen.shipments:
        if shipment.line_id == pair.line.line_id:
            taken = min(left, shipment.quantity)
            quantities[shipment.key] -= taken
            left -= taken
    return quantities
