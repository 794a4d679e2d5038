"""Problems to split: one small by hand, many at random, an oracle, and a model of lateness."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from math import ceil
from random import Random

import lightgbm
import numpy as np

from models.bundle import Bundle, Explainer, build_bundle
from models.calibration import Calibration
from models.decide import LoadedModel, load_model
from models.domain import Effect, ModelRef, PolicyRef, RuleHit, Text
from models.features import feature_code
from models.scorer import EXPLAINER_ID
from models.split.decide import SplitDecision, decide_split, price
from models.split.pairs import PairKey, build_pairs
from models.split.plan import Priced, build_plan
from models.split.policy import SplitPolicy
from models.split.problem import Line, Problem, Service, Stock, Warehouse
from models.split.request import split_kind
from models.split.rules import attach_rules, collect_rules
from models.split.solve import Limits, Planner

PLACED = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
LIMITS = Limits(nodes=20_000, seconds=60.0)
POLICY_REF = PolicyRef("split", "1", "sha256:22")


def policy(**changes: object) -> SplitPolicy:
    known: dict[str, object] = {
        "name": "split",
        "version": "1",
        "currency": "CNY",
        "late_penalty_cents": 1000,
        "split_penalty_cents": 300,
        "tier_percent": {"vip": 300},
        "channel_percent": {"tmall": 120},
        "turnover_cents_per_100_days": 100,
        "turnover_days_cap": 180,
        "time_limit_seconds": 60.0,
    }
    return SplitPolicy.model_validate({**known, **changes})


def line(line_id: int = 1, sku: str = "A", quantity: int = 2, grams: int = 500) -> Line:
    return Line(
        line_id,
        sku,
        quantity,
        grams,
        cold_chain=False,
        dangerous_goods=False,
        bonded_required=False,
    )


def stock(sku: str = "A", pieces: int = 10) -> Stock:
    return Stock(sku, pieces, 20.0, 30)


def service(
    service_id: str = "s1",
    cut_off_hours: float = 8,
    transit_hours: float = 24,
    base_cents: int = 1000,
) -> Service:
    return Service(
        service_id=service_id,
        carrier="sf",
        cut_off_at=PLACED + timedelta(hours=cut_off_hours),
        transit_minutes=round(transit_hours * 60),
        base_cents=base_cents,
        cents_per_kg=200,
        max_parcel_grams=None,
        carrier_load=0.5,
        past_late_rate=0.05,
    )


def warehouse(
    name: str = "W1",
    stocks: tuple[Stock, ...] = (stock(),),
    services: tuple[Service, ...] = (service(),),
) -> Warehouse:
    return Warehouse(
        warehouse_id=name,
        country="CN",
        is_bonded=False,
        has_cold_chain=True,
        may_ship_dangerous=True,
        serves_customer=True,
        allowed_skus=None,
        excluded_skus=(),
        capacity_parcels=None,
        capacity_pieces=None,
        backlog_hours=2.0,
        handling_minutes=30,
        forklift_load=0.5,
        packing_load=0.5,
        cold_equipment_load=0.5,
        weather_severity=0.5,
        distance_km=300.0,
        stock=stocks,
        services=services,
    )


def problem(
    lines: tuple[Line, ...] = (line(),), warehouses: tuple[Warehouse, ...] = (warehouse(),)
) -> Problem:
    return Problem(
        placed_at=PLACED,
        channel="tmall",
        customer_tier="standard",
        country="CN",
        weather_severity=0.3,
        promised_at=PLACED + timedelta(hours=40),
        earliest_at=None,
        latest_at=None,
        max_parcels=None,
        lines=lines,
        warehouses=warehouses,
    )


def priced(
    task: Problem, lateness: dict[PairKey, float] | None = None, **changes: object
) -> Priced:
    pairs = build_pairs(task)
    known = {pair.key: 0.1 for pair in pairs} | (lateness or {})
    return price(task, pairs, known, policy(**changes))


def planner() -> Planner:
    return Planner(LIMITS)


def near_and_far() -> Problem:
    """Two lines, each near at hand in another warehouse; a far one has both, a closed one too."""
    east = warehouse("EAST", (stock("A"),), (service("s1", 8, 20, 500),))
    west = warehouse("WEST", (stock("B"),), (service("s1", 8, 20, 500),))
    far = warehouse("FAR", (stock("A"), stock("B")), (service("s1", 8, 29, 2540),))
    closed = replace(
        warehouse("CLOSED", (stock("A"), stock("B")), (service("s1", 8, 20, 100),)),
        serves_customer=False,
    )
    return problem((line(1, "A"), line(2, "B")), (far, west, closed, east))


def certain(task: Problem) -> dict[PairKey, float]:
    """Nothing is late."""
    return {pair.key: 0.0 for pair in build_pairs(task)}


def random_priced(seed: int, *, small: bool = False) -> Priced:
    """Make a random order with every constraint at work; some have no plan."""
    random = Random(seed)  # noqa: S311 - test data, not secrets
    n_lines = random.randint(1, 2 if small else 4)
    skus = ("A", "B", "C")
    lines = tuple(
        Line(
            number,
            random.choice(skus),
            random.randint(1, 3 if small else 6),
            random.choice((0, 300, 1500, 4000)),
            cold_chain=random.random() < 0.1,
            dangerous_goods=random.random() < 0.05,
            bonded_required=random.random() < 0.05,
        )
        for number in range(1, n_lines + 1)
    )
    count = random.randint(2, 2 if small else 4)
    warehouses = tuple(_random_warehouse(random, f"W{i}", skus, small=small) for i in range(count))
    late = PLACED + timedelta(minutes=random.randint(1500, 4000))
    task = Problem(
        placed_at=PLACED,
        channel=random.choice(("tmall", None)),
        customer_tier=random.choice(("vip", "standard")),
        country="CN",
        weather_severity=None,
        promised_at=late,
        earliest_at=PLACED + timedelta(minutes=700) if random.random() < 0.1 else None,
        latest_at=late if random.random() < 0.2 else None,
        max_parcels=random.choice((None, None, 1, 2, 3) if small else (None, None, 2, 3)),
        lines=lines,
        warehouses=warehouses,
    )
    pairs = build_pairs(task)
    lateness = {pair.key: random.randint(0, 100) / 100 for pair in pairs}
    return price(task, pairs, lateness, policy())


def random_ruled(seed: int) -> Priced:
    """Make a random order with rules that exclude some of its candidates."""
    free = random_priced(seed)
    said = Text("规则不许", "a rule forbids it")
    hits = {
        pair.key: (RuleHit(f"rule-{place % 2}", "1", Effect.EXCLUDE, {"place": place}, said),)
        for place, pair in enumerate(free.pairs)
        if (place + seed) % 3 == 0
    }
    pairs = attach_rules(free.pairs, collect_rules(hits))
    return price(free.problem, pairs, free.lateness, policy())


def _random_warehouse(
    random: Random, name: str, skus: tuple[str, ...], *, small: bool
) -> Warehouse:
    services = tuple(
        Service(
            service_id=f"s{i}",
            carrier=random.choice(("sf", "yto")),
            cut_off_at=PLACED + timedelta(minutes=random.randint(150, 900)),
            transit_minutes=random.randint(300, 3000),
            base_cents=random.randint(0, 20) * 100,
            cents_per_kg=random.randint(0, 300),
            max_parcel_grams=random.choice((None, None, None, 5000, 20000)),
            carrier_load=random.random(),
            past_late_rate=random.random() / 5,
        )
        for i in range(random.randint(1, 2))
    )
    return Warehouse(
        warehouse_id=name,
        country="CN",
        is_bonded=random.random() < 0.5,
        has_cold_chain=random.random() < 0.6,
        may_ship_dangerous=random.random() < 0.6,
        serves_customer=random.random() < 0.95,
        allowed_skus=random.choice((None, None, None, ("A", "B"))),
        excluded_skus=random.choice(((), (), ("C",))),
        capacity_parcels=random.choice((None, None, None, 0, 1, 2)),
        capacity_pieces=random.choice((None, None, None, 0, 2, 6, 9)),
        backlog_hours=random.randint(0, 4) / 2,
        handling_minutes=random.randint(0, 90),
        forklift_load=None,
        packing_load=None,
        cold_equipment_load=None,
        weather_severity=None,
        distance_km=float(random.randint(1, 900)),
        stock=tuple(
            Stock(
                sku,
                random.randint(1, 12) * (1 if small else 3),
                None,
                random.choice((None, 5, 60, 400)),
            )
            for sku in skus
            if random.random() < 0.85
        ),
        services=services,
    )


def keeps_the_law(task: Priced, quantities: dict[PairKey, int]) -> bool:
    """Tell whether quantities serve the order and break nothing; written from the words alone."""
    order = task.problem
    houses = {house.warehouse_id: house for house in order.warehouses}
    lines = {item.line_id: item for item in order.lines}
    used = {key: pieces for key, pieces in quantities.items() if pieces}
    parcels = {key[1:] for key in used}
    if len(parcels) > task.max_parcels:
        return False
    for item in order.lines:
        if sum(p for key, p in used.items() if key[0] == item.line_id) != item.quantity:
            return False
    for number, name, offer in used:
        item, house = lines[number], houses[name]
        carrier = next(s for s in house.services if s.service_id == offer)
        arrives = carrier.cut_off_at + timedelta(minutes=carrier.transit_minutes)
        waits = ceil((house.backlog_hours or 0) * 60) + house.handling_minutes
        ready = order.placed_at + timedelta(minutes=waits)
        fine = (
            house.serves_customer
            and (house.allowed_skus is None or item.sku in house.allowed_skus)
            and item.sku not in house.excluded_skus
            and (house.is_bonded or not item.bonded_required)
            and (house.has_cold_chain or not item.cold_chain)
            and (house.may_ship_dangerous or not item.dangerous_goods)
            and ready <= carrier.cut_off_at
            and (order.latest_at is None or arrives <= order.latest_at)
            and (order.earliest_at is None or arrives >= order.earliest_at)
        )
        if not fine:
            return False
    return all(_warehouse_holds(house, lines, used) for house in order.warehouses)


def _warehouse_holds(house: Warehouse, lines: dict[int, Line], used: dict[PairKey, int]) -> bool:
    here = {key: pieces for key, pieces in used.items() if key[1] == house.warehouse_id}
    parcels = {key[2] for key in here}
    if house.capacity_parcels is not None and len(parcels) > house.capacity_parcels:
        return False
    if house.capacity_pieces is not None and sum(here.values()) > house.capacity_pieces:
        return False
    on_hand = {item.sku: item.pieces for item in house.stock}
    for sku in {lines[key[0]].sku for key in here}:
        taken = sum(pieces for key, pieces in here.items() if lines[key[0]].sku == sku)
        if taken > on_hand.get(sku, 0):
            return False
    for offer in house.services:
        grams = sum(
            pieces * lines[key[0]].unit_grams
            for key, pieces in here.items()
            if key[2] == offer.service_id
        )
        if offer.max_parcel_grams is not None and grams > offer.max_parcel_grams:
            return False
    return True


def cheapest(task: Priced) -> int | None:
    """Return the least cost by trying every plan; None when there is none."""
    best: int | None = None
    for choice in product(*(list(_ways(task, item)) for item in task.problem.lines)):
        quantities = {key: pieces for part in choice for key, pieces in part.items()}
        if keeps_the_law(task, quantities):
            cost = build_plan(task, quantities).cost.total_cents
            best = cost if best is None else min(best, cost)
    return best


def _ways(task: Priced, item: Line) -> Iterator[dict[PairKey, int]]:
    keys = [pair.key for pair in task.pairs if pair.line is item]
    for counts in product(range(item.quantity + 1), repeat=len(keys)):
        if sum(counts) == item.quantity:
            yield dict(zip(keys, counts, strict=True))


@cache
def lateness_bundle() -> Bundle:
    """Train on noise with a slope: enough to be decided by."""
    kind = split_kind()
    names = [feature.name for feature in kind.features]
    random = np.random.default_rng(3)
    rows = random.random((3000, len(names))) * 50
    rows[:, names.index("carrier")] = random.integers(0, 3, 3000)
    rows[random.random(rows.shape) < 0.1] = np.nan
    slack, backlog = (
        rows[:, names.index("promise_slack_hours")],
        rows[:, names.index("backlog_hours")],
    )
    odds = 2 - np.nan_to_num(slack) / 8 + np.nan_to_num(backlog) / 15
    labels = random.random(3000) < 1 / (1 + np.exp(-odds))
    data = lightgbm.Dataset(
        rows, labels.astype(np.int8), categorical_feature=[names.index("carrier")]
    )
    parameters = {
        "objective": "binary",
        "num_leaves": 7,
        "monotone_constraints": [feature.monotone for feature in kind.features],
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": 1,
        "verbosity": -1,
    }
    text = str(lightgbm.train(parameters, data, 25).model_to_string())
    return build_bundle(
        kind=kind,
        model_text=text,
        calibration=Calibration(
            (-3.0, 0.0, 3.0),
            (0.05, 0.5, 0.95),
            (-1.0, 1.0),
            (0.02, 0.3, 0.7),
            (-1.0, 1.0),
            (0.32, 0.72, 0.99),
        ),
        categories={"carrier": ("sf", "yto", "zto")},
        explainer=Explainer(EXPLAINER_ID, "4"),
        background_digest="sha256:00",
        feature_code=feature_code(),
        libraries={"lightgbm": "4"},
    )


@cache
def lateness_model() -> LoadedModel:
    bundle = lateness_bundle()
    reference = ModelRef("split", "1", bundle.digest, "run")
    return load_model(bundle, reference, bundle.kind.policy, PolicyRef("split", "1", "sha256:11"))


def example_order(name: str) -> bytes:
    kind = split_kind()
    return next(item.order for item in kind.examples if item.name == name).encode()


def decide_example(name: str, **changes: object) -> SplitDecision:
    return decide_split(
        lateness_model(), policy(**changes), POLICY_REF, example_order(name), lambda: 0.0
    )
