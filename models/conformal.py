"""Outcome sets with a promise: label-conditional conformal prediction on the margin.

For each true label, at most a set share of orders may be automated wrongly. The set of an order
holds every label that its margin does not contradict at that error rate; a set with one label may
be automated, any other goes to a person. The table is made in training from the calibration part
and only read here.

Notes
-----
Mondrian (label-conditional) split conformal prediction: Vovk, Gammerman and Shafer (2005),
section 4.5; Sadinle, Lei and Wasserman (2019). The guarantee is marginal over exchangeable orders:
an order of a label is left out of its set with probability at most the error rate of that label.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.domain import Json, Side
from models.errors import BundleCorruptError

_TABLES = ("adverse", "favourable")
_KEPT_SHARE = 0.5
# Above it the table ends: more than half of a label left out is no promise.
MOST_ERROR = 0.5


@dataclass(frozen=True, slots=True)
class Conformal:
    """The margins of the calibration part that decide what a set holds.

    Parameters
    ----------
    adverse
        Smallest margins (log-odds) of the adverse orders, rising; half of them are kept.
    favourable
        Largest margins of the favourable orders, falling; half of them are kept.
    n_adverse, n_favourable
        How many orders of each label there were.
    """

    adverse: tuple[float, ...]
    favourable: tuple[float, ...]
    n_adverse: int
    n_favourable: int

    def lowest_adverse(self, error_rate: float) -> float:
        """Return the smallest margin at which `adverse` is still in the set.

        Parameters
        ----------
        error_rate
            Share of adverse orders that may be left out, up to 0.5; none may at 0 and below.

        Examples
        --------
        >>> table = Conformal((-1.0, 0.0, 0.5), (2.0, 1.0, 0.1), 6, 6)
        >>> table.lowest_adverse(0.3), table.highest_favourable(0.3)
        (0.0, 1.0)
        """
        rank = math.floor(error_rate * (self.n_adverse + 1))
        return -math.inf if rank <= 0 else self.adverse[min(rank, len(self.adverse)) - 1]

    def highest_favourable(self, error_rate: float) -> float:
        """Return the largest margin at which `favourable` is still in the set."""
        rank = math.floor(error_rate * (self.n_favourable + 1))
        return math.inf if rank <= 0 else self.favourable[min(rank, len(self.favourable)) - 1]

    def outcome_set(
        self, margin: float, adverse_error: float, favourable_error: float
    ) -> frozenset[Side]:
        """Return the labels that `margin` does not contradict.

        Parameters
        ----------
        margin
            Log-odds.
        adverse_error, favourable_error
            Working error rate of each true label, up to 0.5.
        """
        found = set()
        if margin >= self.lowest_adverse(adverse_error):
            found.add(Side.ADVERSE)
        if margin <= self.highest_favourable(favourable_error):
            found.add(Side.FAVOURABLE)
        return frozenset(found)

    def canonical(self) -> dict[str, Json]:
        """Return the table as JSON data."""
        return {
            "adverse": list(self.adverse),
            "favourable": list(self.favourable),
            "n_adverse": self.n_adverse,
            "n_favourable": self.n_favourable,
        }


def build_conformal(margins: Sequence[float], labels: Sequence[int]) -> Conformal:
    """Make the table from the calibration part.

    Parameters
    ----------
    margins
        Log-odds, shape ``(n_rows,)``.
    labels
        1 for adverse, 0 for favourable, same length.

    Examples
    --------
    >>> build_conformal([0.3, -0.2, 0.1, -2.0], [1, 1, 0, 0]).n_adverse
    2
    """
    pairs = list(zip(margins, labels, strict=True))
    adverse = sorted(margin for margin, label in pairs if label)
    favourable = sorted((margin for margin, label in pairs if not label), reverse=True)
    return Conformal(
        adverse=tuple(adverse[: math.ceil(len(adverse) * _KEPT_SHARE)]),
        favourable=tuple(favourable[: math.ceil(len(favourable) * _KEPT_SHARE)]),
        n_adverse=len(adverse),
        n_favourable=len(favourable),
    )


def parse_conformal(document: Json) -> Conformal:
    """Read the table from JSON data.

    Raises
    ------
    BundleCorruptError
        When it is not such a table.
    """
    if not isinstance(document, dict):
        raise BundleCorruptError("the conformal table is not an object")
    lists = [document.get(name) for name in _TABLES]
    counts = [document.get(f"n_{name}") for name in _TABLES]
    tables = [
        tuple(float(item) for item in values if isinstance(item, (int, float)))
        for values in lists
        if isinstance(values, list)
    ]
    whole = [len(values) for values in lists if isinstance(values, list)]
    if len(tables) != len(_TABLES) or [len(table) for table in tables] != whole:
        raise BundleCorruptError("the conformal table holds something not a number")
    adverse, favourable = tables
    if list(adverse) != sorted(adverse) or list(favourable) != sorted(favourable, reverse=True):
        raise BundleCorruptError("the conformal table is not in order")
    n_adverse, n_favourable = (count if isinstance(count, int) else -1 for count in counts)
    if n_adverse < len(adverse) or n_favourable < len(favourable):
        raise BundleCorruptError("the conformal table has more rows than orders")
    return Conformal(adverse, favourable, n_adverse, n_favourable)


def adapted_rate(
    promise: float, present: float, *, was_wrong: bool, step: float, ceiling: float = MOST_ERROR
) -> float:
    """Return the next working error rate after one reported outcome of a label.

    Parameters
    ----------
    promise
        The error rate that is promised, 0 to 0.5.
    present
        The working rate so far. It may be below 0, where every set holds the label.
    was_wrong
        Whether the set of the reported order, at the present rate, leaves its true label out.
    step
        How fast to correct, 0 to 1.
    ceiling
        The rate never rises above it.

    Notes
    -----
    Adaptive conformal inference: Gibbs and Candes (2021), equation 2. The rate is not cut off at
    0: what was wronged below it has to be made good, or the long-run share of wrong sets would
    exceed the promise by more, the larger the step. It cannot fall below ``-step``, for at 0 and
    below nothing is left out.

    Examples
    --------
    >>> adapted_rate(0.1, 0.1, was_wrong=True, step=0.01) < 0.1
    True
    """
    moved = present + step * (promise - (1.0 if was_wrong else 0.0))
    return min(moved, ceiling)
