"""The scorer against LightGBM's own Python interface, and its refusals."""

import lightgbm
import numpy as np
import pytest

from models.errors import ScorerError
from models.scorer import Matrix, Scorer, lightgbm_version
from tests.models.examples import model_text


def _rows(n_rows: int) -> Matrix:
    random = np.random.default_rng(3)
    rows = random.random((n_rows, 4)) * [1, 200, 2, 2]
    rows[:, 2:] = np.floor(rows[:, 2:])
    rows[random.random(rows.shape) < 0.1] = np.nan
    return np.asarray(rows)


def test_scores_are_lightgbms_to_the_last_bit() -> None:
    rows = _rows(500)
    booster = lightgbm.Booster(model_str=model_text())
    scores = Scorer(model_text(), 4).score(rows)
    explained = booster.predict(rows, pred_contrib=True)
    assert np.array_equal(scores.margins, booster.predict(rows, raw_score=True))
    assert np.array_equal(np.column_stack([scores.contributions, scores.base_values]), explained)


def test_one_row_many_rows_and_threads_give_the_same_bits() -> None:
    rows = _rows(300)
    scorer = Scorer(model_text(), 4)
    many = scorer.score(rows, threads=2)
    for index in range(0, 300, 7):
        one = scorer.score(rows[index : index + 1])
        assert one.margins[0] == many.margins[index]
        assert np.array_equal(one.contributions[0], many.contributions[index])
        assert one.base_values[0] == many.base_values[index]


def test_no_rows_give_no_scores() -> None:
    assert Scorer(model_text(), 4).score(np.empty((0, 4))).margins.shape == (0,)


@pytest.mark.parametrize("text", ["", "not a model", "tree\nversion=v4\n"])
def test_what_is_not_a_model_is_refused(text: str) -> None:
    with pytest.raises(ScorerError):
        Scorer(text, 4)


def test_a_model_of_another_width_is_refused() -> None:
    with pytest.raises(ScorerError, match="takes 4 features"):
        Scorer(model_text(), 5)


def test_linear_trees_are_refused() -> None:
    with pytest.raises(ScorerError, match="linear trees"):
        Scorer(model_text().replace("is_linear=0", "is_linear=1"), 4)


def test_the_version_is_lightgbms() -> None:
    assert lightgbm_version() == lightgbm.__version__
