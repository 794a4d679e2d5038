"""shap's own kernel against the serving scorer."""

import lightgbm
import numpy as np
import pytest

from models.scorer import Scorer
from training.second_opinion import SecondOpinion


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(4000, 5))
    matrix[:, 3] = random.integers(0, 60, 4000)
    matrix[:, 4] = random.integers(0, 3, 4000)
    matrix[random.random((4000, 5)) < 0.05] = np.nan
    matrix[:, 0] = np.nan_to_num(matrix[:, 0])
    return matrix


@pytest.fixture(scope="module")
def model_text(rows: np.ndarray) -> str:
    filled = np.nan_to_num(rows)
    log_odds = filled[:, 0] * filled[:, 1] + np.where(filled[:, 3] % 3 == 0, 1.0, -1.0)
    labels = np.random.default_rng(1).random(4000) < 1 / (1 + np.exp(-log_odds))
    booster = lightgbm.train(
        {"objective": "binary", "num_leaves": 15, "verbosity": -1, "num_threads": 1},
        lightgbm.Dataset(rows, labels.astype(float), categorical_feature=[3, 4]),
        60,
    )
    return str(booster.model_to_string())


def test_shap_itself_agrees_on_numbers_categories_and_missing_values(
    rows: np.ndarray, model_text: str
) -> None:
    """Shap's own kernel gives LightGBM's attributions, also for values never seen in training."""
    sample = rows[:80].copy()
    sample[:4, 0] = np.nan  # never missing in training
    sample[4:8, 3] = 500.0  # no such category in training
    ours = Scorer(model_text, 5).score(sample).contributions
    assert np.abs(SecondOpinion(model_text).attributions(sample) - ours).max() < 1e-9


def test_a_tampered_model_is_noticed(rows: np.ndarray, model_text: str) -> None:
    """The opinion is shap's own: other trees give other values."""
    opinion = SecondOpinion(model_text)
    opinion._explainer.model.values *= 1.001
    ours = Scorer(model_text, 5).score(rows[:20]).contributions
    assert np.abs(opinion.attributions(rows[:20]) - ours).max() > 1e-6


def test_interactions_sum_to_the_attributions(rows: np.ndarray, model_text: str) -> None:
    opinion = SecondOpinion(model_text)
    values = opinion.interactions(rows[:10])
    assert values.shape == (10, 5, 5)
    assert np.abs(values.sum(axis=2) - opinion.attributions(rows[:10])).max() < 1e-9
    strengths = np.triu(np.abs(values).mean(axis=0), 1)
    assert strengths.argmax() == 1  # features 0 and 1, which the mechanism multiplies
