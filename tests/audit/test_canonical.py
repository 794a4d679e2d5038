"""Bytes of values: RFC 8785 for headers, exact JSON for facts."""

import math
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.canonical import canonical_json, facts_json, parse_json
from audit.errors import RecordMalformedError
from tests.audit.sample import UNHURRIED

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(1e-7, 1e-2)
    | st.floats(0, 1)
    | st.text()
    | st.text(st.characters(min_codepoint=0xD000, exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@settings(**UNHURRIED)
@given(VALUES)
def test_canonical_json_is_rfc8785(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """The fast path and the slow path give the bytes of RFC 8785."""
    assert canonical_json(value) == rfc8785.dumps(value)


@settings(**UNHURRIED)
@given(st.floats(1e-4, 1e16))
def test_floats_are_written_as_ecmascript_does(value: float) -> None:
    """A float on the fast path is written as RFC 8785 asks."""
    assert canonical_json([value, -value]) == rfc8785.dumps([value, -value])


@settings(**UNHURRIED)
@given(VALUES)
def test_facts_come_back_bit_for_bit(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """What is written as facts is read back with every float exact."""
    again = parse_json(facts_json(value))
    assert again == value
    assert facts_json(again) == facts_json(value)


def test_minus_zero_is_written_as_zero() -> None:
    assert facts_json({"a": [-0.0]}) == b'{"a":[0.0]}'


def test_the_order_of_facts_is_kept() -> None:
    assert facts_json({"b": 1, "a": 2}) == b'{"b":1,"a":2}'


def test_a_subclass_of_float_is_written_as_a_float() -> None:
    class Probability(float):
        __slots__ = ()

    assert facts_json([Probability(0.5)]) == b"[0.5]"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(RecordMalformedError):
        facts_json({"a": [value]})
    with pytest.raises(RecordMalformedError):
        canonical_json({"a": [value]})


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, object(), {1: 2}, 2**80])
def test_what_is_not_json_is_refused(value: Any) -> None:  # noqa: ANN401 - deliberately no JSON
    with pytest.raises(RecordMalformedError):
        canonical_json(value)
    with pytest.raises(RecordMalformedError):
        facts_json(value)


def test_integers_beyond_the_safe_range_have_no_canonical_form() -> None:
    with pytest.raises(RecordMalformedError):
        canonical_json(2**53)


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'"\xff"', b"{'a':1}"])
def test_what_is_not_json_is_not_read(body: bytes) -> None:
    with pytest.raises(RecordMalformedError):
        parse_json(body)


def test_reading_agrees_with_orjson() -> None:
    assert parse_json(b'{"a":[1,2.5,"x",null]}') == orjson.loads(b'{"a":[1,2.5,"x",null]}')
