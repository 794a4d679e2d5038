"""Every gate lets a good model pass and stops the fault that it is there for."""

from dataclasses import replace

import numpy as np
import pytest

from models.scorer import Scores
from tests.training.kinds import shipment
from training.evaluate import evaluate
from training.gates import Checks, check_gates, ece_by_chance

NAMES = {
    "auc-above-chance",
    "auc-over-logistic-regression",
    "logloss-under-logistic-regression",
    "calibration-error",
    "additivity",
    "second-opinion",
}


@pytest.fixture
def good() -> Checks:
    random = np.random.default_rng(2)
    margins = random.normal(-1.0, 1.5, 4000)
    probabilities = 1 / (1 + np.exp(-margins))
    labels = (random.random(4000) < probabilities).astype(np.int8)
    contributions = random.normal(size=(20, 3))
    return Checks(
        evaluation=evaluate(shipment(), margins, probabilities, labels, seed=1),
        margins=margins,
        probabilities=probabilities,
        labels=labels,
        baseline=1 / (1 + np.exp(-margins - random.normal(0, 1, 4000))),
        scores=Scores(contributions.sum(axis=1) - 1, contributions, np.full(20, -1.0)),
        second_opinion=contributions[:5].copy(),
    )


def _failed(checks: Checks) -> set[str]:
    return {gate.name for gate in check_gates(checks, seed=1) if not gate.passed}


def test_a_good_model_passes_every_gate(good: Checks) -> None:
    assert {gate.name for gate in check_gates(good, seed=1)} == NAMES
    assert _failed(good) == set()


def test_a_baseline_that_is_as_good_fails_it(good: Checks) -> None:
    assert _failed(replace(good, baseline=good.probabilities)) == {
        "auc-over-logistic-regression",
        "logloss-under-logistic-regression",
    }


def test_a_model_without_signal_fails(good: Checks) -> None:
    margins = np.random.default_rng(8).permutation(good.margins)
    evaluation = evaluate(shipment(), margins, good.probabilities, good.labels, seed=1)
    failed = _failed(replace(good, evaluation=evaluation, margins=margins))
    assert "auc-above-chance" in failed


def test_wrong_probabilities_fail_the_calibration_gate(good: Checks) -> None:
    shifted = 1 / (1 + np.exp(-good.margins - 0.8))
    evaluation = evaluate(shipment(), good.margins, shifted, good.labels, seed=1)
    assert "calibration-error" in _failed(
        replace(good, evaluation=evaluation, probabilities=shifted)
    )


def test_attributions_that_do_not_add_up_fail(good: Checks) -> None:
    scores = replace(good.scores, margins=good.scores.margins + 1e-8)
    assert _failed(replace(good, scores=scores)) == {"additivity"}


def test_another_second_opinion_fails(good: Checks) -> None:
    other = good.second_opinion + np.eye(5, 3) * 1e-5
    gate = {gate.name: gate for gate in check_gates(replace(good, second_opinion=other), 1)}
    assert not gate["second-opinion"].passed
    assert gate["second-opinion"].measured == pytest.approx(1e-5)


def test_chance_makes_less_error_with_more_rows() -> None:
    few, many = (
        ece_by_chance(np.linspace(-1, 1, n), np.full(n, 0.2), seed=1) for n in (500, 50_000)
    )
    assert many < 0.01 < few
