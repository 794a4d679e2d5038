"""The plain model that a new one must beat: scikit-learn's logistic regression.

Missing numbers become the median with a mark, categories become one column each, numbers are
scaled. It learns from the same rows as the trees and their early stopping together.
"""

import numpy as np
import numpy.typing as npt
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.kind import Kind
from models.scorer import Matrix
from training.source import Labels

_RAREST_CATEGORY = 20
_MOST_STEPS = 2_000


def baseline_probabilities(kind: Kind, learn: tuple[Matrix, Labels], test_matrix: Matrix) -> Matrix:
    """Fit the logistic regression and return its adverse probabilities for the test rows.

    Parameters
    ----------
    kind
        Tells numbers from categories.
    learn
        Encoded matrix of shape ``(n_rows, n_features)`` and labels.
    test_matrix
        Encoded matrix to predict, shape ``(n_test, n_features)``.
    """
    matrix, labels = learn
    model = _build(kind, np.asarray(np.isfinite(matrix).any(axis=0)))
    model.fit(matrix, labels)
    return np.asarray(model.predict_proba(test_matrix)[:, 1], dtype=np.float64)


def _build(kind: Kind, is_known: npt.NDArray[np.bool_]) -> Pipeline:
    # A column without a single value has no median and no categories, and nothing to teach.
    is_category = np.array([feature.type == "category" for feature in kind.features])
    categories = np.flatnonzero(is_category & is_known).tolist()
    numbers = np.flatnonzero(~is_category & is_known).tolist()
    scaled = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    one_hot = make_pipeline(
        SimpleImputer(strategy="constant", fill_value=-1.0),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=_RAREST_CATEGORY),
    )
    columns = make_column_transformer((scaled, numbers), (one_hot, categories))
    return make_pipeline(columns, LogisticRegression(max_iter=_MOST_STEPS))
