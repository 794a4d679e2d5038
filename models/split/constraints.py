"""The law: which candidates may not be used, one pure predicate per hard constraint.

Hard constraints are not features: no probability, weight or penalty can buy one off. A predicate
looks at one candidate and returns what excludes it, with the values that it looked at, or None.
What binds candidates together (shared stock, capacity, parcels and their weight) is in `program`
and checked again in `verify`. `max_parcels` has no predicate: it never excludes a candidate alone.
A rule of the policy that excludes a candidate is a constraint of its own, ``rule:ID``.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from models.domain import JsonScalar, RuleHit, Text
from models.finding import Finding, build_finding, moment
from models.split.pairs import Pair
from models.split.problem import (
    RELAXABLE,
    Constraint,
    ConstraintName,
    Problem,
    rule_constraint,
    rule_of,
)

Relaxed: TypeAlias = frozenset[ConstraintName]
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


def exclusions(problem: Problem, pair: Pair) -> dict[ConstraintName, Finding]:
    """Return every hard constraint that excludes a candidate by itself; empty when none does."""
    found = {name: predicate(problem, pair) for name, predicate in PREDICATES.items()}
    rules = {rule_constraint(hit.id): _rule(hit) for hit in pair.rules}
    return {name: finding for name, finding in found.items() if finding is not None} | rules


def relaxable(pairs: Iterable[Pair]) -> tuple[ConstraintName, ...]:
    """Return what can be relaxed: every constraint but `OFFER`, and the rules that exclude."""
    rules = sorted({rule_constraint(hit.id) for pair in pairs for hit in pair.rules})
    return (*RELAXABLE, *rules)


def title_of(constraint: ConstraintName) -> Text:
    """Return what a constraint is called.

    Examples
    --------
    >>> title_of("rule:weather-closed").en, title_of("stock").zh
    ('rule weather-closed', '库存')
    """
    rule = rule_of(constraint)
    if rule is None:
        return TITLES[Constraint(constraint)]
    return Text(f"规则{rule}", f"rule {rule}")


def list_titles(constraints: Iterable[ConstraintName]) -> dict[str, JsonScalar]:
    """Return the titles as the facts ``constraints_zh`` and ``constraints_en`` of a sentence."""
    titles = [title_of(constraint) for constraint in constraints]
    return {
        "constraints_zh": "、".join(title.zh for title in titles),
        "constraints_en": ", ".join(title.en for title in titles),
    }


def _rule(hit: RuleHit) -> Finding:
    # The rule's own sentence, filled in when it fired.
    return Finding("RULE", {"rule": hit.id, "version": hit.version, **hit.facts}, hit.text)
