"""Trying every change that may be written, to hold a shown counterfactual against all of them.

The whole path decides each changed order; none of the search's own shortcuts is used.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final, TypeAlias

import orjson
import pytest

from models.counterfactual import changed_order
from models.decide import decide_cases
from models.declarations import Feature
from models.domain import FieldChange
from service.answers import JsonObject
from service.usecases.cases import read_case
from service.usecases.records import read_object
from service.wiring import Platform

_MOST_SHOWN: Final = 3
# Sizes are sums of quotients: two ways to the same change may differ in the last digit.
_TOLERANCE: Final = 1e-9
Values: TypeAlias = Mapping[str, float]
Decided: TypeAlias = tuple[Values, str]


@dataclass(frozen=True, slots=True)
class Tried:
    """Whole orders with other values, decided."""

    platform: Platform
    kind: str
    order: JsonObject
    present: Values
    levers: dict[str, Feature]

    def size(self, values: Values) -> float:
        """Return how large a change is, in the kind's scales."""
        return math.fsum(
            abs(value - self.present[name]) / self._scale(name) for name, value in values.items()
        )

    def written(self, name: str) -> list[float]:
        """Return every value that may be written, but the present one."""
        actionable = self.levers[name].actionable
        assert actionable is not None
        count = round((actionable.maximum - actionable.minimum) / actionable.step)
        values = [round(actionable.minimum + n * actionable.step, 6) for n in range(count + 1)]
        return [value for value in values if value != self.present[name]]

    def outcomes(self, changes: Sequence[Values]) -> list[str]:
        """Decide the order with each of these changes, by the whole path."""
        model, body = self.platform.live.get(self.kind), orjson.dumps(self.order)
        cases = [
            read_case(self.platform, model, changed_order(body, self._fields(values)))
            for values in changes
        ]
        decisions = decide_cases(model, [case.case for case in cases], lambda: 0.0, 0.0)
        return [decision.verdict.outcome for decision in decisions]

    def _scale(self, name: str) -> float:
        actionable = self.levers[name].actionable
        assert actionable is not None
        return actionable.scale

    def _fields(self, values: Values) -> dict[str, FieldChange]:
        return {
            name: FieldChange(str(self.levers[name].source), self.present[name], value)
            for name, value in values.items()
        }


def is_smallest(platform: Platform, order: JsonObject, answer: JsonObject, most: int) -> bool:
    """Hold one answer's counterfactuals against everything that may be written.

    Parameters
    ----------
    order, answer
        As posted, as answered.
    most
        The largest number of pairs of changes that is tried.

    Returns
    -------
    bool
        False when more pairs would have to be tried, so nothing was.
    """
    tried = _open(platform, order, answer)
    shown = [read_changes(one) for one in objects(answer["counterfactuals"])]
    ones, twos = ([values for values in shown if len(values) == n] for n in (1, 2))
    # No pair is smaller than the largest shown: a lever that is enough alone is in none.
    levers = [name for name in tried.levers if not any(name in values for values in ones)]
    limit = max((tried.size(values) for values in twos), default=0.0)
    pairs = list(combinations(levers, 2)) if twos else []
    if sum(len(_within(tried, pair, limit)) for pair in pairs) > most:
        return False
    # 1. Every single change, and which outcomes count: those that the answer looked for in the end.
    everything = {name: _decide_all(tried, (name,), math.inf) for name in tried.levers}
    targets = _targets(tried, answer, everything.values())
    # 2. One change: for each lever the smallest, in order, and no other.
    best = {name: _smallest(tried, decided, targets) for name, decided in everything.items()}
    alone = sorted((found for found in best.values() if found is not None), key=tried.size)
    assert len(ones) == min(len(alone), _MOST_SHOWN)
    for found, values in zip(alone, ones, strict=False):
        assert tried.size(values) == pytest.approx(tried.size(found), abs=_TOLERANCE)
        assert tried.size(values) == pytest.approx(
            tried.size(best[next(iter(values))] or {}), abs=_TOLERANCE
        )
    # 3. Two changes: those shown are the smallest of all pairs.
    if twos:
        assert len(ones) == len(alone)
    found_pairs = [_smallest(tried, _decide_all(tried, pair, limit), targets) for pair in pairs]
    sizes = sorted(tried.size(found) for found in found_pairs if found is not None)
    assert [tried.size(values) for values in twos] == pytest.approx(
        sizes[: len(twos)], abs=_TOLERANCE
    )
    return True


def _open(platform: Platform, order: JsonObject, answer: JsonObject) -> Tried:
    kind = str(answer["kind"])
    features = read_object(answer["features"])
    levers = {
        feature.name: feature
        for feature in platform.live.get(kind).kind.features
        if feature.actionable is not None and isinstance(features[feature.name], float | int)
    }
    present = {name: number(features[name]) for name in levers}
    return Tried(platform, kind, order, present, levers)


def _targets(tried: Tried, answer: JsonObject, everything: Iterable[Sequence[Decided]]) -> set[str]:
    outcomes = tried.platform.live.get(tried.kind).kind.outcomes
    reached = {str(one["outcome"]) for one in objects(answer["counterfactuals"])}
    favourable = {outcomes.favourable.code}
    if reached & favourable or answer["outcome"] == outcomes.review.code:
        return favourable
    # Nothing leads from a refusal to yes, so what leads to a person is shown.
    assert all(outcome not in favourable for one in everything for _, outcome in one)
    return favourable | {outcomes.review.code}


def _decide_all(tried: Tried, names: tuple[str, ...], limit: float) -> list[Decided]:
    """Decide with every change of exactly these levers that may be written, up to a size."""
    changes = _within(tried, names, limit)
    return list(zip(changes, tried.outcomes(changes), strict=True))


def _smallest(tried: Tried, decided: Sequence[Decided], targets: set[str]) -> Values | None:
    found = [values for values, outcome in decided if outcome in targets]
    return min(found, key=tried.size, default=None)


def _within(tried: Tried, names: tuple[str, ...], limit: float) -> list[Values]:
    near = [
        [value for value in tried.written(name) if tried.size({name: value}) <= limit + _TOLERANCE]
        for name in names
    ]
    changes = (dict(zip(names, values, strict=True)) for values in product(*near))
    return [values for values in changes if tried.size(values) <= limit + _TOLERANCE]


def read_changes(shown: JsonObject) -> Values:
    """Return what a shown counterfactual would write, by feature."""
    changes = read_object(shown["changes"])
    return {name: number(read_object(change)["to"]) for name, change in changes.items()}


def objects(value: object) -> list[JsonObject]:
    """Return a JSON list of objects."""
    assert isinstance(value, list)
    return [read_object(one) for one in value]


def number(value: object) -> float:
    """Return a JSON number."""
    assert isinstance(value, (int, float))
    return float(value)
