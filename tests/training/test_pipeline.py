"""The main path from labelled orders to a registered model."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson

from models.bundle import load_bundle, load_policy
from models.decide import decide, encode, load_model
from models.domain import ModelRef
from service.usecases.train import simulated
from tests.training.conftest import NOW, Trained
from tests.training.kinds import shipment, shipments
from training.dataset import build_dataset, encode_dataset
from training.pipeline import run


def test_a_trained_model_decides_on_what_it_was_trained_on(shipment_run: Trained) -> None:
    """The training matrix is what the serving code encodes, value for value."""
    result = shipment_run.result
    bundle = load_bundle(shipment_run.var / "bundles", result.bundle.digest)
    policy = load_policy(shipment_run.var / "policies", result.policy.digest)
    ref = ModelRef("shipment", result.version, bundle.digest, result.run_id)
    model = load_model(bundle, ref, policy, result.policy)
    source = shipments(4000)
    decision = decide(model, orjson.dumps(source.orders[0]), lambda: 0.0)
    assert decision.verdict.outcome in {"accept", "review", "reject"}
    ours = encode_dataset(build_dataset(shipment(), source), bundle.categories)[:300]
    snapshots = [
        model.extractor.snapshot(model.schema.parse(orjson.dumps(order)).values)
        for order in source.orders[:300]
    ]
    assert np.array_equal(ours, encode(model, snapshots), equal_nan=True)


def test_a_good_model_passes_its_gates(shipment_run: Trained) -> None:
    result = shipment_run.result
    assert result.failed_gates() == ()
    assert result.metrics["auc"] > 0.75
    assert result.metrics["auc_low"] < result.metrics["auc"] < result.metrics["auc_high"]
    assert result.metrics["auc"] > result.metrics["logistic_regression_auc"]
    assert result.metrics["second_opinion_largest_difference"] < 1e-9


def test_same_orders_and_seed_give_the_same_bundle(shipment_run: Trained, tmp_path: Path) -> None:
    """The digest follows orders and seed, and nothing else; the next run is the next version."""
    result = shipment_run.result
    again, third = (
        run(shipment(), shipments(4000), seed=seed, var=tmp_path, now=lambda: datetime.now(UTC))
        for seed in (3, 4)
    )
    assert again.bundle.digest == result.bundle.digest
    assert again.dataset_digest == third.dataset_digest == result.dataset_digest
    assert third.bundle.digest != result.bundle.digest
    assert (again.version, third.version) == ("1", "2")
    assert len({result.run_id, again.run_id, third.run_id}) == 3


def test_a_model_without_signal_is_registered_but_fails(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    labels = (random.random(1500) < 0.3).astype(np.int8)
    source = replace(shipments(1500), labels=labels, true_effects=None)
    result = run(shipment(), source, seed=1, var=tmp_path, now=lambda: NOW)
    assert "auc-above-chance" in {gate.name for gate in result.failed_gates()}
    assert result.version == "1"
    assert result.card["explanation_truth"] is None


def test_steps_are_told_in_order(shipment_run: Trained) -> None:
    wanted = ("features", "trees", "calibration", "evaluation", "card", "registry")
    assert shipment_run.steps == wanted


def test_columns_without_a_value_are_no_obstacle(tmp_path: Path) -> None:
    """Two features that no order shows take no part: the model trains, is judged and drawn."""
    source = shipments(1500)
    orders = [
        {name: value for name, value in order.items() if name not in {"lead_days", "carrier"}}
        for order in source.orders
    ]
    result = run(shipment(), replace(source, orders=orders), seed=3, var=tmp_path, now=lambda: NOW)
    assert {gate.name for gate in result.failed_gates()} <= {
        "auc-over-logistic-regression",
        "logloss-under-logistic-regression",
    }
    assert result.metrics["auc"] > 0.5


def test_the_splits_model_is_trained_by_the_same_path(tmp_path: Path) -> None:
    """Kind and legs come as for any kind; the test part is the last fifth of the time."""
    kind, source = simulated("split", 8_000, 2)
    result = run(kind, source, seed=2, var=tmp_path, now=lambda: NOW)
    assert result.failed_gates() == ()
    assert load_bundle(tmp_path / "bundles", result.bundle.digest).kind == kind
    truth = result.card["explanation_truth"]
    assert isinstance(truth, dict)
    assert float(str(truth["strongest_in_top_3"])) >= 0.9
    placed = [str(order["placed_at"]) for order in source.orders]
    assert placed == sorted(placed)
