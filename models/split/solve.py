"""Running the integer program: HiGHS through SciPy, with limits and an honest status.

Costs are whole cents, so a plan is proven when no whole number of cents fits between it and the
solver's bound. The node limit is deterministic; the time limit is the last resort, and a plan found
before it struck is replayed by checking it, not by finding it again. Ties are broken by a second
pass at the same cost: fewest parcels, then earliest arrival, then by name.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from models.split.errors import SolverError
from models.split.plan import Plan, Priced, build_plan
from models.split.program import Program, Variation, build_program

_OPTIMAL, _INFEASIBLE = 0, 2
# Whole-number costs: a bound this close below a whole cent is that cent.
_BOUND_TOLERANCE = 1e-3


class Status(StrEnum):
    """What is known of an answer.

    `PROVEN`: no cheaper plan exists. `INFEASIBLE`: no plan exists. `NODE_LIMIT` and `TIME_LIMIT`:
    the search ended; the plan, if there is one, keeps every constraint and may not be the cheapest.
    `TOLERANCE`: the solver stopped within its own tolerance, but a whole cent still fits between.
    """

    PROVEN = "proven"
    INFEASIBLE = "infeasible"
    NODE_LIMIT = "node_limit"
    TIME_LIMIT = "time_limit"
    TOLERANCE = "tolerance"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one solve may look: branch-and-bound nodes, and seconds."""

    nodes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Solution:
    """The answer of one solve.

    Parameters
    ----------
    plan
        None when there is none, or none was found within the limits.
    bound_cents
        No plan is cheaper; None when nothing is known.
    gap_cents
        Cost above the bound; 0 when proven.
    """

    status: Status
    plan: Plan | None
    bound_cents: int | None
    gap_cents: int | None


@dataclass(frozen=True, slots=True)
class _Run:
    status: Status
    values: list[int] | None
    bound: float | None


class Planner:
    """Solves variations of problems under the same limits, and remembers whether the clock struck.

    Parameters
    ----------
    limits
        Of each solve.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.is_timed_out = False

    def solve(
        self, priced: Priced, variation: Variation | None = None, *, break_ties: bool = False
    ) -> Solution:
        """Find the cheapest plan; see `solve`. Once the clock struck, no other search begins."""
        if self.is_timed_out:
            return Solution(Status.TIME_LIMIT, None, None, None)
        solution = solve(priced, self._limits, variation, break_ties=break_ties)
        self.is_timed_out = self.is_timed_out or solution.status is Status.TIME_LIMIT
        return solution


def solve(
    priced: Priced, limits: Limits, variation: Variation | None = None, *, break_ties: bool = False
) -> Solution:
    """Find the cheapest plan.

    Parameters
    ----------
    break_ties
        Also choose among plans of the same cost, by a second pass.

    Raises
    ------
    SolverError
        When the optimiser fails for another reason than its limits.
    """
    program = build_program(priced, variation or Variation())
    if not program.pairs:
        return Solution(Status.INFEASIBLE, None, None, None)
    # 1. The cheapest cost.
    first = _run(program, program.costs, limits)
    if first.values is None:
        return Solution(first.status, None, None, None)
    plan = _plan(priced, program, first.values)
    bound = _whole_bound(first.bound, priced.weights.split_penalty_cents, plan.cost.total_cents)
    gap = None if bound is None else plan.cost.total_cents - bound
    status = _known(first.status, gap)
    # 2. Among the cheapest, the one that is preferred.
    if break_ties and status is Status.PROVEN:
        plan = _preferred(priced, program, plan, limits)
    return Solution(status, plan, bound, gap)


def _known(status: Status, gap: int | None) -> Status:
    if gap == 0:
        return Status.PROVEN
    return Status.TOLERANCE if status is Status.PROVEN else status


def _preferred(priced: Priced, program: Program, plan: Plan, limits: Limits) -> Plan:
    total = plan.cost.total_cents + priced.weights.split_penalty_cents
    columns = {column: float(cost) for column, cost in enumerate(program.costs) if cost}
    program.add_row(columns, -math.inf, total)
    second = _run(program, program.tie_break(), limits)
    if second.values is None or second.status is Status.TIME_LIMIT:
        return plan
    preferred = _plan(priced, program, second.values)
    return preferred if preferred.cost.total_cents == plan.cost.total_cents else plan


def _plan(priced: Priced, program: Program, values: list[int]) -> Plan:
    return build_plan(
        priced, {pair.key: values[program.pieces(i)] for i, pair in enumerate(program.pairs)}
    )


def _whole_bound(bound: float | None, split_cents: int, cost: int) -> int | None:
    if bound is None or not math.isfinite(bound):
        return None
    return min(math.ceil(bound - split_cents - _BOUND_TOLERANCE), cost)


def _run(program: Program, costs: list[int], limits: Limits) -> _Run:
    rows, columns, values = zip(*program.entries, strict=True)
    matrix = csr_array(
        (np.array(values, dtype=np.float64), (rows, columns)),
        shape=(len(program.low), len(costs)),
    )
    result = milp(
        np.array(costs, dtype=np.float64),
        integrality=np.ones(len(costs)),
        bounds=Bounds(0, np.array(program.upper, dtype=np.float64)),
        constraints=LinearConstraint(matrix, np.array(program.low), np.array(program.high)),
        options={
            "node_limit": limits.nodes,
            "time_limit": limits.seconds,
            "mip_rel_gap": 0.0,
            "presolve": True,
        },
    )
    if result.status == _INFEASIBLE:
        return _Run(Status.INFEASIBLE, None, None)
    status = Status.PROVEN if result.status == _OPTIMAL else _limit_reached(str(result.message))
    whole = None if result.x is None else [round(value) for value in result.x.tolist()]
    return _Run(status, whole, result.mip_dual_bound)


def _limit_reached(message: str) -> Status:
    # SciPy has no status of its own for HiGHS' node limit, which HiGHS calls a solution limit.
    for words, status in _LIMITS_REACHED.items():
        if words in message:
            return status
    raise SolverError(f"HiGHS: {message}")


_LIMITS_REACHED = {
    "Time limit reached": Status.TIME_LIMIT,
    "Solution limit reached": Status.NODE_LIMIT,
}
