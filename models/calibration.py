"""From a margin to a calibrated probability and its interval, by table.

The tables are made in training (isotonic regression and Venn-ABERS on a fold of their own) and
stored in the bundle; here they are only read. Reading is plain arithmetic on the stored numbers in
a fixed order, so the same margin gives the same bits everywhere.

Notes
-----
Isotonic calibration: Zadrozny and Elkan (2002). Venn-ABERS intervals: Vovk and Petej (2014); for
each margin, the isotonic estimates with the new order counted once as favourable and once as
adverse.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Final

from models.domain import Json
from models.errors import BundleCorruptError

# More digits than a double holds, so that rounding twice comes to the same as rounding once.
_EXACT: Final = Context(prec=28)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration tables of one model.

    Parameters
    ----------
    margins, probabilities
        Knots of the isotonic curve, shape ``(n_knots,)``, margins strictly rising; linear between
        knots and flat outside.
    low_margins, low
        Lower ends: ``low[bisect_right(low_margins, margin)]``; `low` has one element more.
    high_margins, high
        Upper ends: ``high[bisect_left(high_margins, margin)]``; `high` has one element more.

    Examples
    --------
    >>> table = Calibration((-1.0, 1.0), (0.25, 0.5), (0.0,), (0.0, 0.3), (0.0,), (0.2, 0.6))
    >>> table.probability(0.0), table.interval(0.5)
    (0.375, (0.3, 0.6))
    """

    margins: tuple[float, ...]
    probabilities: tuple[float, ...]
    low_margins: tuple[float, ...]
    low: tuple[float, ...]
    high_margins: tuple[float, ...]
    high: tuple[float, ...]

    def probability(self, margin: float) -> float:
        """Return the calibrated probability of the adverse event at `margin` (log-odds)."""
        index = bisect_right(self.margins, margin)
        if index == 0:
            return self.probabilities[0]
        if index == len(self.margins):
            return self.probabilities[-1]
        left, right = self.margins[index - 1], self.margins[index]
        below, above = self.probabilities[index - 1], self.probabilities[index]
        return below + (above - below) * ((margin - left) / (right - left))

    def interval(self, margin: float) -> tuple[float, float]:
        """Return the Venn-ABERS interval at `margin`: (low, high)."""
        low = self.low[bisect_right(self.low_margins, margin)]
        return low, self.high[bisect_left(self.high_margins, margin)]

    def canonical(self) -> dict[str, Json]:
        """Return the tables as JSON data."""
        return {name: list(getattr(self, name)) for name in _TABLES}


_TABLES = ("margins", "probabilities", "low_margins", "low", "high_margins", "high")


def parse_calibration(document: Json) -> Calibration:
    """Read the tables from JSON data.

    Raises
    ------
    BundleCorruptError
        When a table is missing, has the wrong length, or is not rising.
    """
    if not isinstance(document, dict):
        raise BundleCorruptError("the calibration is not an object")
    tables = [_numbers(document.get(name), name) for name in _TABLES]
    calibration = Calibration(*tables)
    lengths_fit = (
        len(calibration.margins) == len(calibration.probabilities) > 0
        and len(calibration.low) == len(calibration.low_margins) + 1
        and len(calibration.high) == len(calibration.high_margins) + 1
    )
    if not lengths_fit:
        raise BundleCorruptError("the calibration's tables have lengths that do not fit")
    for name, table in zip(_TABLES, tables, strict=True):
        if any(left > right for left, right in pairwise(table)):
            raise BundleCorruptError(f"the calibration's table {name} is not rising")
    return calibration


def _numbers(value: Json, name: str) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise BundleCorruptError(f"the calibration has no table {name}")
    numbers = tuple(float(item) for item in value if isinstance(item, (int, float)))
    if len(numbers) != len(value) or not all(math.isfinite(number) for number in numbers):
        raise BundleCorruptError(f"the calibration's table {name} holds something not a number")
    return numbers


@lru_cache(maxsize=4096)
def logistic(margin: float) -> float:
    """Return the probability of a log-odds value, without overflow at either end.

    Notes
    -----
    The exponential is the correctly rounded one. The C library's takes another way on processors
    with fused multiply-add, and then 3 of 10,000 probabilities end in another bit.

    Examples
    --------
    >>> logistic(0.0), logistic(-800.0) >= 0.0
    (0.5, True)
    """
    power = float(_EXACT.exp(Decimal(-abs(margin))))
    return 1.0 / (1.0 + power) if margin >= 0 else power / (1.0 + power)
