"""The split on real orders: Olist's sellers as warehouses, and what became of their parcels.

The kind is the built-in one with other parameters; it learns from legs that were delivered and then
plans the orders that several sellers shipped. docs/trials.md says what the data does not have.
"""

import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import orjson
import pytest

from models.decide import LoadedModel, load_model
from models.domain import Json, ModelRef, PolicyRef
from models.features import OrderValue
from models.kind import Kind
from models.order import OrderSchema
from models.split.decide import decide_split
from models.split.pairs import build_pair_values, build_pairs
from models.split.policy import built_in_split_policy
from models.split.request import order_schema, read_problem, split_kind
from models.split.verdict import SplitDecision, SplitVerdict
from tests.trials.olist import Leg, read_legs
from tests.trials.olist_history import History
from tests.trials.olist_orders import Market, write_leg, write_order
from training.pipeline import TrainingResult, run
from training.source import Source

_SEED: Final = 1
_REFERENCE_AUC: Final = 0.609
_SHORT_ORDERS: Final = 15
_SHORT_STEP: Final = 4
_LEAST_ORDERS: Final = 280
_TOLERANCE: Final = 1e-6
_NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
# Lateness goes from 2 % to 20 % and back within two years, and what interacts in one year does not
# in the next: trees of one question each.
_PARAMS: Final = {"num_leaves": 2, "min_data_in_leaf": 300, "lambda_l2": 30.0}


@pytest.fixture(scope="module")
def legs() -> tuple[Leg, ...]:
    return read_legs()


@pytest.fixture(scope="module")
def trained(legs: tuple[Leg, ...], tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    return _train(legs, tmp_path_factory.mktemp("olist"))


@pytest.mark.trial
def test_lateness_of_a_sellers_leg_reaches_the_reference(trained: TrainingResult) -> None:
    """Trained on earlier legs and judged on the last fifth, as the reference was."""
    _print(f"Olist: AUC {trained.metrics['auc']:.4f}, logloss {trained.metrics['logloss']:.4f}")
    for gate in trained.gates:
        _print(f"Olist: {gate.name} {gate.measured:.4f}, {gate.side} {gate.bound:.4f}")
    assert trained.metrics["auc"] >= _REFERENCE_AUC
    assert trained.metrics["second_opinion_largest_difference"] < _TOLERANCE


@pytest.mark.trial
def test_orders_of_several_sellers_get_plans_with_reasons(
    legs: tuple[Leg, ...], trained: TrainingResult
) -> None:
    """Every one of them has a plan, and every seller that does not ship has its reason."""
    decisions = _decide(_model(trained), legs, len(legs))
    assert len(decisions) >= _LEAST_ORDERS
    _check_plans(decisions)


def test_the_path_holds_on_real_sellers_in_short(legs: tuple[Leg, ...], tmp_path: Path) -> None:
    """The same with every fourth leg and a few orders: learned, planned, explained."""
    trained = _train(legs[::_SHORT_STEP], tmp_path)
    assert trained.metrics["auc"] >= _REFERENCE_AUC
    _check_plans(_decide(_model(trained), legs, _SHORT_ORDERS))


def _train(legs: tuple[Leg, ...], var: Path) -> TrainingResult:
    return run(_kind(), _source(legs), seed=_SEED, var=var, now=lambda: _NOW)


def _kind() -> Kind:
    kind = split_kind()
    training = kind.training.model_copy(update={"params": _PARAMS})
    return kind.model_copy(update={"training": training})


def _source(legs: tuple[Leg, ...]) -> Source:
    """Return the delivered legs as the split's own code sees them."""
    kind, history = split_kind(), History(legs)
    schema = order_schema(kind)
    orders: list[dict[str, Json]] = []
    labels: list[bool] = []
    for leg in legs:
        if leg.delivered_at is None:
            continue
        history.advance(leg.placed_at)
        orders.append(_candidate(schema, write_leg(leg, history)))
        labels.append(leg.is_late)
    return Source("Olist", orders, np.array(labels, dtype=np.int8))


def _candidate(schema: OrderSchema, order: dict[str, Json]) -> dict[str, Json]:
    problem = read_problem(schema.parse(orjson.dumps(order)).values)
    (pair,) = build_pairs(problem)
    values = build_pair_values(problem, pair)["pair"]
    return {
        "order_id": order["order_id"],
        "placed_at": order["placed_at"],
        "pair": _plain(values),
    }


def _plain(values: OrderValue) -> Json:
    document: Json = orjson.loads(orjson.dumps(values))
    return document


def _model(trained: TrainingResult) -> LoadedModel:
    reference = ModelRef("split", trained.version, trained.bundle.digest, trained.run_id)
    return load_model(trained.bundle, reference, _kind().policy, trained.policy)


def _decide(model: LoadedModel, legs: tuple[Leg, ...], most: int) -> list[SplitDecision]:
    """Plan the last orders of several sellers, each with what was known when it was placed."""
    of_order: dict[str, list[Leg]] = {}
    for leg in legs:
        of_order.setdefault(leg.order_id, []).append(leg)
    several = [tuple(found) for found in of_order.values() if len(found) > 1][-most:]
    market, history, policy = Market(legs), History(legs), built_in_split_policy()
    reference = PolicyRef(policy.name, policy.version, "sha256:0")
    decisions = []
    for found in several:
        history.advance(found[0].placed_at)
        body = orjson.dumps(write_order(found, market, history))
        decisions.append(decide_split(model, policy, reference, body, time.perf_counter))
    return decisions


def _check_plans(decisions: list[SplitDecision]) -> None:
    for decision in decisions:
        _check_plan(decision.verdict, {w.warehouse_id for w in decision.problem.warehouses})
    verdicts = [decision.verdict for decision in decisions]
    plans = [verdict.plan for verdict in verdicts if verdict.plan is not None]
    sizes = Counter(len({s.warehouse_id for s in plan.shipments}) for plan in plans)
    _print(
        f"{len(plans)} plans; outcomes {dict(Counter(v.outcome for v in verdicts))}; "
        f"status {dict(Counter(v.status.value for v in verdicts))}; sellers a plan {dict(sizes)}; "
        f"candidates {np.mean([len(v.scores) for v in verdicts]):.1f} an order"
    )
    reasons = Counter(why.finding.code for v in verdicts for why in v.why_not)
    _print(f"why not: {dict(reasons)}")


def _check_plan(verdict: SplitVerdict, warehouses: set[str]) -> None:
    """Hold one answer to what is promised: a plan, a sentence, and a reason for each not taken."""
    assert verdict.plan is not None, verdict.conflict
    assert verdict.outcome in {"ship", "review"}
    assert verdict.summary.text.zh
    assert verdict.summary.text.en
    used = {shipment.warehouse_id for shipment in verdict.plan.shipments}
    assert {why.warehouse_id for why in verdict.why_not} == warehouses - used
    assert all(why.finding.text.zh and why.finding.text.en for why in verdict.why_not)
    scores = {score.key: score for score in verdict.scores}
    assert all(scores[shipment.key].reasons for shipment in verdict.plan.shipments)


def _print(text: object) -> None:
    sys.stderr.write(f"{text}\n")
