"""Levers: what somebody could change about one order, and the written values worth trying.

Between two split points of a feature the model is constant, so the nearest written value in each
interval stands for all of it. Policy rules change their mind at their constants, so these are
split points too.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.decide import LoadedModel
from models.declarations import Actionable, Feature
from models.domain import Snapshot
from models.scorer import Matrix


@dataclass(frozen=True, slots=True)
class Lever:
    """An actionable feature of one order: its column and the values worth trying, nearest first."""

    feature: Feature
    column: int
    present: float
    scale: float
    values: tuple[float, ...]

    def sizes(self, values: Matrix) -> Matrix:
        """Return how large changes to `values` are, in the kind's scale."""
        return np.abs(values - self.present) / self.scale

    def best(self) -> float:
        """Return the value with the smallest margin, if the model is monotone in the feature."""
        tried = (self.present, *self.values)
        return min(tried) if self.feature.monotone > 0 else max(tried)


def find_levers(model: LoadedModel, snapshot: Snapshot) -> list[Lever]:
    """Return the actionable features that the order has a value of, with something to try."""
    levers = []
    for column, feature in enumerate(model.kind.features):
        present = snapshot.features.get(feature.name)
        if feature.actionable is None or not isinstance(present, float):
            continue
        points = (*model.thresholds[column], *_rule_points(model, feature.name))
        values = written_values(present, points, feature.actionable)
        if values:
            levers.append(Lever(feature, column, present, feature.actionable.scale, values))
    return levers


def _rule_points(model: LoadedModel, name: str) -> Iterator[float]:
    # A rule changes its mind at its constant, so both sides of it are tried.
    for constant in model.policy.constants(name):
        yield constant
        yield math.nextafter(constant, -math.inf)


def written_values(
    present: float, points: Iterable[float], actionable: Actionable
) -> tuple[float, ...]:
    """Return for each interval between split points its nearest value that may be written."""
    low, high, step = actionable.minimum, actionable.maximum, actionable.step
    near, above, below = _beside(tuple(points), low, high, step)
    here = bisect_left(near, present)
    values = {*above[here:], *below[:here]}
    within = {value for value in values if low <= value <= high and value != present}
    return tuple(sorted(within, key=lambda value: (abs(value - present), value)))


@lru_cache(maxsize=256)
def _beside(
    points: tuple[float, ...], low: float, high: float, step: float
) -> tuple[tuple[float, ...], ...]:
    """Return the points that matter, rising, and the values that may be written beside each.

    They follow from the model and the policy alone, and every order asks for the same ones.
    """
    # LightGBM also splits at infinity, to part missing values; no written value lies beyond.
    near = tuple(sorted({point for point in points if low - step <= point <= high + step}))
    above = tuple(_first_above(point, step) for point in near)
    return near, above, tuple(_last_up_to(point, step) for point in near)


def _first_above(point: float, step: float) -> float:
    count = math.floor(point / step)
    # The quotient may be off by one in its last digit, hence the neighbours.
    tried = (_rounded(n * step, step) for n in (count, count + 1, count + 2))
    return next(value for value in tried if value > point)


def _last_up_to(point: float, step: float) -> float:
    count = math.floor(point / step)
    return next(
        v for n in (count + 1, count, count - 1) if (v := _rounded(n * step, step)) <= point
    )


def _rounded(value: float, step: float) -> float:
    digits = max(0, -math.floor(math.log10(step)) + 1)
    return round(value, digits) + 0.0
