"""The plans not taken: the best plan under each single relaxed constraint, and with fewer parcels.

When the order has a plan, a relaxation is told when its plan is another one that is cheaper. When
it has none, each constraint whose relaxation alone gives a plan is told.
"""

from dataclasses import dataclass

from models.domain import JsonScalar, Text
from models.finding import Finding, build_finding
from models.split.constraints import relaxable, title_of
from models.split.difference import Difference, compare, say_difference
from models.split.plan import Plan, Priced
from models.split.problem import Constraint, ConstraintName, rule_of
from models.split.program import Variation
from models.split.solve import Planner, Solution, Status


@dataclass(frozen=True, slots=True)
class Alternative:
    """A plan not taken, and what it would change.

    Parameters
    ----------
    relaxed
        The constraint or rule that it breaks; None when it breaks none (fewer parcels).
    status
        Whether it is proven the best of its sort.
    difference
        From the chosen plan; None when there is no chosen plan.
    """

    relaxed: ConstraintName | None
    status: Status
    plan: Plan
    difference: Difference | None
    finding: Finding


def find_alternatives(
    priced: Priced, chosen: Plan | None, planner: Planner
) -> tuple[Alternative, ...]:
    """Return the plans not taken.

    Parameters
    ----------
    chosen
        The order's plan, or None when it has none.
    """
    found = [] if chosen is None else _fewer_parcels(priced, chosen, planner)
    matters = _may_matter(priced)
    for constraint in relaxable(priced.pairs):
        if constraint in matters:
            variation = Variation(relaxed=frozenset({constraint}))
            found.extend(_relaxed(constraint, chosen, planner.solve(priced, variation)))
    return tuple(found)


def _fewer_parcels(priced: Priced, chosen: Plan, planner: Planner) -> list[Alternative]:
    if len(chosen.parcels) == 1:
        return []
    solution = planner.solve(priced, Variation(max_parcels=len(chosen.parcels) - 1))
    if solution.plan is None:
        return []
    fewer = len(chosen.parcels) - len(solution.plan.parcels)
    return [
        Alternative(
            relaxed=None,
            status=solution.status,
            plan=solution.plan,
            difference=compare(chosen, solution.plan),
            finding=say_difference(
                "FEWER_PARCELS",
                Text("少{fewer}个包裹:", _less(fewer)),
                {"fewer": fewer},
                chosen,
                solution.plan,
            ),
        )
    ]


def _relaxed(
    constraint: ConstraintName, chosen: Plan | None, solution: Solution
) -> list[Alternative]:
    plan, title = solution.plan, title_of(constraint)
    if plan is None:
        return []
    facts: dict[str, JsonScalar] = {"title_zh": title.zh, "title_en": title.en}
    if chosen is None:
        opening = Text(
            "若放宽{title_zh},则有可行方案", "with the {title_en} relaxed, there is a plan"
        )
        finding = build_finding("RELAXED_FEASIBLE", opening, facts)
        return [Alternative(constraint, solution.status, plan, None, finding)]
    difference = compare(chosen, plan)
    if difference.cost_cents >= 0:
        return []
    if rule_of(constraint) is None:
        code = "RELAXED"
        opening = Text("若放宽{title_zh}:", "with the {title_en} relaxed, the plan would ")
    else:
        # Cost and rule want different plans; the rule wins.
        code = "RULE_CONFLICT"
        opening = Text("若无{title_zh}:", "without the {title_en}, the plan would ")
    finding = say_difference(code, opening, facts, chosen, plan)
    return [Alternative(constraint, solution.status, plan, difference, finding)]


def _less(fewer: int) -> str:
    return "one parcel less would " if fewer == 1 else "{fewer} parcels less would "


def _may_matter(priced: Priced) -> frozenset[ConstraintName]:
    """Return the constraints whose relaxation alone can change anything."""
    houses = priced.problem.warehouses
    services = [service for house in houses for service in house.services]
    binding: set[ConstraintName] = {Constraint.STOCK}
    if any(h.capacity_parcels is not None or h.capacity_pieces is not None for h in houses):
        binding.add(Constraint.CAPACITY)
    if any(service.max_parcel_grams is not None for service in services):
        binding.add(Constraint.PARCEL_WEIGHT)
    if priced.max_parcels < len(services):
        binding.add(Constraint.MAX_PARCELS)
    # Of the others, relaxing one admits only the candidates that it alone excludes.
    for broken in priced.excluded.values():
        if len(broken) == 1:
            binding |= broken.keys()
    return frozenset(binding)
