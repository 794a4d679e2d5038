"""The smallest change of given levers that leads to an outcome, without trying all of them.

The model's margin alone says where the outcome is possible: at most at `highest_margin`. Where the
model is monotone in a lever, the values that bring the margin so low are all those beyond one of
them, and that one is found by halving, for all values of the other lever at once. Where it is not,
every combination is scored, the small ones first. Nothing is sampled and nothing is left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.levers import Lever
from models.scorer import Matrix, Scorer

Levers: TypeAlias = tuple[Lever, ...]
_Places: TypeAlias = npt.NDArray[np.int64]
_FIRST_ROWS = 64
# No sum of leaf values in log-odds comes near it.
_FAR = 1e6


@dataclass(frozen=True, slots=True)
class Trial:
    """One change: values for some levers, and how large the whole is."""

    size: float
    levers: Levers
    values: tuple[float, ...]

    def key(self) -> tuple[float, tuple[str, ...]]:
        """Return what trials of different levers are sorted by."""
        return self.size, tuple(lever.feature.name for lever in self.levers)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where in the model's world an outcome is possible.

    Parameters
    ----------
    scorer
        The model.
    row
        The order as it is, shape ``(1, n_features)``.
    highest
        The largest margin (log-odds) at which the outcome is possible.
    """

    scorer: Scorer
    row: Matrix
    highest: float

    def margins(self, chosen: Levers, values: Matrix) -> Matrix:
        """Return the margins with these values written, shape ``(n_rows, n_levers)``."""
        rows = np.repeat(self.row, len(values), axis=0)
        rows[:, [lever.column for lever in chosen]] = values
        return self.scorer.margins(rows)


def highest_margin(is_possible: Callable[[float], bool]) -> float:
    """Return the largest margin at which something is possible that is so at all lower ones.

    Parameters
    ----------
    is_possible
        Tells it for a margin (log-odds).

    Returns
    -------
    float
        Minus infinity when it never is, infinity when it always is.

    Examples
    --------
    >>> highest_margin(lambda margin: margin <= 0.3)
    0.3
    """
    low, high = -_FAR, _FAR
    if is_possible(high):
        return np.inf
    if not is_possible(low):
        return -np.inf
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if is_possible(middle) else (low, middle)
    return low


def reachable(reach: Reach, sets: list[Levers]) -> list[Levers]:
    """Return the sets that may reach the outcome, those with most room first.

    The model is monotone in some features; where it is in all of a set, its smallest margin is at
    the ends of their ranges, so one row tells.
    """
    rows = np.repeat(reach.row, len(sets), axis=0)
    for place, chosen in enumerate(sets):
        rows[place, [lever.column for lever in chosen]] = [lever.best() for lever in chosen]
    margins = reach.scorer.margins(rows).tolist() if sets else []
    found = [
        (margin, place)
        for place, margin in enumerate(margins)
        if margin <= reach.highest or any(not lever.feature.monotone for lever in sets[place])
    ]
    return [sets[place] for _, place in sorted(found)]


def reaching_trials(reach: Reach, chosen: Levers, most: float) -> Iterator[Trial]:
    """Give the changes of exactly these levers that may reach the outcome, smallest first.

    Parameters
    ----------
    chosen
        One lever or several.
    most
        Only changes up to this size.
    """
    axis = max(
        (lever for lever in chosen if lever.feature.monotone),
        key=lambda lever: len(lever.values),
        default=None,
    )
    values = _grid([np.array(lever.values) for lever in chosen])
    sizes = np.sum([lever.sizes(values[:, n]) for n, lever in enumerate(chosen)], axis=0)
    within = np.flatnonzero(sizes <= most)
    values, sizes = values[within], sizes[within]
    if axis is not None:
        beyond = _beyond(reach, chosen, values, chosen.index(axis))
        values, sizes = values[beyond], sizes[beyond]
    order = np.lexsort((*values.T[::-1], sizes))
    scored = order if axis is not None else _scored(reach, chosen, values, order)
    for place in scored:
        yield Trial(float(sizes[place]), chosen, tuple(values[place].tolist()))


def _grid(axes: list[Matrix]) -> Matrix:
    return np.column_stack([grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")])


def _scored(reach: Reach, chosen: Levers, values: Matrix, order: _Places) -> Iterator[int]:
    """Give the places whose margin is low enough, scoring the first ones first."""
    start, count = 0, _FIRST_ROWS
    while start < len(order):
        part = order[start : start + count]
        yield from part[reach.margins(chosen, values[part]) <= reach.highest].tolist()
        start, count = start + count, count * 4


def _beyond(reach: Reach, chosen: Levers, values: Matrix, axis: int) -> _Places:
    """Return the places of all rows whose margin is low enough, by halving along one lever.

    Rows that differ in that lever alone are a line. Sorted from the highest margin to the lowest,
    those that are low enough are the end of their line.
    """
    # 1. Put each line together, its lowest margin last.
    falling = -chosen[axis].feature.monotone * values[:, axis]
    others = np.delete(values, axis, axis=1)
    order = np.lexsort((falling, *others.T))
    starts = np.ones(len(order), dtype=np.bool_)
    starts[1:] = (others[order[1:]] != others[order[:-1]]).any(axis=1)
    first = np.flatnonzero(starts)
    end = np.append(first[1:], len(order))
    # 2. Halve all lines at once: what is left of each is [low, high], high being low enough.
    low, high = first.copy(), end.copy()
    while (open_lines := np.flatnonzero(low < high)).size:
        # At first the last of each line is asked: most lines have none that is low enough.
        untried = high[open_lines] == end[open_lines]
        middle = np.where(untried, end[open_lines] - 1, (low[open_lines] + high[open_lines]) // 2)
        fits = reach.margins(chosen, values[order[middle]]) <= reach.highest
        high[open_lines[fits]] = middle[fits]
        low[open_lines[~fits]] = middle[~fits] + 1
    return np.concatenate([order[begin:stop] for begin, stop in zip(low, end, strict=True)])
