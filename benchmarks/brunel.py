"""Brunel supply-chain data: 9,215 real orders assigned to 19 plants, with and without capacities.

Run: ``python -m benchmarks.brunel``. The data is found below ``$CANDOR_DATA`` or ``../shared/data``
(folder ``brunel_scl``); it is published by Brunel University London (Kalganova and Dzalbs). How
each rule was read is written in docs/split.md.

(a) Capacities relaxed: every order goes through `models.split`, the same code that splits orders.
(b) Capacities kept: most orders served, then least cost, as one minimum-cost flow over all orders.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import openpyxl  # type: ignore[import-untyped] # it ships no types
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from models.split.decide import price
from models.split.pairs import build_pairs
from models.split.policy import SplitPolicy
from models.split.problem import Line, Problem, Service, Stock, Warehouse
from models.split.solve import Limits, Status, solve
from models.split.verify import verify_plan

_FILE = "Supply chain logisitcs problem.xlsx"
_DAY = datetime(2013, 5, 26, tzinfo=UTC)
_PROGRESS_EVERY = 500
_BOUND_TOLERANCE = 1e-3
# Door to door also serves an order that asked for door to port; the reverse would not.
_SERVED_BY = {"DTD": {"DTD"}, "DTP": {"DTD", "DTP"}}
_POLICY = SplitPolicy(
    name="brunel",
    version="1",
    currency="USD",
    late_penalty_cents=0,
    split_penalty_cents=0,
    max_parcels=1,
)


@dataclass(frozen=True, slots=True)
class Order:
    """A row of OrderList."""

    order_id: str
    customer: str
    product: str
    service: str
    plant: str
    units: int
    weight: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A row of FreightRates: for weights from `least` on, in dollars."""

    carrier: str
    port: str
    service: str
    least: float
    most: float
    minimum: float
    per_kg: float


@dataclass(frozen=True, slots=True)
class Network:
    """The other tables; `rates` by port."""

    rates: dict[str, tuple[Rate, ...]]
    unit_cost: dict[str, float]
    capacity: dict[str, int]
    products: dict[str, frozenset[str]]
    customers: dict[str, frozenset[str]]
    ports: dict[str, frozenset[str]]

    def is_allowed(self, order: Order, plant: str) -> bool:
        """Tell whether product and customer may be served from a plant."""
        only = self.customers.get(plant)
        return order.product in self.products.get(plant, frozenset()) and (
            only is None or order.customer in only
        )

    def freight(self, order: Order, plant: str) -> tuple[str, float] | None:
        """Return the cheapest carrier and its price; None when no rate takes the order."""
        if order.service == "CRF":
            return "customer", 0.0
        prices = [
            (max(rate.minimum, rate.per_kg * order.weight), rate.carrier)
            for port in self.ports[plant]
            for rate in self.rates.get(port, ())
            if rate.service in _SERVED_BY[order.service] and rate.least <= order.weight <= rate.most
        ]
        if not prices:
            return None
        cost, carrier = min(prices)
        return carrier, cost

    def cents(self, order: Order, plant: str) -> int | None:
        """Return what an order costs from a plant: freight and warehouse; None when it cannot."""
        freight = self.freight(order, plant) if self.is_allowed(order, plant) else None
        if freight is None:
            return None
        whole = Decimal(repr(freight[1])) + Decimal(repr(self.unit_cost[plant])) * order.units
        return int((whole * 100).to_integral_value(ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class Assignment:
    """Order to plant (None when not served), its cost, and how far from the best it may be."""

    plants: tuple[str | None, ...]
    cents: int
    gap_cents: int


def find_data() -> Path | None:
    """Return the workbook, or None when the data is not here."""
    roots = [os.environ.get("CANDOR_DATA", ""), str(Path(__file__).parents[2] / "shared" / "data")]
    places = [Path(root) / "brunel_scl" / _FILE for root in roots if root]
    return next((place for place in places if place.is_file()), None)


def read_data(path: Path) -> tuple[tuple[Order, ...], Network]:
    """Read the workbook."""
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)

    def rows(sheet: str, width: int) -> list[tuple[str, ...]]:
        found = book[sheet].iter_rows(min_row=2, max_col=width, values_only=True)
        return [tuple(str(cell).strip() for cell in row) for row in found if row[0] is not None]

    rates = tuple(_read_rates(rows("FreightRates", 8)))
    orders = tuple(
        Order(row[0], row[8], row[9], row[5], row[10], int(float(row[12])), float(row[13]))
        for row in rows("OrderList", 14)
    )
    network = Network(
        rates={
            port: tuple(rate for rate in rates if rate.port == port)
            for port in {rate.port for rate in rates}
        },
        unit_cost={row[0]: float(row[1]) for row in rows("WhCosts", 2)},
        capacity={row[0]: int(float(row[1])) for row in rows("WhCapacities", 2)},
        products=_sets(rows("ProductsPerPlant", 2)),
        customers=_sets(rows("VmiCustomers", 2)),
        ports=_sets(rows("PlantPorts", 2)),
    )
    return orders, network


def _read_rates(rows: Iterable[tuple[str, ...]]) -> Iterable[Rate]:
    for row in rows:
        # Bands are written to the cent (…-499.99, 500-…): a band reaches up to the next one.
        most = float(row[4]) + 0.01
        yield Rate(row[0], row[1], row[5], float(row[3]), most, float(row[6]), float(row[7]))


def _sets(rows: Iterable[tuple[str, ...]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for key, value in rows:
        found.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in found.items()}


def build_problem(order: Order, network: Network) -> Problem:
    """Write an order as a split problem: one lot; each plant with its rate as one service."""
    return Problem(
        placed_at=_DAY,
        channel=None,
        customer_tier=None,
        country=None,
        weather_severity=None,
        promised_at=None,
        earliest_at=None,
        latest_at=None,
        max_parcels=1,
        lines=(
            Line(1, order.product, 1, 0, cold_chain=False, dangerous_goods=False,
                 bonded_required=False),
        ),
        warehouses=tuple(_warehouse(order, network, plant) for plant in sorted(network.capacity)),
    )  # fmt: skip


def _warehouse(order: Order, network: Network, plant: str) -> Warehouse:
    only = network.customers.get(plant)
    freight = network.freight(order, plant)
    cents = network.cents(order, plant)
    services: tuple[Service, ...] = ()
    if freight is not None:
        services = (
            # A plant that may not ship has no price of its own: the constraints exclude it.
            Service(f"{freight[0]}/{order.service}", freight[0], _DAY, 0, cents or 0, 0, None, None,
                    None),
        )  # fmt: skip
    return Warehouse(
        warehouse_id=plant,
        country=None,
        is_bonded=False,
        has_cold_chain=False,
        may_ship_dangerous=False,
        serves_customer=only is None or order.customer in only,
        allowed_skus=tuple(sorted(network.products.get(plant, frozenset()) & {order.product})),
        excluded_skus=(),
        capacity_parcels=None,
        capacity_pieces=None,
        backlog_hours=None,
        handling_minutes=0,
        forklift_load=None,
        packing_load=None,
        cold_equipment_load=None,
        weather_severity=None,
        distance_km=None,
        stock=(Stock(order.product, 1, None, None),),
        services=services,
    )


def assign_each(orders: Sequence[Order], network: Network) -> Assignment:
    """Place every order by itself, through the split; capacities are relaxed."""
    limits = Limits(_POLICY.node_limit, _POLICY.time_limit_seconds)
    plants: list[str | None] = []
    cents = gap = 0
    for number, order in enumerate(orders, start=1):
        problem = build_problem(order, network)
        pairs = build_pairs(problem)
        priced = price(problem, pairs, {pair.key: 0.0 for pair in pairs}, _POLICY)
        solution = solve(priced, limits)
        if solution.plan is None:
            plants.append(None)
        else:
            verify_plan(priced, solution.plan)
            plants.append(solution.plan.warehouses()[0])
            cents += solution.plan.cost.total_cents
            gap += 0 if solution.status is Status.PROVEN else solution.gap_cents or 0
        if number % _PROGRESS_EVERY == 0:
            print(f"\r  {number:,} of {len(orders):,} orders", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return Assignment(tuple(plants), cents, gap)


def assign_within_capacity(orders: Sequence[Order], network: Network) -> tuple[Assignment, int]:
    """Serve most orders, then at least cost, within each plant's capacity.

    Returns
    -------
    Assignment
        With its gap to the solver's bound.
    int
        The largest number of orders that can be served, proven.
    """
    plants = sorted(network.capacity)
    choices = [
        (row, column, cents)
        for row, order in enumerate(orders)
        for column, plant in enumerate(plants)
        if (cents := network.cents(order, plant)) is not None
    ]
    count = len(choices)
    row_of, column_of, cents_of = (np.array(part) for part in zip(*choices, strict=True))
    once = csr_array((np.ones(count), (row_of, np.arange(count))), shape=(len(orders), count))
    load = csr_array((np.ones(count), (column_of, np.arange(count))), shape=(len(plants), count))
    limits = [
        LinearConstraint(once, -np.inf, np.ones(len(orders))),
        LinearConstraint(load, -np.inf, np.array([network.capacity[plant] for plant in plants])),
    ]
    # 1. Most orders.
    most, _ = _flow(-np.ones(count), limits)
    served = round(most.sum())
    # 2. Least cost among those that serve as many.
    limits.append(LinearConstraint(np.ones((1, count)), served, np.inf))
    taken, bound = _flow(cents_of.astype(np.float64), limits)
    assigned: list[str | None] = [None] * len(orders)
    for index in np.flatnonzero(taken):
        assigned[int(row_of[index])] = plants[int(column_of[index])]
    cents = int(cents_of[taken > 0].sum())
    gap = cents - min(int(np.ceil(bound - _BOUND_TOLERANCE)), cents)
    return Assignment(tuple(assigned), cents, gap), served


def _flow(
    costs: np.typing.NDArray[np.float64], limits: list[LinearConstraint]
) -> tuple[np.typing.NDArray[np.float64], float]:
    # Orders, plants and a number to serve make a flow: the linear program's corners are whole, so
    # its optimum is the integer program's, and its bound is exact.
    result = milp(costs, bounds=Bounds(0, 1), constraints=limits)
    if result.status != 0:
        raise SystemExit(f"HiGHS: {result.message}")
    whole = np.round(result.x)
    if np.abs(result.x - whole).max() > _BOUND_TOLERANCE:
        raise SystemExit("the flow is not whole: the network was read wrongly")
    return whole, float(result.fun)


def price_recorded(orders: Sequence[Order], network: Network) -> tuple[int, int]:
    """Return the recorded plan's cost in cents, priced the same way, and how many had no price."""
    prices = [network.cents(order, order.plant) for order in orders]
    return sum(cents or 0 for cents in prices), sum(cents is None for cents in prices)


def unserved_reasons(
    orders: Sequence[Order], network: Network, assignment: Assignment
) -> dict[str, str]:
    """Return for each order that is not served the sentence that says why."""
    load = Counter(plant for plant in assignment.plants if plant is not None)
    reasons = {}
    for order, plant in zip(orders, assignment.plants, strict=True):
        if plant is not None:
            continue
        fits = [p for p in sorted(network.capacity) if network.cents(order, p) is not None]
        full = [p for p in fits if load[p] >= network.capacity[p]]
        if not fits:
            reasons[order.order_id] = "no plant may ship it"
        elif fits == full:
            listed = ", ".join(
                f"{p} ({network.capacity[p]:,} of {network.capacity[p]:,})" for p in fits
            )
            reasons[order.order_id] = f"fits only {listed}: full"
        else:
            raise SystemExit(f"{order.order_id} is not served although {fits} has room")
    return reasons


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=None, help="only the first N orders of (a)")
    arguments = parser.parse_args()
    path = find_data()
    if path is None:
        raise SystemExit("no brunel_scl data below $CANDOR_DATA or ../shared/data")
    orders, network = read_data(path)
    some = orders[: arguments.orders]

    started = time.perf_counter()
    relaxed = assign_each(some, network)
    seconds = time.perf_counter() - started
    recorded, without_price = price_recorded(some, network)
    placed = sum(plant is not None for plant in relaxed.plants)
    print(f"(a) capacities relaxed: {placed:,} of {len(some):,} orders placed")
    print(
        f"    cost {relaxed.cents / 100:,.2f}, gap {relaxed.gap_cents / 100:,.2f}; {seconds:.0f} s"
    )
    print(f"    recorded plan, priced the same way: {recorded / 100:,.2f}", end="")
    print(f" ({without_price:,} orders without a price)")

    started = time.perf_counter()
    kept, bound = assign_within_capacity(orders, network)
    seconds = time.perf_counter() - started
    served = sum(plant is not None for plant in kept.plants)
    print(f"(b) capacities kept: {served:,} of {len(orders):,} orders served, bound {bound:,}")
    print(f"    cost {kept.cents / 100:,.2f}, gap {kept.gap_cents / 100:,.2f}; {seconds:.0f} s")
    reasons = unserved_reasons(orders, network, kept)
    for reason, count in Counter(reasons.values()).most_common():
        print(f"    not served, {count:,}: {reason}")


if __name__ == "__main__":
    main()
