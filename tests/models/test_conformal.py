"""Conformal sets keep their promise for each true label."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conformal import Conformal, adapted_rate, build_conformal, parse_conformal
from models.domain import Json, Side
from models.errors import BundleCorruptError


@pytest.mark.parametrize("error_rate", [0.02, 0.05, 0.1, 0.2])
def test_each_label_is_left_out_at_most_as_promised(error_rate: float) -> None:
    """Averaged over 200 random splits, the share left out is within a point of the promise."""
    random = np.random.default_rng(5)
    left_out = {Side.ADVERSE: 0, Side.FAVOURABLE: 0}
    seen = {Side.ADVERSE: 0, Side.FAVOURABLE: 0}
    for _ in range(200):
        labels = (random.random(900) < 0.3).astype(int)
        margins = random.normal(labels * 1.5, 1.0)
        table = build_conformal(margins[:600].tolist(), labels[:600].tolist())
        for margin, label in zip(margins[600:].tolist(), labels[600:].tolist(), strict=True):
            side = Side.ADVERSE if label else Side.FAVOURABLE
            seen[side] += 1
            left_out[side] += side not in table.outcome_set(margin, error_rate, error_rate)
    for side in Side:
        assert abs(left_out[side] / seen[side] - error_rate) < 0.01


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 1)), min_size=1, max_size=60),
    st.floats(-6, 6),
    st.floats(0, 0.2),
    st.floats(0, 0.2),
)
def test_a_larger_error_rate_never_enlarges_a_set(
    rows: list[tuple[float, int]], margin: float, rate: float, more: float
) -> None:
    """Sets shrink as the error rate grows, and an error rate of 0 leaves nothing out."""
    table = build_conformal([m for m, _ in rows], [y for _, y in rows])
    small = table.outcome_set(margin, rate + more, rate + more)
    assert small <= table.outcome_set(margin, rate, rate)
    assert table.outcome_set(margin, 0.0, 0.0) == set(Side)


def test_ends_of_the_table() -> None:
    table = Conformal((-1.0,), (1.0,), 2, 2)
    assert table.lowest_adverse(0.0) == -math.inf
    assert table.highest_favourable(0.0) == math.inf
    assert table.lowest_adverse(0.5) == -1.0
    assert table.outcome_set(-2.0, 0.5, 0.5) == {Side.FAVOURABLE}


def test_the_table_survives_its_canonical_form() -> None:
    table = build_conformal([0.1, 0.2, -0.3, 4.0, 1.0], [1, 0, 0, 1, 1])
    assert parse_conformal(table.canonical()) == table


@pytest.mark.parametrize(
    "changes",
    [
        {"adverse": None},
        {"adverse": ["x"]},
        {"adverse": [2.0, 1.0]},
        {"favourable": [1.0, 2.0]},
        {"n_adverse": 0},
        {"n_favourable": "3"},
    ],
)
def test_what_is_no_table_is_refused(changes: dict[str, Json]) -> None:
    document = build_conformal([0.1, 0.2, -0.3, 4.0], [1, 0, 0, 1]).canonical()
    with pytest.raises(BundleCorruptError):
        parse_conformal({**document, **changes})


def test_no_object_is_refused() -> None:
    with pytest.raises(BundleCorruptError):
        parse_conformal([])


def test_the_working_rate_follows_what_happened() -> None:
    assert adapted_rate(0.1, 0.1, was_wrong=True, step=0.05) == pytest.approx(0.055)
    assert adapted_rate(0.1, 0.1, was_wrong=False, step=0.05) == pytest.approx(0.105)


def test_the_working_rate_stops_at_its_ceiling() -> None:
    assert adapted_rate(0.1, 0.4999, was_wrong=False, step=0.05) == 0.5
    assert adapted_rate(0.1, 0.1, was_wrong=False, step=0.05, ceiling=0.1) == 0.1


def test_nothing_is_left_out_at_a_rate_below_zero() -> None:
    table = build_conformal([0.1, 0.2, -0.3, 4.0, 1.0], [1, 0, 0, 1, 1])
    for margin in (-100.0, 0.0, 100.0):
        assert table.outcome_set(margin, -0.3, -0.3) == set(Side)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-9, 9), min_size=300, max_size=300),
    st.floats(-4, 4),
    st.sampled_from([0.05, 0.1, 0.2]),
    st.sampled_from([0.005, 0.02, 0.1]),
)
def test_in_the_long_run_no_more_is_left_out_than_promised(
    margins: list[float], shift: float, promise: float, step: float
) -> None:
    """Whatever orders come, the share left out is at most promise + (promise + step) / (n * step).

    Gibbs and Candes (2021), proposition 4.1; it holds also under a ceiling.
    """
    table = build_conformal([m / 10 for m in range(-20, 20)], [1] * 40)
    for ceiling in (promise, 0.5):
        rate, left_out = promise, 0
        for margin in margins:
            was_wrong = margin + shift < table.lowest_adverse(rate)
            left_out += was_wrong
            rate = adapted_rate(promise, rate, was_wrong=was_wrong, step=step, ceiling=ceiling)
            assert -step <= rate <= ceiling
        assert left_out / len(margins) <= promise + (promise + step) / (len(margins) * step) + 1e-9
