"""The search finds what trying every combination finds, in the same order."""

import math
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.levers import Lever
from models.scorer import Scorer
from models.smallest_change import (
    Levers,
    Reach,
    highest_margin,
    reachable,
    reaching_trials,
)
from tests.models.examples import model_text, small_kind

_RATE, _STOCK = 0, 1


@cache
def scorer() -> Scorer:
    return Scorer(model_text(), 4)


def lever(column: int, present: float, values: tuple[float, ...], *, monotone: bool) -> Lever:
    feature = small_kind().features[column]
    if not monotone:
        feature = feature.model_copy(update={"monotone": 0})
    return Lever(feature, column, present, 0.5 if column == _RATE else 100.0, values)


def levers(rate: float, stock: float, *, monotone: tuple[bool, bool]) -> Levers:
    rates = tuple(n / 20 for n in range(21) if n / 20 != rate)
    stocks = tuple(float(n) for n in range(0, 200, 9) if n != stock)
    return (
        lever(_RATE, rate, rates, monotone=monotone[0]),
        lever(_STOCK, stock, stocks, monotone=monotone[1]),
    )


def reach(rate: float, stock: float, highest: float) -> Reach:
    return Reach(scorer(), np.array([[rate, stock, 0.0, 0.0]]), highest)


def every_trial(where: Reach, chosen: Levers, most: float) -> list[tuple[float, tuple[float, ...]]]:
    """Score every combination by itself."""
    found = []
    for values in product(*(one.values for one in chosen)):
        written = np.array([values])
        size = sum(one.sizes(written[:, n])[0] for n, one in enumerate(chosen))
        if size <= most and where.margins(chosen, written)[0] <= where.highest:
            found.append((float(size), values))
    return sorted(found)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 20),
    st.integers(0, 200),
    st.floats(-4.0, 4.0),
    st.sampled_from([(True, True), (False, True), (True, False), (False, False)]),
    st.sampled_from([0.4, 1.5, math.inf]),
)
def test_every_combination_that_reaches_is_given_smallest_first(
    twentieths: int, stock: int, highest: float, monotone: tuple[bool, bool], most: float
) -> None:
    """Halving along a monotone lever leaves nothing out, and neither does scoring in parts."""
    rate = twentieths / 20
    where = reach(rate, stock, highest)
    pair = levers(rate, stock, monotone=monotone)
    for chosen in ((pair[0],), (pair[1],), pair):
        found = [(one.size, one.values) for one in reaching_trials(where, chosen, most)]
        assert found == every_trial(where, chosen, most)


def test_sets_that_cannot_reach_are_dropped_unless_the_model_may_turn_back() -> None:
    sure = levers(0.9, 20.0, monotone=(True, True))
    turning = levers(0.9, 20.0, monotone=(False, True))
    where = reach(0.9, 20.0, -50.0)
    assert reachable(where, [sure, (sure[0],)]) == []
    assert reachable(where, [turning, (turning[1],)]) == [turning]
    assert reachable(where, []) == []


def test_sets_with_most_room_come_first() -> None:
    pair = levers(0.9, 20.0, monotone=(True, True))
    sets: list[Levers] = [(pair[0],), (pair[1],), pair]
    assert reachable(reach(0.9, 20.0, math.inf), sets)[0] == pair


def test_trials_are_told_apart_by_size_and_names() -> None:
    pair = levers(0.9, 20.0, monotone=(True, True))
    first = next(reaching_trials(reach(0.9, 20.0, math.inf), pair, math.inf))
    assert first.key() == (first.size, ("return_rate", "stock"))


@pytest.mark.parametrize("edge", [-3.25, 0.0, 1e-9, 7.1])
def test_the_highest_margin_is_exact(edge: float) -> None:
    found = highest_margin(lambda margin: margin <= edge)
    assert found == edge
    below = highest_margin(lambda margin: margin < edge)
    assert below == math.nextafter(edge, -math.inf)


def test_the_highest_margin_may_be_none_or_any() -> None:
    assert highest_margin(lambda _margin: False) == -math.inf
    assert highest_margin(lambda _margin: True) == math.inf
