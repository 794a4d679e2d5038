"""Feature functions: what they count, and that a missing input is a missing value."""

from datetime import date, datetime

import pytest

from models.errors import KindFileError
from models.features import (
    FUNCTIONS,
    Extractor,
    OrderValue,
    build_getter,
    count_true,
    days_between,
    distance_km,
    feature_code,
    hours_between,
    largest_share,
    local_hour,
    ratio,
    share_true,
    weighted_mean,
)
from models.kind import built_in_kind
from models.order import OrderSchema

NOON = datetime.fromisoformat("2026-02-01T12:00:00+08:00")


def test_nine_of_eleven_pieces_came_back_in_the_last_three_orders() -> None:
    assert ratio([3, 4, 2, 0], [4, 4, 3, 2], last=3) == 9 / 11
    assert ratio([3, 4, 2, 0], [4, 4, 3, 2]) == 9 / 13
    assert ratio(3, 12) == 0.25
    assert ratio([], [], last=3) is None
    assert ratio(4, 0) is None


def test_a_rule_ages_from_the_order_and_not_from_today() -> None:
    assert days_between(date(2026, 1, 15), NOON) == 17.0
    assert days_between(date(2026, 2, 3), NOON) == -2.0


def test_hours_cross_time_zones() -> None:
    assert hours_between(datetime.fromisoformat("2026-02-01T03:00:00+00:00"), NOON) == 1.0
    assert hours_between(date(2026, 2, 1), NOON) is None


def test_the_hour_is_the_shoppers_own() -> None:
    assert local_hour(NOON) == 12.0
    assert local_hour(date(2026, 2, 1)) is None


def test_distance_is_symmetric_and_zero_at_home() -> None:
    there, back = distance_km(31.2, 121.5, 1.3, 103.8), distance_km(1.3, 103.8, 31.2, 121.5)
    assert there == back == 3810.0
    assert distance_km(31.2, 121.5, 31.2, 121.5) == 0.0
    assert distance_km(0, 0, 0, 180) == pytest.approx(20015, abs=1)


def test_only_known_truths_are_counted() -> None:
    assert count_true([True, None, False, True]) == 2.0
    assert count_true(value := True) == float(value)
    assert share_true([True, None, False, True], last=2) == 1.0
    assert share_true([True, None, False, True]) == pytest.approx(2 / 3)


def test_lines_with_a_missing_part_are_left_out() -> None:
    assert weighted_mean([0.5, None, 1.0], [1, 1, 1], [10.0, 10.0, 30.0]) == 0.875
    assert largest_share([2, None, 1], [10.0, 99.0, 5.0]) == 0.8


def test_a_share_of_nothing_is_missing() -> None:
    assert weighted_mean([0.5], [0], [10.0]) is None
    assert largest_share([0], [10.0]) is None
    assert share_true([]) is None


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_missing_inputs_make_a_missing_value(name: str) -> None:
    """Every function answers None to None, except that a missing list holds zero elements."""
    inputs = {"distance_km": 4, "weighted_mean": 3}
    pairs = {"ratio", "difference", "days_between", "hours_between", "is_different"}
    number = inputs.get(name, 2 if name in pairs | {"largest_share"} else 1)
    assert FUNCTIONS[name](*[None] * number) == (0.0 if name == "count" else None)


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("a", 1),
        ("b.c", 2),
        ("b.missing", None),
        ("a.c", None),
        ("lines[].n", [3, None, None]),
        ("tags[]", ["x", "y"]),
        ("a[]", None),
        ("lines[].sub[].k", [[7, None], None, None]),
    ],
)
def test_a_path_reads_its_place_or_nothing(path: str, want: OrderValue) -> None:
    order: dict[str, OrderValue] = {
        "a": 1,
        "b": {"c": 2},
        "lines": [{"n": 3, "sub": [{"k": 7}, 4]}, {}, None],
        "tags": ["x", "y"],
    }
    assert build_getter(path)(order) == want


def test_an_empty_order_has_every_value_missing() -> None:
    """A kind's features of an order without optional fields are missing or zero counts."""
    for name in ("admission", "risk"):
        kind = built_in_kind(name)
        order = b'{"order_id": "A", "placed_at": "2026-02-01T12:00:00+08:00", "channel": "jd"}'
        snapshot = Extractor(kind).snapshot(OrderSchema(kind).parse(order).values)
        known = {n: v for n, v in {**snapshot.features, **snapshot.context}.items() if v}
        assert known in ({"channel": "jd"}, {"local_hour": 12.0, "channel": "jd"})


def test_a_kind_may_not_name_an_unknown_function_or_parameter() -> None:
    kind = built_in_kind("admission")
    feature = next(f for f in kind.features if f.function == "ratio")
    others = tuple(f for f in kind.features if f is not feature)
    for change, message in (
        ({"function": "rtaio"}, "no feature function 'rtaio'"),
        ({"params": {"lsat": 3}}, "unexpected keyword argument 'lsat'"),
    ):
        wrong = feature.model_copy(update=change)
        with pytest.raises(KindFileError, match=message):
            Extractor(kind.model_copy(update={"features": (*others, wrong)}))


def test_the_digest_of_the_code_is_a_sha256() -> None:
    assert feature_code().startswith("sha256:")
    assert len(feature_code()) == len("sha256:") + 64
