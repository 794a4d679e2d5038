"""Metrics against scikit-learn, intervals, deciles and confusion."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from tests.training.kinds import shipment
from training.evaluate import Evaluation, decile_places, draw_counts, evaluate, weighted_auc


def _draw(n_rows: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    margins = np.round(random.normal(-1.0, 1.3, n_rows), 2)
    probabilities = 1 / (1 + np.exp(-margins))
    labels = (random.random(n_rows) < 1 / (1 + np.exp(-margins - shift))).astype(np.int8)
    return margins, probabilities, labels


def _evaluate(n_rows: int, shift: float = 0.0) -> Evaluation:
    return evaluate(shipment(), *_draw(n_rows, shift), seed=1)


def test_metrics_are_those_of_scikit_learn() -> None:
    margins, probabilities, labels = _draw(3000)
    metrics = _evaluate(3000).metrics
    assert metrics["auc"].value == pytest.approx(roc_auc_score(labels, margins), abs=1e-12)
    assert metrics["logloss"].value == pytest.approx(log_loss(labels, probabilities), abs=1e-12)
    assert metrics["brier"].value == pytest.approx(
        brier_score_loss(labels, probabilities), abs=1e-12
    )


def test_weighted_auc_is_the_auc_of_the_repeated_rows() -> None:
    margins, _, labels = _draw(300)
    counts = draw_counts(300, seed=9, resamples=5)
    found = weighted_auc(margins, labels, counts)
    for area, row in zip(found, counts.astype(int), strict=True):
        again = roc_auc_score(np.repeat(labels, row), np.repeat(margins, row))
        assert area == pytest.approx(again, abs=1e-12)


def test_intervals_hold_the_value_and_narrow_with_more_rows() -> None:
    small, large = _evaluate(400).metrics["auc"], _evaluate(20_000).metrics["auc"]
    assert small.low < small.value < small.high
    assert large.high - large.low < (small.high - small.low) / 3


def test_a_calibrated_model_is_inside_the_bands_and_a_shifted_one_is_not() -> None:
    right, wrong = _evaluate(20_000), _evaluate(20_000, shift=0.6)
    assert right.deciles_outside() <= 1
    assert right.metrics["ece"].value < 0.02
    assert wrong.deciles_outside() >= 8
    assert wrong.metrics["ece"].value > 0.05
    assert sum(decile.rows for decile in right.deciles) == right.rows == 20_000


def test_confusion_counts_every_row_at_the_thresholds() -> None:
    _, probabilities, labels = _draw(2000)
    evaluation = _evaluate(2000)
    assert list(evaluation.confusion) == ["accept", "review", "reject"]
    refused = probabilities >= 0.6
    assert evaluation.confusion["reject"] == {
        "adverse": int((refused & (labels == 1)).sum()),
        "favourable": int((refused & (labels == 0)).sum()),
    }
    total = sum(sum(counts.values()) for counts in evaluation.confusion.values())
    assert (total, evaluation.adverse) == (2000, int(labels.sum()))


def test_deciles_are_equally_full() -> None:
    places = decile_places(np.zeros(1000))
    assert np.bincount(places).tolist() == [100] * 10


def test_few_rows_have_fewer_deciles() -> None:
    margins = np.array([0.0, 1.0, 2.0, 3.0])
    labels = np.array([0, 1, 0, 1], dtype=np.int8)
    evaluation = evaluate(shipment(), margins, 1 / (1 + np.exp(-margins)), labels, seed=1)
    assert len(evaluation.deciles) == 4
