"""The simulator's truth: log-odds from named drivers, and each driver's exact Shapley value.

The mechanism is a sum of one term per driver and of products of two drivers' terms. For such a
function the interventional Shapley value has a closed form, so no order's truth is sampled or
approximated. This module knows nothing of orders, channels or fraud.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
_QUADRATURE_POINTS = 21


@dataclass(frozen=True, slots=True)
class Pair:
    """An interaction: weight times `left` (of the first driver) times `right` (of the second).

    Parameters
    ----------
    first, second
        Names of two different drivers.
    weight
        Log-odds when both terms are 1.
    left, right
        One value per order, shape (n,), each computed from its own driver's variables alone.
    """

    first: str
    second: str
    weight: float
    left: FloatArray
    right: FloatArray


@dataclass(frozen=True, slots=True)
class Mechanism:
    """How an adverse event comes about, evaluated on a sample of orders.

    Parameters
    ----------
    intercept
        Log-odds of an order on which no driver acts. A constant: the mechanism does not drift.
    main
        Driver name to its own term in log-odds, shape (n,).
    pairs
        The interactions.
    noise_scale
        Standard deviation, in log-odds, of what no field of an order shows.

    Examples
    --------
    >>> ones = np.array([0.0, 1.0])
    >>> truth = Mechanism(-1.0, {"a": ones, "b": ones}, (Pair("a", "b", 2.0, ones, ones),), 0.0)
    >>> truth.log_odds().tolist()
    [-1.0, 3.0]
    >>> {name: effect.tolist() for name, effect in truth.effects().items()}
    {'a': [-1.0, 1.0], 'b': [-1.0, 1.0]}
    """

    intercept: float
    main: dict[str, FloatArray]
    pairs: tuple[Pair, ...]
    noise_scale: float

    def log_odds(self) -> FloatArray:
        """Return the log-odds of what the orders show, shape (n,)."""
        total = np.full(len(next(iter(self.main.values()))), self.intercept)
        for term in self.main.values():
            total += term
        for pair in self.pairs:
            total += pair.weight * pair.left * pair.right
        return total

    def probability(self) -> FloatArray:
        """Return the adverse probability given all that the orders show, shape (n,).

        Notes
        -----
        The hidden noise is integrated out by Gauss-Hermite quadrature.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(_QUADRATURE_POINTS)
        shown = self.log_odds()
        mean = np.zeros_like(shown)
        for node, weight in zip(nodes, weights / weights.sum(), strict=True):
            mean += weight / (1.0 + np.exp(-(shown + self.noise_scale * node)))
        return mean

    def effects(self) -> dict[str, FloatArray]:
        """Return each driver's Shapley value in log-odds, shape (n,), the sample as background.

        Notes
        -----
        The game is the interventional one: the value of a coalition is the mean log-odds when its
        drivers keep the order's values and all others take those of a background order. A driver's
        own term g contributes g(x) - mean g. A product a*b is a game of two players, whose Shapley
        value is the mean of the two orders of joining: for the first player
        ((a*mean b - mean ab) + (ab - mean a * b)) / 2. Shapley values add over summands.
        """
        effects = {name: term - term.mean() for name, term in self.main.items()}
        for pair in self.pairs:
            left, right = pair.left, pair.right
            both, together = left * right, float(np.mean(left * right))
            alone_left, alone_right = left * right.mean(), left.mean() * right
            half = 0.5 * pair.weight
            effects[pair.first] += half * (alone_left - together + both - alone_right)
            effects[pair.second] += half * (alone_right - together + both - alone_left)
        return effects


def ramp(values: npt.ArrayLike, start: float, end: float) -> FloatArray:
    """Rise from 0 at `start` to 1 at `end`, straight; a missing value (NaN) gives 0.

    Examples
    --------
    >>> ramp([1.0, 3.0, 9.0, float("nan")], 2.0, 4.0).tolist()
    [0.0, 0.5, 1.0, 0.0]
    """
    scaled = (np.asarray(values, dtype=np.float64) - start) / (end - start)
    return np.nan_to_num(np.clip(scaled, 0.0, 1.0), nan=0.0)


def expected_auc(score: FloatArray, probability: FloatArray) -> float:
    """Return the AUC of `score` when labels are drawn from `probability`.

    With the true probability as score it is the Bayes AUC: no model that sees the same can beat it
    but by luck.

    Examples
    --------
    >>> expected_auc(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    1.0
    """
    order = np.argsort(score, kind="stable")
    adverse, fine = probability[order], 1.0 - probability[order]
    below = np.cumsum(fine) - fine
    return float((adverse * below).sum() / (adverse.sum() * fine.sum() - (adverse * fine).sum()))


def share(part: npt.ArrayLike, whole: npt.ArrayLike) -> FloatArray:
    """Part over whole; NaN where nothing was counted.

    Examples
    --------
    >>> share([9.0, 0.0], [12.0, 0.0]).tolist()
    [0.75, nan]
    """
    above = np.asarray(part, dtype=np.float64)
    below = np.asarray(whole, dtype=np.float64)
    quotient = np.full(above.shape, np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient
