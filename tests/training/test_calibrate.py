"""Calibration tables: the interval is checked against refitting by brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from models.calibration import Calibration, parse_calibration
from training import calibrate as module
from training.calibrate import calibrate, probabilities_of, venn_abers
from training.errors import TrainingError

_Folds = st.lists(
    st.tuples(st.integers(-4, 4).map(float), st.integers(0, 1)), min_size=2, max_size=30
)


def _brute_force(margins: np.ndarray, labels: np.ndarray, margin: float, label: int) -> float:
    curve = IsotonicRegression(out_of_bounds="clip")
    curve.fit(np.append(margins, margin), np.append(labels, label))
    return float(curve.predict([margin])[0])


@settings(max_examples=150, deadline=None)
@given(_Folds)
def test_intervals_are_the_two_isotonic_estimates(fold: list[tuple[float, int]]) -> None:
    """Low and high equal isotonic regression refitted with the new order as 0 and as 1."""
    margins = np.array([margin for margin, _ in fold])
    labels = np.array([label for _, label in fold], dtype=np.int8)
    table = calibrate(margins, labels)
    assert parse_calibration(table.canonical()) == table
    knots = np.unique(margins)
    between = (knots[1:] + knots[:-1]) / 2
    for margin in (*knots, *between, knots[0] - 1, knots[-1] + 1):
        low, high = table.interval(margin)
        assert low == pytest.approx(_brute_force(margins, labels, margin, 0), abs=1e-12)
        assert high == pytest.approx(_brute_force(margins, labels, margin, 1), abs=1e-12)
        assert low <= table.probability(margin) <= high


def _fold(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    margins = random.normal(-1.0, 1.5, n_rows)
    labels = random.random(n_rows) < 1 / (1 + np.exp(-margins))
    return margins, labels.astype(np.int8)


def test_curve_is_isotonic_regression_kept_off_0_and_1() -> None:
    margins, labels = _fold(4000)
    table = calibrate(margins, labels)
    found = probabilities_of(table, margins)
    floor = 1 / 4002
    wanted = IsotonicRegression(y_min=floor, y_max=1 - floor).fit_transform(margins, labels)
    assert np.abs(found - wanted).max() < 1e-12
    assert found.min() >= floor
    assert found.max() <= 1 - floor


def test_intervals_narrow_with_more_rows() -> None:
    widths = []
    for n_rows in (200, 20_000):
        low, high = calibrate(*_fold(n_rows)).interval(0.0)
        widths.append(high - low)
    assert widths[1] < widths[0] / 4


def test_equal_steps_are_kept_once() -> None:
    margins, labels = _fold(5000)
    table = calibrate(margins, labels)
    knots, low, high = venn_abers(margins, labels)
    assert len(table.low_margins) < len(knots) / 5
    assert set(table.low) == set(low)
    assert set(table.high) == set(high)


def test_a_table_whose_interval_misses_its_probability_is_refused() -> None:
    wrong = Calibration((0.0,), (0.9,), (), (0.1,), (), (0.5,))
    with pytest.raises(TrainingError, match=r"misses 0\.9"):
        module._verify_order(wrong, (0.0,))
