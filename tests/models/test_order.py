"""Orders are read strictly: each wrong place is named, unknown ones are noted."""

from datetime import date, datetime

import pytest

from models.errors import MalformedJsonError, OrderInvalidError
from models.order import OrderSchema
from tests.models.examples import order, small_kind


@pytest.fixture
def schema() -> OrderSchema:
    return OrderSchema(small_kind())


def test_values_are_typed_and_missing_ones_stay_missing(schema: OrderSchema) -> None:
    parsed = schema.parse(order(rule={"since": "2026-01-15"}, stock=7, express=None))
    assert parsed.values["rule"] == {"since": date(2026, 1, 15)}
    assert parsed.values["placed_at"] == datetime.fromisoformat("2026-02-01T10:00:00+08:00")
    assert parsed.values["stock"] == 7.0
    assert "customer" not in parsed.values
    assert parsed.unknown_fields == ()


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"stock": NaN}', b'{"stock": Infinity}', b"\xff", b"{'a': 1}"]
)
def test_what_is_not_json_is_refused(schema: OrderSchema, body: bytes) -> None:
    with pytest.raises(MalformedJsonError):
        schema.parse(body)


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"stock": "4"}, {"/stock"}),
        ({"stock": True}, {"/stock"}),
        ({"stock": -1, "express": "yes"}, {"/stock", "/express"}),
        ({"stock": 1001}, {"/stock"}),
        ({"order_id": 7}, {"/order_id"}),
        ({"order_id": None}, {"/order_id"}),
        ({"order_id": ""}, {"/order_id"}),
        ({"order_id": "x" * 201}, {"/order_id"}),
        ({"channel": "ebay"}, {"/channel"}),
        ({"placed_at": "2026-02-01T10:00:00"}, {"/placed_at"}),
        ({"placed_at": "1700000000"}, {"/placed_at"}),
        ({"rule": {"since": "2026-13-01"}}, {"/rule/since"}),
        ({"rule": {"since": 20260115}}, {"/rule/since"}),
        ({"rule": []}, {"/rule"}),
        ({"customer": {"recent_orders": [{"ordered": 1}, {"ordered": 1.5}]}},
         {"/customer/recent_orders/1/ordered"}),
        ({"lines": [{}] * 4}, {"/lines"}),
        ({"tags": ["a", 3]}, {"/tags/1"}),
    ],
)  # fmt: skip
def test_each_wrong_place_has_its_pointer(
    schema: OrderSchema, changes: dict[str, object], pointers: set[str]
) -> None:
    with pytest.raises(OrderInvalidError) as caught:
        schema.parse(order(**changes))
    assert {fault.pointer for fault in caught.value.faults} == pointers


def test_an_order_that_is_no_object_is_refused(schema: OrderSchema) -> None:
    with pytest.raises(OrderInvalidError) as caught:
        schema.parse(b"[1]")
    assert caught.value.faults[0].pointer == ""


def test_unknown_fields_are_named(schema: OrderSchema) -> None:
    parsed = schema.parse(
        order(note="x", customer={"vip/level": 3}, lines=[{"quantity": 1, "colour": "red"}])
    )
    assert parsed.unknown_fields == ("/note", "/customer/vip~1level", "/lines/0/colour")


def test_unknown_fields_are_bounded(schema: OrderSchema) -> None:
    parsed = schema.parse(order(**{f"extra_{n}": n for n in range(80)}))
    assert len(parsed.unknown_fields) == 50


def test_json_schema_says_the_same(schema: OrderSchema) -> None:
    described = schema.json_schema()
    properties = described["properties"]
    assert isinstance(properties, dict)
    assert described["required"] == ["order_id", "placed_at"]
    assert properties["stock"] == {"type": ["number", "null"], "minimum": 0.0, "maximum": 1000.0}
    assert properties["channel"] == {
        "type": ["string", "null"],
        "maxLength": 200,
        "enum": ["tmall", "amazon", None],
    }
    lines = properties["lines"]
    assert isinstance(lines, dict)
    assert lines["maxItems"] == 3
    rule = properties["rule"]
    assert isinstance(rule, dict)
    since = rule["properties"]
    assert isinstance(since, dict)
    assert since["since"] == {
        "type": ["string", "null"],
        "format": "date",
        "title": "in force",
        "x-title-zh": "生效日",
    }
