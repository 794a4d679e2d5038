"""From orders to the matrix: the serving code, the split, the category tables."""

from dataclasses import replace

import numpy as np
import pytest

from models.domain import Json
from models.kind import parse_kind
from tests.training.kinds import CARRIERS, DOCUMENT, shipment, shipments
from training.dataset import (
    build_dataset,
    category_tables,
    encode_dataset,
    split_parts,
)
from training.errors import TrainingError
from training.source import Source


def test_features_are_those_of_the_serving_code() -> None:
    dataset = build_dataset(shipment(), shipments(200))
    lead, stock, express, carrier, quantity = dataset.numbers[0].tolist()
    order = shipments(200).orders[0]
    assert (lead, stock) == (order["lead_days"], order["stock"])
    assert express == float(bool(order["express"]))
    assert np.isnan(carrier)
    assert dataset.texts["carrier"][0] in CARRIERS
    assert quantity >= 1
    assert np.isnan(dataset.numbers[:, 0]).any()


def test_categories_are_ranked_by_frequency_in_the_fitting_part_only() -> None:
    dataset = build_dataset(shipment(), shipments(40))
    texts = ("sea",) * 5 + ("air",) * 3 + ("north",) * 3 + (None,) * 4 + ("south",) * 25
    dataset = replace(dataset, texts={"carrier": texts})
    fit = np.arange(15)
    assert category_tables(dataset, fit) == {"carrier": ("sea", "air", "north")}
    few = replace(dataset, kind=shipment(max_categories=1))
    assert category_tables(few, fit) == {"carrier": ("sea",)}


def test_unknown_and_missing_categories_are_missing_values() -> None:
    dataset = build_dataset(shipment(), shipments(40))
    texts = ("sea", "air", None, "", *["south"] * 36)
    encoded = encode_dataset(
        replace(dataset, texts={"carrier": texts}), {"carrier": ("air", "sea")}
    )
    assert encoded[:2, 3].tolist() == [1.0, 0.0]
    assert np.isnan(encoded[2:, 3]).all()


def test_a_split_by_time_puts_the_last_orders_in_the_test_part() -> None:
    source = shipments(1000)
    turned = replace(source, orders=source.orders[::-1], labels=source.labels[::-1])
    dataset = build_dataset(shipment(), turned)
    parts = split_parts(dataset, seed=1)
    assert [len(part) for part in (parts.fit, parts.stop, parts.calibration, parts.test)] == [
        460,
        90,
        250,
        200,
    ]
    earlier = np.concatenate([parts.fit, parts.stop, parts.calibration])
    assert dataset.placed_at[parts.test].min() >= dataset.placed_at[earlier].max()
    assert sorted([*earlier.tolist(), *parts.test.tolist()]) == list(range(1000))


def test_a_random_split_follows_the_seed() -> None:
    dataset = build_dataset(shipment(split="random"), shipments(400))
    first, again, other = (split_parts(dataset, seed).test.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_orders_without_a_time_cannot_be_split_by_time() -> None:
    orders: list[dict[str, Json]] = [
        {name: value for name, value in order.items() if name != "placed_at"}
        for order in shipments(100).orders
    ]
    dataset = build_dataset(shipment(), replace(shipments(100), orders=orders))
    with pytest.raises(TrainingError, match="100 of 100 rows have no placed_at"):
        split_parts(dataset, seed=1)
    without = parse_kind({**DOCUMENT, "placed_at": None})
    assert np.isnan(build_dataset(without, shipments(100)).placed_at).all()


def test_timestamps_count_as_times() -> None:
    kind = parse_kind({**DOCUMENT, "placed_at": "handed_over_at"})
    source = shipments(100)
    orders = [{**order, "handed_over_at": "1970-01-02T00:00:00+00:00"} for order in source.orders]
    assert set(build_dataset(kind, replace(source, orders=orders)).placed_at) == {86_400.0}


def test_digest_follows_the_data() -> None:
    source = shipments(100)
    digest = build_dataset(shipment(), source).digest
    assert digest == build_dataset(shipment(), shipments(100)).digest
    changes: list[dict[str, Json]] = [{"stock": 999}, {"carrier": {"name": "mule"}}]
    others = [replace(source, labels=1 - source.labels)]
    for change in changes:
        orders: list[dict[str, Json]] = [dict(order) for order in source.orders]
        orders[0].update(change)
        others.append(replace(source, orders=orders))
    digests = {build_dataset(shipment(), other).digest for other in others}
    assert len({digest, *digests}) == 4


def test_progress_is_told() -> None:
    told: list[tuple[str, float]] = []
    build_dataset(shipment(), shipments(2100), lambda *step: told.append(step))
    assert told == [("features", 0.0), ("features", 2000 / 2100)]


def test_a_bad_order_is_named_by_row_and_place() -> None:
    source = shipments(50)
    orders: list[dict[str, Json]] = [dict(order) for order in source.orders]
    orders[3]["stock"] = "many"
    with pytest.raises(TrainingError, match=r"^row 4, /stock: "):
        build_dataset(shipment(), replace(source, orders=orders))
    rows = tuple(range(100, 150))
    with pytest.raises(TrainingError, match=r"^row 103, /stock: "):
        build_dataset(shipment(), replace(source, orders=orders, rows=rows))


def test_labels_must_fit_and_both_must_occur() -> None:
    source = shipments(50)
    with pytest.raises(TrainingError, match="50 orders but 49 labels"):
        build_dataset(shipment(), replace(source, labels=source.labels[1:]))
    with pytest.raises(TrainingError, match="only 0 of 50 rows"):
        build_dataset(shipment(), replace(source, labels=np.ones(50, np.int8)))


def test_each_part_needs_both_labels() -> None:
    source = shipments(100)
    labels = np.array([0, 1] * 25 + [0] * 50, dtype=np.int8)
    dataset = build_dataset(shipment(), Source("late", source.orders, labels))
    with pytest.raises(TrainingError, match="the test part does not hold both labels"):
        split_parts(dataset, seed=1)
