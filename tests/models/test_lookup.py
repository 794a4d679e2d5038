"""An order is looked up at its own date; what identifies a person is kept apart."""

from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain import JsonScalar
from models.errors import KindFileError, ReferenceTableError
from models.features import Order
from models.kind import Kind
from models.lookup import Lookups
from models.reference import ReferenceTable, parse_reference
from tests.models.examples import DOCUMENT, small_kind


def table(columns: list[str], *rows: dict[str, Any], **changes: Any) -> ReferenceTable:  # noqa: ANN401 - any
    document: dict[str, Any] = {
        "name": "table",
        "title": {"zh": "表", "en": "table"},
        "source": "test",
        "as_of": "2026-01-01T00:00:00Z",
        "columns": columns,
        "rows": [
            {
                "id": row.pop("id"),
                "valid_from": row.pop("valid_from", None),
                "valid_to": row.pop("valid_to", None),
                "values": row,
            }
            for row in rows
        ],
        **changes,
    }
    return parse_reference(document)


def kind(**lookup: Any) -> Kind:  # noqa: ANN401 - any part of a look-up
    extra = [
        {"path": "country", "type": "string"},
        {"path": "name", "type": "string", "personal": True},
        {"path": "lines[].code", "type": "string"},
        {"path": "ship_on", "type": "date"},
        {"path": "pieces_wanted", "type": "number"},
    ]
    return small_kind(
        request=DOCUMENT["request"] + extra,
        lookups=[{"name": "found", "table": "table", **lookup}],
    )


def order(**changes: Any) -> Order:  # noqa: ANN401 - any value
    return {"placed_at": datetime.fromisoformat("2026-02-01T10:00:00+08:00"), **changes}


def context(
    lookup: dict[str, Any],
    rows: ReferenceTable,
    **values: Any,  # noqa: ANN401 - any value
) -> dict[str, JsonScalar]:
    return Lookups(kind(**lookup), {"table": rows}).find(order(**values)).context


EXACT = {"inputs": ["country"], "keys": ["country"], "values": {"notice_days": "days"}}
NOTICES = table(
    ["country", "days"],
    {"id": "old", "country": "SG", "days": 3, "valid_to": "2026-01-14"},
    {"id": "new", "country": "SG", "days": 7, "valid_from": "2026-01-15"},
    {"id": "newer", "country": "SG", "days": 9, "valid_from": "2026-01-25"},
    {"id": "future", "country": "SG", "days": 1, "valid_from": "2027-01-01"},
    {"id": "all", "country": "*", "days": 2, "valid_from": "2020-01-01", "valid_to": "2026-06-30"},
)


@pytest.mark.parametrize(
    ("placed_at", "country", "entry", "days"),
    [
        ("2026-01-14T23:59:00+08:00", "SG", "old", 3),
        ("2026-01-15T00:01:00+08:00", "SG", "new", 7),
        ("2026-02-01T10:00:00+08:00", "sg ", "newer", 9),
        ("2028-01-01T10:00:00+08:00", "SG", "future", 1),
        ("2026-02-01T10:00:00+08:00", "US", "all", 2),
        ("2026-07-01T10:00:00+08:00", "US", None, None),
    ],
)
def test_the_row_that_is_valid_at_the_order_s_date_counts(
    placed_at: str, country: str, entry: str | None, days: int | None
) -> None:
    found = context(EXACT, NOTICES, country=country, placed_at=datetime.fromisoformat(placed_at))
    assert found == {
        "found_matched": entry is not None,
        "found_count": float(entry is not None),
        "found_entry": entry,
        "notice_days": days,
    }


def test_an_order_with_nothing_to_compare_says_so() -> None:
    found = context(EXACT, NOTICES)
    assert found["found_matched"] is None
    assert found["found_count"] is None
    assert context(EXACT, NOTICES, country="")["found_matched"] is None


def test_another_date_may_be_named() -> None:
    lookup = {**EXACT, "date": "ship_on"}
    assert context(lookup, NOTICES, country="SG", ship_on=date(2026, 1, 16))["notice_days"] == 7
    # Without the date the table's own time counts.
    assert context(lookup, NOTICES, country="SG")["notice_days"] == 3
    undated = Lookups(
        small_kind(
            request=[*DOCUMENT["request"], {"path": "country", "type": "string"}],
            lookups=[{"name": "found", "table": "table", **EXACT}],
            placed_at=None,
        ),
        {"table": NOTICES},
    )
    assert undated.find(order(country="SG")).context["notice_days"] == 3


PREFIX = {
    "match": "prefix",
    "inputs": ["country", "lines[].code"],
    "keys": ["country", "prefix"],
    "values": {"limit": "limit"},
}
CODES = table(
    ["country", "prefix", "control", "limit"],
    {"id": "general", "country": "*", "prefix": "8526", "control": "licence", "limit": 5},
    {"id": "special", "country": "SG", "prefix": "8526.91", "control": "none", "limit": 50},
    {"id": "arms", "country": "*", "prefix": "9301", "control": "prohibited", "limit": 0},
)


@pytest.mark.parametrize(
    ("country", "codes", "entry", "count"),
    [
        ("US", ["8526 91.0000"], "general", 1),
        ("SG", ["8526910000"], "special", 1),
        ("SG", ["8526990000", "9301200000"], "general", 2),
        ("SG", ["852", "0101"], None, 0),
        ("SG", ["", None], None, None),
        (None, ["8526"], None, None),
    ],
)
def test_the_longest_code_counts_line_by_line(
    country: str | None, codes: list[str | None], entry: str | None, count: int | None
) -> None:
    lines = [{"code": code} for code in codes]
    found = context(PREFIX, CODES, country=country, lines=lines)
    assert found["found_entry"] == entry
    assert found["found_count"] == count


def test_a_special_row_takes_back_a_general_one() -> None:
    lookup = {**PREFIX, "where": {"control": "licence"}}
    lines = [{"code": "8526910000"}]
    assert context(lookup, CODES, country="SG", lines=lines)["found_matched"] is False
    assert context(lookup, CODES, country="US", lines=lines)["found_matched"] is True


@pytest.mark.parametrize(
    ("reduce", "limit"), [("best", 5), ("total", 10.0), ("largest", 5.0), ("smallest", 0.0)]
)
def test_columns_of_all_rows_make_one_number(reduce: str, limit: float) -> None:
    lines = [{"code": "8526"}, {"code": "9301"}, {"code": "85269"}]
    found = context({**PREFIX, "reduce": reduce}, CODES, country="US", lines=lines)
    assert found["limit"] == limit
    nothing = context({**PREFIX, "reduce": reduce}, CODES, country="US", lines=[{"code": "1"}])
    assert nothing["limit"] is None


FUZZY = {
    "match": "fuzzy",
    "inputs": ["name"],
    "keys": ["name"],
    "personal": True,
    "values": {"programme": "programme"},
}
PARTIES = table(
    ["name", "programme"],
    {"id": "P-1", "name": "Viktor Demidenko", "programme": "a"},
    {"id": "P-2", "name": "Victor Demidenko", "programme": "b", "valid_to": "2025-12-31"},
    {"id": "P-3", "name": "诸葛明轩", "programme": "c"},
)


def test_what_identifies_a_person_is_kept_apart() -> None:
    found = Lookups(kind(**FUZZY), {"table": PARTIES}).find(order(name="DEMIDENKO Viktor"))
    assert found.context == {"found_matched": True, "found_count": 1.0, "found_score": 100.0}
    assert found.personal == {
        "found": [
            {
                "entry": "P-1",
                "asked": "DEMIDENKO Viktor",
                "score": 100.0,
                "values": {"name": "Viktor Demidenko", "programme": "a"},
            }
        ]
    }
    # The most similar entry has expired, so the next one counts.
    near = Lookups(kind(**FUZZY), {"table": PARTIES}).find(order(name="Victor Demidenko"))
    assert near.context["found_score"] == 93.8
    none = Lookups(kind(**FUZZY), {"table": PARTIES}).find(order(name="林小雨"))
    assert none.context == {"found_matched": False, "found_count": 0.0, "found_score": None}
    assert none.personal == {}


def test_names_are_compared_within_their_country() -> None:
    lookup = {**FUZZY, "inputs": ["country", "name"], "keys": ["country", "name"], "values": {}}
    rows = table(
        ["country", "name"],
        {"id": "1", "country": "SG", "name": "Viktor Demidenko"},
        {"id": "2", "country": "*", "name": "Blackwater Bay Trading"},
    )
    assert context(lookup, rows, country="SG", name="Viktor Demidenko")["found_matched"] is True
    assert context(lookup, rows, country="US", name="Viktor Demidenko")["found_matched"] is False
    assert context(lookup, rows, country="US", name="Blackwater Bay")["found_matched"] is False
    assert context(lookup, rows, country="US", name="blackwater bay trading")["found_count"] == 1


def test_dates_numbers_and_flags_are_keys_too() -> None:
    lookup = {
        "inputs": ["placed_at", "ship_on", "pieces_wanted", "express"],
        "keys": ["day", "ship", "pieces", "fast"],
    }
    rows = table(
        ["day", "ship", "pieces", "fast"],
        {"id": "1", "day": "2026-02-01", "ship": "2026-02-03", "pieces": 4, "fast": True},
    )
    values = {"ship_on": date(2026, 2, 3), "pieces_wanted": 4.0, "express": True}
    assert context(lookup, rows, **values)["found_entry"] == "1"
    assert context(lookup, rows, **{**values, "pieces_wanted": 4.5})["found_entry"] is None


@given(st.sampled_from(["SG", "US", "QQ"]), st.dates(date(2025, 1, 1), date(2028, 1, 1)))
def test_a_changed_list_changes_only_what_it_should(country: str, day: date) -> None:
    """A row added for one country from one day on changes nothing for others or before."""
    added = {"id": "added", "country": "QQ", "days": 4, "valid_from": "2026-03-01"}
    rows = [
        {"id": row.id, "valid_from": row.valid_from, "valid_to": row.valid_to, **row.values}
        for row in NOTICES.rows
    ]
    changed = table(["country", "days"], *rows, added)
    placed_at = datetime.combine(day, datetime.min.time()).astimezone()
    before = context(EXACT, NOTICES, country=country, placed_at=placed_at)
    after = context(EXACT, changed, country=country, placed_at=placed_at)
    if country == "QQ" and placed_at.date() >= date(2026, 3, 1):
        assert after["found_entry"] == "added"
    else:
        assert after == before
    assert after == context(EXACT, changed, country=country, placed_at=placed_at)


def test_the_versions_asked_and_their_age_are_told() -> None:
    rows = table(["country", "days"], {"id": "1", "country": "SG", "days": 1}, staleness_days=10)
    found = Lookups(kind(**EXACT), {"table": rows, "unused": NOTICES}).find(order(country="SG"))
    assert found.references == (rows.reference(),)
    (stale,) = found.stale
    assert (stale.reference, stale.age_days) == (rows.reference(), 31.1)
    early = datetime.fromisoformat("2026-01-05T00:00:00Z")
    fresh = Lookups(kind(**EXACT), {"table": rows}).find(order(country="SG", placed_at=early))
    assert fresh.stale == ()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "kind parcel needs the table 'table'"),
        ({"table": table(["country"])}, "has no column 'days'"),
        (
            {"table": table(["country", "days"], {"id": "1", "days": 1})},
            r"table table, row 1 \('1'\): column 'country' is empty",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    tables: dict[str, ReferenceTable], message: str
) -> None:
    with pytest.raises(ReferenceTableError, match=message):
        Lookups(kind(**EXACT), tables)


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        ({"inputs": ["country"], "keys": ["a", "b"]}, "as many inputs as keys"),
        ({"inputs": ["absent"], "keys": ["a"]}, "the request has no field 'absent'"),
        ({"inputs": ["country"], "keys": ["a"], "date": "absent"}, "no field 'absent'"),
        ({"inputs": ["name"], "keys": ["a"]}, "'name' is personal, so the look-up is too"),
        ({"inputs": ["lines[].code", "tags[]"], "keys": ["a", "b"]}, "from one array only"),
        ({"inputs": ["a[].b[]"], "keys": ["a"]}, "an array within an array"),
        ({"inputs": [], "keys": []}, "lookups.0.inputs"),
        ({"inputs": ["country"], "keys": ["a"], "values": {"stock": "a"}}, "named twice: stock"),
    ],
)
def test_a_look_up_that_cannot_be_is_refused(lookup: dict[str, Any], message: str) -> None:
    with pytest.raises(KindFileError, match=message):
        kind(**lookup)


def test_a_kind_knows_the_types_of_its_values() -> None:
    types = kind(**FUZZY).value_types()
    assert types["found_matched"] == "boolean"
    assert types["found_score"] == "any"
    assert "found_entry" not in types
    assert (types["channel"], types["express"]) == ("text", "number")
    assert (types["pieces"], types["rule_since"]) == ("number", "text")
