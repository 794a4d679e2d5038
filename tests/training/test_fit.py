"""The trees: reproducible, monotone, stopped early."""

import numpy as np
import pytest

from models.domain import Json
from models.kind import parse_kind
from models.scorer import Scorer
from tests.training.kinds import DOCUMENT, shipment, shipments
from training.dataset import Dataset, build_dataset, category_tables, encode_dataset, split_parts
from training.errors import TrainingError
from training.fit import FittedTrees, build_params, fit_trees, predict_margins


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_dataset(shipment(), shipments(3000))


def _fit(dataset: Dataset, seed: int = 1, **params: Json) -> tuple[FittedTrees, np.ndarray]:
    parts = split_parts(dataset, seed)
    matrix = encode_dataset(dataset, category_tables(dataset, parts.fit))
    kind = shipment(params={**DOCUMENT["training"]["params"], **params})
    labels = dataset.labels
    fitted = fit_trees(
        kind, (matrix[parts.fit], labels[parts.fit]), (matrix[parts.stop], labels[parts.stop]), seed
    )
    return fitted, matrix


def test_the_same_seed_gives_the_same_text(dataset: Dataset) -> None:
    first, again, other = (_fit(dataset, seed)[0].model_text for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_monotone_directions_hold(dataset: Dataset) -> None:
    """More lead time never lowers the margin, more stock never raises it."""
    fitted, matrix = _fit(dataset)
    rows = matrix[:200]
    for feature, sign in ((0, 1), (1, -1)):
        margins = []
        for value in np.linspace(0, 80, 25):
            moved = rows.copy()
            moved[:, feature] = value
            margins.append(predict_margins(fitted.model_text, moved))
        assert (np.diff(margins, axis=0) * sign >= -1e-12).all()


def test_trees_stop_early_and_serve_the_same_margins(dataset: Dataset) -> None:
    fitted, matrix = _fit(dataset, num_iterations=2000, early_stopping_round=15)
    assert 5 < fitted.rounds < 2000
    assert fitted.model_text.count("\nTree=") == fitted.rounds
    served = Scorer(fitted.model_text, 5).score(matrix[:50])
    assert served.margins.tolist() == predict_margins(fitted.model_text, matrix[:50]).tolist()


def test_progress_is_told(dataset: Dataset) -> None:
    parts = split_parts(dataset, 1)
    matrix = encode_dataset(dataset, category_tables(dataset, parts.fit))
    part = matrix[parts.fit], dataset.labels[parts.fit]
    told: list[float] = []
    fit_trees(shipment(), part, part, 1, lambda _step, done: told.append(done))
    assert told[:2] == [0.0, 20 / 120]


def test_a_kind_without_directions_has_no_constraints() -> None:
    features: list[Json] = [{**feature, "monotone": 0} for feature in DOCUMENT["features"]]
    kind = parse_kind({**DOCUMENT, "features": features})
    dataset = build_dataset(kind, shipments(500))
    matrix = encode_dataset(dataset, category_tables(dataset, np.arange(500)))
    fitted = fit_trees(kind, (matrix, dataset.labels), (matrix, dataset.labels), 1)
    assert "monotone_constraints: 1" not in fitted.model_text


@pytest.mark.parametrize("name", ["seed", "deterministic", "linear_tree", "objective"])
def test_a_kind_may_not_set_what_keeps_models_reproducible(name: str) -> None:
    with pytest.raises(TrainingError, match=name):
        build_params(shipment(params={name: 1}), 1)


def test_a_refused_parameter_is_a_training_error(dataset: Dataset) -> None:
    with pytest.raises(TrainingError, match="LightGBM"):
        _fit(dataset, num_leaves=1)
