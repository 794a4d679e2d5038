"""Orders become problems: whole units on the safe side, identifiers left behind."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from models.errors import OrderInvalidError
from models.split.pairs import PAIR_FIELDS, build_pair_values, build_pairs
from models.split.problem import Floor, Problem
from models.split.record import problem_facts
from models.split.request import order_schema, read_problem, split_kind
from tests.models.split.examples import example_order

_ORDER: dict[str, Any] = {
    "order_id": "O-1",
    "placed_at": "2026-03-01T09:00:20+08:00",
    "promised_at": "2026-03-02T09:00:40+08:00",
    "delivery_window": {
        "earliest_at": "2026-03-01T20:00:01+08:00",
        "latest_at": "2026-03-01T20:15:59+08:00",
    },
    "customer": {"customer_id": "C-77", "name": "somebody"},
    "lines": [
        {"line_id": 2, "sku": "B", "quantity": 1, "unit_weight_kg": 0.0001},
        {"line_id": 1, "sku": "A", "quantity": 3, "unit_weight_kg": 1.2},
    ],
    "warehouses": [
        {
            "warehouse_id": "W",
            "allowed_skus": ["B", None, "A"],
            "excluded_skus": None,
            "serves_customer": None,
            "stock": [{"sku": "A", "pieces": 3}],
            "services": [
                {
                    "service_id": "s",
                    "carrier": "sf",
                    "cut_off_at": "2026-03-01T18:00:59+08:00",
                    "transit_minutes": 60,
                    "base_cost": 1.005,
                    "max_parcel_kg": 2.5,
                }
            ],
        }
    ],
}

_WAITING = {"waiting_id": 1, "cut_off_at": "2026-03-01T18:00:00Z", "packing_minutes": 5}


def _read(**changes: Any) -> Problem:  # noqa: ANN401 - any JSON value
    body = orjson.dumps({**_ORDER, **changes})
    return read_problem(order_schema(split_kind()).parse(body).values)


def test_units_are_whole_and_on_the_safe_side() -> None:
    task = _read()
    assert task.placed_at == datetime(2026, 3, 1, 1, 1, tzinfo=UTC)
    assert task.promised_at == datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    assert task.earliest_at == datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
    assert task.latest_at == datetime(2026, 3, 1, 12, 15, tzinfo=UTC)
    assert [(item.line_id, item.unit_grams) for item in task.lines] == [(1, 1200), (2, 1)]
    (house,) = task.warehouses
    assert house.serves_customer
    assert (house.allowed_skus, house.excluded_skus) == (("A", "B"), ())
    (offer,) = house.services
    assert offer.cut_off_at == datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
    assert (offer.base_cents, offer.cents_per_kg, offer.max_parcel_grams) == (101, 0, 2500)


def test_what_a_warehouse_packs_with_is_read() -> None:
    waiting = [
        {"waiting_id": 2, "cut_off_at": "2026-03-01T18:00:59+08:00", "packing_minutes": 20,
         "available_at": "2026-03-01T10:00:01+08:00"},
        {"waiting_id": 1, "cut_off_at": "2026-03-01T17:00:00+08:00", "packing_minutes": 5,
         "forklift_minutes": 3, "aisle": "B"},
    ]  # fmt: skip
    house = {
        **_ORDER["warehouses"][0],
        "handling_minutes": 30,
        "forklift_minutes": 10,
        "forklifts_idle_minutes": [15, None, 0],
        "waiting": waiting,
        "stock": [{"sku": "A", "pieces": 3, "aisle": "N"}],
    }
    (read,) = _read(warehouses=[house]).warehouses
    floor = read.floor
    assert (floor.forklift_minutes, floor.forklifts_idle_minutes) == (10, (0, 15))
    assert floor.stations_idle_minutes == (0,)
    assert [parcel.waiting_id for parcel in floor.waiting] == [1, 2]
    first, second = floor.waiting
    assert (first.forklift_minutes, first.aisle, first.available_at) == (3, "B", None)
    assert second.cut_off_at == datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
    assert second.available_at == datetime(2026, 3, 1, 2, 1, tzinfo=UTC)
    assert read.stock[0].aisle == "N"


def test_a_warehouse_that_says_nothing_has_one_forklift_and_one_station() -> None:
    (house,) = _read().warehouses
    assert house.floor == Floor(0, (0,), (0,), ())


def test_what_is_absent_is_open() -> None:
    task = _read(delivery_window=None, promised_at=None, customer=None, warehouses=None)
    assert (task.earliest_at, task.latest_at, task.promised_at) == (None, None, None)
    assert (task.customer_tier, task.country, task.warehouses) == (None, None, ())


def test_a_problem_holds_no_identifier() -> None:
    """What a record keeps of the order names neither order nor customer."""
    stored = orjson.dumps(problem_facts(_read())).decode()
    assert all(word not in stored for word in ("O-1", "C-77", "somebody"))


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"lines": []}, "/lines"),
        ({"lines": None}, "/lines"),
        ({"lines": [_ORDER["lines"][0]] * 2}, "/lines"),
        ({"warehouses": _ORDER["warehouses"] * 2}, "/warehouses"),
        (
            {"warehouses": [{**_ORDER["warehouses"][0],
                             "services": _ORDER["warehouses"][0]["services"] * 2}]},
            "/warehouses/0/services",
        ),
        (
            {"warehouses": [{**_ORDER["warehouses"][0],
                             "stock": _ORDER["warehouses"][0]["stock"] * 2}]},
            "/warehouses/0/stock",
        ),
        ({"lines": [{**_ORDER["lines"][0], "quantity": 0}]}, "/lines/0/quantity"),
        (
            {"lines": [{"line_id": n, "sku": "A", "quantity": 1} for n in range(1, 61)],
             "warehouses": [{**_ORDER["warehouses"][0], "warehouse_id": f"W{n}"}
                            for n in range(17)]},
            "/warehouses",
        ),
        (
            {"warehouses": [{**_ORDER["warehouses"][0], "waiting": [_WAITING] * 2}]},
            "/warehouses/0/waiting",
        ),
        (
            {"warehouses": [{**_ORDER["warehouses"][0], "forklift_minutes": 1}]},
            "/warehouses/0/forklift_minutes",
        ),
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_meant_is_refused(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(OrderInvalidError) as caught:
        _read(**changes)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


def test_pair_fields_are_not_the_callers() -> None:
    """What the model sees of a candidate is computed; a posted `pair` is unknown."""
    kind = split_kind()
    declared = [field.path for field in kind.request if field.path.startswith("pair.")]
    assert sorted(declared) == sorted(f"pair.{name}" for name in PAIR_FIELDS)
    parsed = order_schema(kind).parse(orjson.dumps({**_ORDER, "pair": {"carrier_load": 0}}))
    assert parsed.unknown_fields == ("/pair",)
    assert "pair" not in parsed.values
    task = _read()
    values = build_pair_values(task, build_pairs(task)[0])["pair"]
    assert isinstance(values, dict)
    assert tuple(values) == PAIR_FIELDS


@pytest.mark.parametrize("name", ["two-parcels", "just-in-time", "no-plan"])
def test_examples_of_the_kind_are_orders_without_unknown_fields(name: str) -> None:
    parsed = order_schema(split_kind()).parse(example_order(name))
    assert parsed.unknown_fields == ()
    assert read_problem(parsed.values).lines
