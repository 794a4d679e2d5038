"""Making the calibration tables on a fold of their own.

The curve is scikit-learn's isotonic regression of the label on the margin. The interval is
Venn-ABERS: for each margin, the two isotonic estimates with the new order counted once as
favourable and once as adverse, computed for all margins at once.

Notes
-----
Vovk, Petej and Fedorova (2015), "Large-scale probabilistic predictors with and without guarantees
of validity", algorithms 1 and 2. The lower table follows from the upper one by turning scores and
labels round.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from models.calibration import Calibration
from models.scorer import Matrix
from training.errors import TrainingError
from training.source import Labels

_Point = tuple[int, int]


def calibrate(margins: Matrix, labels: Labels) -> Calibration:
    """Make the tables of one model.

    Parameters
    ----------
    margins
        Log-odds of the calibration fold, shape ``(n_rows,)``.
    labels
        Its labels.

    Raises
    ------
    TrainingError
        When an interval would not hold its probability.
    """
    floor = 1.0 / (len(margins) + 2)
    curve = IsotonicRegression(y_min=floor, y_max=1.0 - floor, out_of_bounds="clip")
    curve.fit(margins, labels.astype(np.float64))
    knots, low, high = venn_abers(margins, labels)
    low_margins, low = _compress(knots, low)
    high_margins, high = _compress(knots, high)
    calibration = Calibration(
        tuple(curve.X_thresholds_.tolist()),
        tuple(curve.y_thresholds_.tolist()),
        low_margins,
        low,
        high_margins,
        high,
    )
    _verify_order(calibration, knots)
    return calibration


def venn_abers(
    margins: Matrix, labels: Labels
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Return the distinct margins and the Venn-ABERS estimates between them.

    Parameters
    ----------
    margins, labels
        Calibration fold.

    Returns
    -------
    knots
        Distinct margins, rising, shape ``(n_knots,)``.
    low
        Estimate with the new order counted as favourable, shape ``(n_knots + 1,)``: element i
        holds from knot i - 1, included, to knot i, excluded.
    high
        Estimate with it counted as adverse: element i holds from knot i - 1, excluded, to knot i,
        included.
    """
    knots, places = np.unique(margins, return_inverse=True)
    weights = np.bincount(places)
    adverse = np.bincount(places, weights=labels.astype(np.float64)).astype(np.int64)
    high = (*_upper(weights, adverse), 1.0)
    turned = _upper(weights[::-1], (weights - adverse)[::-1])
    low = (*(1.0 - estimate for estimate in (*turned, 1.0)),)[::-1]
    return tuple(knots.tolist()), low, high


def probabilities_of(calibration: Calibration, margins: Matrix) -> Matrix:
    """Return the calibrated probability at each margin, read as it is when deciding."""
    return np.array([calibration.probability(margin) for margin in margins.tolist()])


def _upper(weights: npt.NDArray[np.int64], adverse: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """Return the estimates with one adverse row added at each knot; integers, so exact."""
    xs, ys = np.cumsum(weights).tolist(), np.cumsum(adverse).tolist()
    points: list[_Point] = [(-1, -1), (0, 0), *zip(xs, ys, strict=True)]
    corners: list[_Point] = []
    for point in points:
        while len(corners) > 1 and not _turns_left(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    # The stack is now read from the left: its top is the first corner.
    stack = corners[::-1]
    estimates = []
    for index in range(2, len(points)):
        (x1, y1), (x2, y2) = stack[-1], stack[-2]
        estimates.append((y2 - y1) / (x2 - x1))
        before, here, after = points[index - 2], points[index - 1], points[index]
        moved = (before[0] + after[0] - here[0], before[1] + after[1] - here[1])
        points[index - 1] = moved
        if not _is_below((x1, y1), (x2, y2), moved):
            continue
        stack.pop()
        while len(stack) > 1 and not _turns_left(moved, stack[-1], stack[-2]):
            stack.pop()
        stack.append(moved)
    return tuple(estimates)


def _turns_left(first: _Point, second: _Point, third: _Point) -> bool:
    return _cross(first, second, third) > 0


def _is_below(first: _Point, second: _Point, point: _Point) -> bool:
    return _cross(first, second, point) < 0


def _cross(first: _Point, second: _Point, third: _Point) -> int:
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (
        third[0] - first[0]
    )


def _compress(
    knots: tuple[float, ...], steps: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Leave out the knots between equal steps."""
    kept = [place for place, (left, right) in enumerate(pairwise(steps)) if left != right]
    return tuple(knots[place] for place in kept), (
        steps[0],
        *(steps[place + 1] for place in kept),
    )


def _verify_order(calibration: Calibration, knots: tuple[float, ...]) -> None:
    between = [(left + right) / 2 for left, right in pairwise(knots)]
    for margin in (knots[0] - 1.0, *knots, *between, knots[-1] + 1.0):
        low, high = calibration.interval(margin)
        probability = calibration.probability(margin)
        if not low <= probability <= high:
            raise TrainingError(
                f"at margin {margin!r} the interval {low!r} to {high!r} misses {probability!r}"
            )
