"""No plan: a minimal set of lines and constraints that cannot be kept together.

Minimal means that every one of them is needed: serving one line less, or relaxing one constraint
less, leaves a plan. There may be other such sets; this one is found by dropping what is not needed
in a fixed order (a deletion filter), so it is always the same.

Notes
-----
Chinneck and Dravnieks (1991), deletion filter for an irreducible infeasible set.
"""

from dataclasses import dataclass

from models.domain import Text
from models.finding import Finding, build_finding
from models.split.constraints import list_titles, relaxable
from models.split.plan import Priced
from models.split.problem import Constraint, ConstraintName
from models.split.program import Variation
from models.split.solve import Planner, Status


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why there is no plan.

    Parameters
    ----------
    lines
        Numbers of the lines that cannot be served together.
    constraints
        The constraints that they cannot keep together.
    finding
        The sentence that says so.
    """

    lines: tuple[int, ...]
    constraints: tuple[ConstraintName, ...]
    finding: Finding


def find_conflict(priced: Priced, planner: Planner) -> Conflict:
    """Name a minimal conflict of a problem that has no plan."""
    # 1. Lines that are not needed for the conflict.
    lines = [line.line_id for line in priced.problem.lines]
    for line in tuple(lines):
        rest = frozenset(lines) - {line}
        if rest and _has_no_plan(priced, planner, Variation(lines=rest)):
            lines.remove(line)
    # 2. Constraints that are not needed for it.
    every = relaxable(priced.pairs)
    kept = list(every)
    for constraint in every:
        relaxed = frozenset(every) - frozenset(kept) | {constraint}
        if _has_no_plan(priced, planner, Variation(relaxed=relaxed, lines=frozenset(lines))):
            kept.remove(constraint)
    constraints = tuple(kept) or (Constraint.OFFER,)
    return Conflict(tuple(lines), constraints, _say(tuple(lines), constraints))


def _has_no_plan(priced: Priced, planner: Planner, variation: Variation) -> bool:
    return planner.solve(priced, variation).status is Status.INFEASIBLE


def _say(lines: tuple[int, ...], constraints: tuple[ConstraintName, ...]) -> Finding:
    return build_finding(
        "CONFLICT",
        Text(
            "订单行{lines}无法同时满足:{constraints_zh}",
            "order line(s) {lines} cannot be served under: {constraints_en}",
        ),
        {
            "lines": ", ".join(str(line) for line in lines),
            **list_titles(constraints),
        },
    )
