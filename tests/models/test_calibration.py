"""Calibration tables are read exactly, and refused when they are not tables."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import logistic, parse_calibration
from models.domain import Json
from models.errors import BundleCorruptError
from tests.models.examples import calibration


def test_ends_are_flat_and_knots_are_exact() -> None:
    table = calibration()
    assert [table.probability(m) for m in (-9.0, -3.0, 0.0, 1.5, 3.0, 9.0)] == [
        0.05, 0.05, 0.5, 0.725, 0.95, 0.95,
    ]  # fmt: skip
    assert table.interval(-1.0) == (0.3, 0.32)
    assert table.interval(1.0) == (0.7, 0.72)
    assert table.interval(0.0) == (0.3, 0.72)


def test_tables_survive_their_canonical_form() -> None:
    document: Json = calibration().canonical()
    assert parse_calibration(document) == calibration()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("margins", None),
        ("margins", [0.0]),
        ("margins", []),
        ("low", [0.1]),
        ("high", [0.9, 0.5, 0.1]),
        ("probabilities", [0.1, "x", 0.3]),
        ("probabilities", [0.1, 0.2, float("nan")]),
    ],
)
def test_broken_tables_are_refused(name: str, value: Json) -> None:
    with pytest.raises(BundleCorruptError):
        parse_calibration({**calibration().canonical(), name: value})


def test_no_object_is_refused() -> None:
    with pytest.raises(BundleCorruptError):
        parse_calibration([])


@given(st.lists(st.floats(-50, 50), min_size=2))
def test_probability_never_falls_as_the_margin_rises(margins: list[float]) -> None:
    """A larger margin never has a smaller calibrated probability."""
    table = calibration()
    found = [table.probability(margin) for margin in sorted(margins)]
    assert all(left <= right for left, right in pairwise(found))


@given(st.floats(allow_nan=False))
def test_logistic_is_a_probability(margin: float) -> None:
    """The logistic function stays within 0 and 1 for every float."""
    assert 0.0 <= logistic(margin) <= 1.0


@pytest.mark.parametrize(
    ("margin", "probability"),
    [
        ("-0x1.6890325fc6410p+1", "0x1.ce2c814fab720p-5"),
        ("-0x1.382bfb8244a20p+3", "0x1.e65d4bf3e5e45p-15"),
        ("-0x1.0a9ca5dbbfd97p+2", "0x1.f4b21f6a9986cp-7"),
        ("0x1.a059b9d797f20p-1", "0x1.62b511b4eb7a9p-1"),
    ],
)
def test_logistic_is_the_same_on_every_processor(margin: str, probability: str) -> None:
    """Here the C library's exponential ends in another bit without fused multiply-add."""
    assert logistic(float.fromhex(margin)).hex() == probability
