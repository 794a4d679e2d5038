"""Checking a plan against the law, without the solver and without its matrices.

Every plan passes here before it is answered or recorded. It is written from the constraints' words
and shares no code with `program`, so that a fault of one is seen by the other.
"""

from models.split.constraints import PREDICATES, Relaxed
from models.split.errors import PlanInvalidError
from models.split.pairs import PairKey
from models.split.plan import Plan, Priced, Quantities, build_plan
from models.split.problem import Constraint, ConstraintName, Warehouse, rule_constraint


def violations(
    priced: Priced, quantities: Quantities, relaxed: Relaxed = frozenset()
) -> tuple[ConstraintName, ...]:
    """Return the hard constraints that the quantities break, each once, in their order.

    Parameters
    ----------
    quantities
        Pieces per candidate; whether they serve the order is checked by `verify_plan`.
    relaxed
        Constraints that are not looked at.
    """
    used = {key: pieces for key, pieces in quantities.items() if pieces > 0}
    chosen = [pair for pair in priced.pairs if pair.key in used]
    rules = sorted({rule_constraint(hit.id) for pair in chosen for hit in pair.rules})
    broken = {
        constraint
        for pair in chosen
        for constraint, predicate in PREDICATES.items()
        if predicate(priced.problem, pair) is not None
    }
    broken |= {
        constraint
        for warehouse in priced.problem.warehouses
        for constraint in _broken_in(priced, warehouse, used)
    }
    if len({key[1:] for key in used}) > priced.max_parcels:
        broken.add(Constraint.MAX_PARCELS)
    found = [*(constraint for constraint in Constraint if constraint in broken), *rules]
    return tuple(constraint for constraint in found if constraint not in relaxed)


def verify_plan(priced: Priced, plan: Plan) -> None:
    """Check that a plan serves the order, keeps every hard constraint and costs what it says.

    Raises
    ------
    PlanInvalidError
        Naming what does not hold.
    """
    quantities = plan.quantities()
    if not quantities.keys() <= {pair.key for pair in priced.pairs}:
        raise PlanInvalidError("the plan uses a candidate that the order does not offer")
    for line in priced.problem.lines:
        served = sum(pieces for key, pieces in quantities.items() if key[0] == line.line_id)
        if served != line.quantity:
            raise PlanInvalidError(
                f"line {line.line_id}: {served} pieces planned where {line.quantity} are wanted"
            )
    broken = violations(priced, quantities)
    if broken:
        raise PlanInvalidError(f"the plan breaks {', '.join(broken)}")
    if build_plan(priced, quantities) != plan:
        raise PlanInvalidError("the plan's costs and times are not those of its quantities")


def _broken_in(priced: Priced, warehouse: Warehouse, used: dict[PairKey, int]) -> set[Constraint]:
    here = {key: pieces for key, pieces in used.items() if key[1] == warehouse.warehouse_id}
    lines = {line.line_id: line for line in priced.problem.lines}
    broken = set()
    taken: dict[str, int] = {}
    weight: dict[str, int] = {}
    for (line_id, _, service_id), pieces in here.items():
        line = lines[line_id]
        taken[line.sku] = taken.get(line.sku, 0) + pieces
        weight[service_id] = weight.get(service_id, 0) + pieces * line.unit_grams
    if any(pieces > warehouse.stock_of(sku).pieces for sku, pieces in taken.items()):
        broken.add(Constraint.STOCK)
    for service in warehouse.services:
        limit = service.max_parcel_grams
        if limit is not None and weight.get(service.service_id, 0) > limit:
            broken.add(Constraint.PARCEL_WEIGHT)
    if _exceeds(len(weight), warehouse.capacity_parcels) or _exceeds(
        sum(here.values()), warehouse.capacity_pieces
    ):
        broken.add(Constraint.CAPACITY)
    return broken


def _exceeds(count: int, limit: int | None) -> bool:
    return limit is not None and count > limit
