"""Draws that the simulated worlds share."""

import numpy as np
import numpy.typing as npt


def happens(
    random: np.random.Generator, probability: npt.ArrayLike, orders: int
) -> npt.NDArray[np.bool_]:
    """Return, for each order, whether something happens that has this probability.

    Examples
    --------
    >>> happens(np.random.default_rng(1), [0.0, 1.0], 2).tolist()
    [False, True]
    """
    return np.asarray(random.random(orders) < np.asarray(probability), dtype=np.bool_)
