"""Conditions: one comparison, as data."""

import pytest

from models.condition import all_hold, parse_condition
from models.domain import JsonScalar
from models.errors import KindFileError


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("a < b", {"a": 1.0, "b": 2.0}, True),
        ("a < b", {"a": 2.0, "b": 2.0}, False),
        ("a <= 2", {"a": 2.0}, True),
        ("a > 0.5", {"a": 0.5}, False),
        ("a >= 0.5", {"a": 0.5}, True),
        ("a == 'x y'", {"a": "x y"}, True),
        ("a != 'x'", {"a": "y"}, True),
        ("a != 'x'", {"a": None}, False),
        ("a == true", {"a": True}, True),
        ("a == true", {"a": 1.0}, True),
        ("a == false", {"a": 1.0}, False),
        ("a is missing", {}, True),
        ("a is missing", {"a": 0.0}, False),
        ("a is present", {"a": 0.0}, True),
        ("a > 1", {"a": "text"}, False),
        ("a > b", {"a": 1.0}, False),
    ],
)
def test_holds(text: str, values: dict[str, JsonScalar], *, expected: bool) -> None:
    assert parse_condition(text).holds(values) is expected


@pytest.mark.parametrize("text", ["", "a", "a ~ 3", "A > 3", "a > 3 or 1", "a > __import__('os')"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(KindFileError, match="not a"):
        parse_condition(text)


def test_names_and_conjunction() -> None:
    both = (parse_condition("a > b"), parse_condition("c is present"))
    assert both[0].names() == ("a", "b")
    assert both[1].names() == ("c",)
    assert all_hold(both, {"a": 2.0, "b": 1.0, "c": "x"})
    assert not all_hold(both, {"a": 2.0, "b": 1.0})
