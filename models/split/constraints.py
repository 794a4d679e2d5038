"""The law: which candidates may not be used, one pure predicate per hard constraint.

Hard constraints are not features: no probability, weight or penalty can buy one off. A predicate
looks at one candidate and returns what excludes it, with the values that it looked at, or None.
What binds candidates together (shared stock, capacity, parcels and their weight) is in `program`
and checked again in `verify`. `max_parcels` has no predicate: it never excludes a candidate alone.
"""

from collections.abc import Callable
from typing import TypeAlias

from models.domain import Text
from models.split.finding import Finding, build_finding, moment
from models.split.pairs import Pair
from models.split.problem import Constraint, Problem

Relaxed: TypeAlias = frozenset[Constraint]
_Predicate: TypeAlias = Callable[[Problem, Pair], Finding | None]

TITLES = {
    Constraint.PRODUCT_WAREHOUSE: Text("商品与仓库限制", "articles allowed in the warehouse"),
    Constraint.CUSTOMER_WAREHOUSE: Text("客户与仓库限制", "customers served by the warehouse"),
    Constraint.BONDED: Text("保税要求", "bonded status"),
    Constraint.COLD_CHAIN: Text("冷链要求", "cold chain"),
    Constraint.DANGEROUS_GOODS: Text("危险品要求", "dangerous goods"),
    Constraint.STOCK: Text("库存", "stock"),
    Constraint.CAPACITY: Text("仓库产能", "warehouse capacity"),
    Constraint.PARCEL_WEIGHT: Text("包裹限重", "parcel weight limit"),
    Constraint.CUT_OFF: Text("截单时间", "carrier cut-off"),
    Constraint.DELIVERY_WINDOW: Text("送达时间窗", "delivery window"),
    Constraint.MAX_PARCELS: Text("最多包裹数", "maximum number of parcels"),
    Constraint.OFFER: Text("承运服务", "carrier offers"),
}


def _product_warehouse(_: Problem, pair: Pair) -> Finding | None:
    sku, warehouse = pair.line.sku, pair.warehouse
    listed = warehouse.allowed_skus is None or sku in warehouse.allowed_skus
    if listed and sku not in warehouse.excluded_skus:
        return None
    return build_finding(
        Constraint.PRODUCT_WAREHOUSE.upper(),
        Text("该仓不允许发商品{sku}", "article {sku} may not leave from this warehouse"),
        {"sku": sku},
    )


def _customer_warehouse(_: Problem, pair: Pair) -> Finding | None:
    if pair.warehouse.serves_customer:
        return None
    return build_finding(
        Constraint.CUSTOMER_WAREHOUSE.upper(),
        Text("该仓不服务此客户", "this warehouse does not serve the customer"),
        {"serves_customer": False},
    )


def _bonded(_: Problem, pair: Pair) -> Finding | None:
    if pair.warehouse.is_bonded or not pair.line.bonded_required:
        return None
    return build_finding(
        Constraint.BONDED.upper(),
        Text("商品须从保税仓发出,该仓非保税", "the article must leave a bonded warehouse"),
        {"bonded_required": True, "is_bonded": False},
    )


def _cold_chain(_: Problem, pair: Pair) -> Finding | None:
    if pair.warehouse.has_cold_chain or not pair.line.cold_chain:
        return None
    return build_finding(
        Constraint.COLD_CHAIN.upper(),
        Text("商品需冷链,该仓无冷链", "the article needs a cold chain, which is not here"),
        {"cold_chain": True, "has_cold_chain": False},
    )


def _dangerous_goods(_: Problem, pair: Pair) -> Finding | None:
    if pair.warehouse.may_ship_dangerous or not pair.line.dangerous_goods:
        return None
    return build_finding(
        Constraint.DANGEROUS_GOODS.upper(),
        Text("该仓不可发危险品", "this warehouse may not ship dangerous goods"),
        {"dangerous_goods": True, "may_ship_dangerous": False},
    )


def _stock(_: Problem, pair: Pair) -> Finding | None:
    if pair.pieces >= 1:
        return None
    return build_finding(
        Constraint.STOCK.upper(),
        Text(
            "库存{pieces}件,需{quantity}件",
            "{pieces} in stock where {quantity} piece(s) are wanted",
        ),
        {"pieces": pair.warehouse.stock_of(pair.line.sku).pieces, "quantity": pair.line.quantity},
    )


def _capacity(_: Problem, pair: Pair) -> Finding | None:
    parcels, pieces = pair.warehouse.capacity_parcels, pair.warehouse.capacity_pieces
    if parcels == 0:
        sentence = Text(
            "该仓产能余{left}包裹", "the warehouse has capacity for {left} parcels left"
        )
    elif pieces == 0:
        sentence = Text("该仓产能余{left}件", "the warehouse has capacity for {left} pieces left")
    else:
        return None
    return build_finding(Constraint.CAPACITY.upper(), sentence, {"left": 0})


def _parcel_weight(_: Problem, pair: Pair) -> Finding | None:
    limit, grams = pair.service.max_parcel_grams, pair.line.unit_grams
    if limit is None or grams <= limit:
        return None
    return build_finding(
        Constraint.PARCEL_WEIGHT.upper(),
        Text(
            "单件重{unit_grams}克,包裹限重{max_grams}克",
            "one piece weighs {unit_grams} g and a parcel may weigh {max_grams} g",
        ),
        {"unit_grams": grams, "max_grams": limit},
    )


def _cut_off(problem: Problem, pair: Pair) -> Finding | None:
    ready_at = pair.warehouse.ready_at(problem.placed_at)
    if ready_at <= pair.service.cut_off_at:
        return None
    return build_finding(
        Constraint.CUT_OFF.upper(),
        Text(
            "最早{ready_at}备妥,已过截单时间{cut_off_at}",
            "ready at {ready_at}, after the cut-off at {cut_off_at}",
        ),
        {"ready_at": moment(ready_at), "cut_off_at": moment(pair.service.cut_off_at)},
    )


def _delivery_window(problem: Problem, pair: Pair) -> Finding | None:
    arrives_at = pair.service.arrives_at
    if problem.latest_at is not None and arrives_at > problem.latest_at:
        return build_finding(
            Constraint.DELIVERY_WINDOW.upper(),
            Text(
                "预计{arrives_at}送达,晚于时间窗{latest_at}",
                "arrives at {arrives_at}, after the delivery window ends at {latest_at}",
            ),
            {"arrives_at": moment(arrives_at), "latest_at": moment(problem.latest_at)},
        )
    if problem.earliest_at is not None and arrives_at < problem.earliest_at:
        return build_finding(
            Constraint.DELIVERY_WINDOW.upper(),
            Text(
                "预计{arrives_at}送达,早于时间窗{earliest_at}",
                "arrives at {arrives_at}, before the delivery window opens at {earliest_at}",
            ),
            {"arrives_at": moment(arrives_at), "earliest_at": moment(problem.earliest_at)},
        )
    return None


PREDICATES: dict[Constraint, _Predicate] = {
    Constraint.PRODUCT_WAREHOUSE: _product_warehouse,
    Constraint.CUSTOMER_WAREHOUSE: _customer_warehouse,
    Constraint.BONDED: _bonded,
    Constraint.COLD_CHAIN: _cold_chain,
    Constraint.DANGEROUS_GOODS: _dangerous_goods,
    Constraint.STOCK: _stock,
    Constraint.CAPACITY: _capacity,
    Constraint.PARCEL_WEIGHT: _parcel_weight,
    Constraint.CUT_OFF: _cut_off,
    Constraint.DELIVERY_WINDOW: _delivery_window,
}


def exclusions(problem: Problem, pair: Pair) -> tuple[Finding, ...]:
    """Return every hard constraint that excludes a candidate by itself; empty when none does."""
    found = (predicate(problem, pair) for predicate in PREDICATES.values())
    return tuple(finding for finding in found if finding is not None)


def is_admitted(problem: Problem, pair: Pair, relaxed: Relaxed = frozenset()) -> bool:
    """Tell whether no constraint but the `relaxed` ones excludes a candidate."""
    return all(
        predicate(problem, pair) is None
        for constraint, predicate in PREDICATES.items()
        if constraint not in relaxed
    )
