"""Compares explanations with the truth: whether the reasons name what really drove the event.

Pure arithmetic on two arrays; it knows neither orders nor models, so the test and the model card
hold the same numbers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.domain import Json

TOP = 3
TRUE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class DriverTruth:
    """How one driver fared where it was the strongest.

    Parameters
    ----------
    driver
        Its name.
    strongest
        Orders whose strongest true driver it is.
    found
        Part of them in which it is among the top three reasons; NaN when there are none.
    """

    driver: str
    strongest: int
    found: float


@dataclass(frozen=True, slots=True)
class ExplanationTruth:
    """How well explanations agree with the mechanism.

    Parameters
    ----------
    orders
        How many were compared.
    strongest_in_top_3
        Part whose strongest true driver (largest true effect) is among the three groups with the
        largest contributions.
    top_is_true
        Part whose first reason is a true driver: a true effect of at least a tenth of the sum of
        the order's positive true effects.
    top_is_strongest
        Part whose first reason is the strongest true driver.
    drivers
        The same by driver, in the order given.
    """

    orders: int
    strongest_in_top_3: float
    top_is_true: float
    top_is_strongest: float
    drivers: tuple[DriverTruth, ...]

    def figures(self) -> dict[str, Json]:
        """Return the numbers as plain JSON data, for the model card."""
        return {
            "orders": self.orders,
            "strongest_in_top_3": self.strongest_in_top_3,
            "top_is_true": self.top_is_true,
            "top_is_strongest": self.top_is_strongest,
            "drivers": [
                {"driver": d.driver, "strongest": d.strongest, "found": d.found}
                for d in self.drivers
                if d.strongest
            ],
        }

    def text(self) -> str:
        """Return the table as text, one driver a line."""
        lines = [f"{'strongest true driver':<24}{'orders':>8}{'in top 3':>10}"]
        lines += [
            f"{d.driver:<24}{d.strongest:>8}{d.found:>10.1%}" for d in self.drivers if d.strongest
        ]
        lines += [
            f"{'all':<24}{self.orders:>8}{self.strongest_in_top_3:>10.1%}",
            f"first reason is a true driver: {self.top_is_true:.1%}",
            f"first reason is the strongest: {self.top_is_strongest:.1%}",
        ]
        return "\n".join(lines)


def explanation_truth(
    drivers: tuple[str, ...],
    contributions: npt.ArrayLike,
    true_effects: npt.ArrayLike,
) -> ExplanationTruth:
    """Compare the contributions of reason groups with the drivers' true effects.

    Parameters
    ----------
    drivers
        Names of the columns of both arrays.
    contributions
        SHAP values summed by reason group, log-odds, shape (n_orders, n_drivers).
    true_effects
        Shapley values in the mechanism's log-odds, same shape.

    Raises
    ------
    ValueError
        When the shapes do not fit or there are no orders.

    Examples
    --------
    >>> table = explanation_truth(("a", "b"), [[2.0, 0.1], [0.2, 0.3]], [[1.5, 0.0], [1.0, 0.2]])
    >>> table.strongest_in_top_3, table.top_is_true, table.top_is_strongest
    (1.0, 1.0, 0.5)
    """
    said = np.asarray(contributions, dtype=np.float64)
    true = np.asarray(true_effects, dtype=np.float64)
    if said.shape != true.shape or said.ndim != len(("orders", "drivers")) or not len(said):
        raise ValueError(f"shapes {said.shape} and {true.shape} are not orders by drivers")
    if said.shape[1] != len(drivers):
        raise ValueError(f"{len(drivers)} drivers but {said.shape[1]} columns")
    rows = np.arange(len(said))
    strongest, first = true.argmax(axis=1), said.argmax(axis=1)
    stronger_reasons = (said > said[rows, strongest][:, None]).sum(axis=1)
    found = stronger_reasons < TOP
    positive = np.maximum(true, 0.0)
    is_true = (true[rows, first] > 0) & (true[rows, first] >= TRUE_SHARE * positive.sum(axis=1))
    return ExplanationTruth(
        orders=len(said),
        strongest_in_top_3=float(found.mean()),
        top_is_true=float(is_true.mean()),
        top_is_strongest=float((first == strongest).mean()),
        drivers=tuple(
            _one_driver(name, found[strongest == column]) for column, name in enumerate(drivers)
        ),
    )


def _one_driver(name: str, found: npt.NDArray[np.bool_]) -> DriverTruth:
    return DriverTruth(name, len(found), float(found.mean()) if len(found) else float("nan"))
