"""A reference table is versioned by its bytes, valid by its dates, and stale by its age."""

import copy
import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.content_store import content_digest, is_kept, load_content, save_content
from models.errors import BundleCorruptError, ReferenceCorruptError, ReferenceTableError
from models.reference import (
    ReferencePins,
    built_in_references,
    load_reference,
    load_reference_file,
    parse_reference,
    save_reference,
)

NOTICES: dict[str, Any] = {
    "name": "notices",
    "title": {"zh": "公告", "en": "notices"},
    "source": "https://customs.example/notices",
    "as_of": "2026-01-20T08:00:00+08:00",
    "staleness_days": 7,
    "columns": ["country", "days"],
    "rows": [
        {"id": "N-1", "valid_from": "2026-01-15", "values": {"country": "SG", "days": 7}},
        {"id": "N-2", "valid_to": "2026-01-14", "values": {"country": "SG", "days": 3}},
    ],
}


def test_a_version_is_named_by_its_content_and_survives_the_disk(tmp_path: Path) -> None:
    table = parse_reference(NOTICES)
    reference = save_reference(tmp_path, table)
    assert reference == table.reference() == save_reference(tmp_path, table)
    assert load_reference(tmp_path, reference.digest) == table
    assert len(list(tmp_path.iterdir())) == 1
    other_offset = parse_reference({**NOTICES, "as_of": "2026-01-20T00:00:00Z"})
    assert other_offset.reference() == reference
    assert parse_reference({**NOTICES, "staleness_days": 8}).reference().digest != reference.digest


def test_pins_name_one_version_of_each_table(tmp_path: Path) -> None:
    first = save_reference(tmp_path, parse_reference(NOTICES))
    second = save_reference(tmp_path, parse_reference({**NOTICES, "staleness_days": None}))
    other = save_reference(tmp_path, parse_reference({**NOTICES, "name": "other"}))
    pins = ReferencePins({}).with_table(first).with_table(other)
    changed = pins.with_table(second)
    assert pins.load(tmp_path)["notices"].staleness_days == 7
    assert changed.load(tmp_path)["notices"].staleness_days is None
    assert changed.load(tmp_path)["other"] == pins.load(tmp_path)["other"]
    with pytest.raises(ReferenceCorruptError, match="pinned to the table other"):
        ReferencePins({"notices": other.digest}).load(tmp_path)


def test_altered_or_missing_bytes_are_refused(tmp_path: Path) -> None:
    reference = save_reference(tmp_path, parse_reference(NOTICES))
    path = tmp_path / f"{reference.digest.replace(':', '-')}.json"
    path.write_bytes(path.read_bytes().replace(b"SG", b"SE"))
    with pytest.raises(ReferenceCorruptError, match="was altered"):
        load_reference(tmp_path, reference.digest)
    path.unlink()
    with pytest.raises(ReferenceCorruptError, match="cannot be read"):
        load_reference(tmp_path, reference.digest)
    with pytest.raises(ReferenceCorruptError, match="is not a table: name"):
        load_reference(tmp_path, save_content(tmp_path, b"{}"))


def test_content_is_kept_under_its_digest(tmp_path: Path) -> None:
    digest = save_content(tmp_path / "new", b"bytes")
    assert digest == content_digest(b"bytes")
    assert load_content(tmp_path / "new", digest) == b"bytes"
    assert is_kept(tmp_path / "new", digest)
    assert not is_kept(tmp_path, digest)
    with pytest.raises(BundleCorruptError, match="cannot be read"):
        load_content(tmp_path, digest)


def _row(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a row
    return {**copy.deepcopy(NOTICES["rows"][0]), **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"as_of": "2026-01-20T08:00:00"}, "as_of: .*timezone"),
        ({"staleness_days": 0}, "staleness_days"),
        ({"name": "Not a slug"}, "name"),
        ({"source": ""}, "source"),
        ({"columns": ["country", "country", "days"]}, "columns are named once"),
        ({"columns": ["country", "days", "valid_from"]}, "not valid_from or valid_to"),
        ({"columns": ["country"]}, r"row 1 \('N-1'\): no column 'days'"),
        ({"rows": [_row(valid_from="2026-02-01", valid_to="2026-01-01")]}, "ends before"),
        ({"rows": [_row(valid_from="soon")]}, "rows.0.valid_from"),
        ({"rows": [_row(id="")]}, "rows.0.id"),
        ({"rows": [_row(surprise=1)]}, "rows.0.surprise"),
        ({"rows": [_row(values={"country": ["SG"]})]}, "rows.0.values.country"),
        ({"rows": [_row(values={"days": 2**53 + 1})]}, "days is not a number"),
        ({"rows": [_row(values={"days": math.inf})]}, "days is not a number"),
        ({"staleness_days": math.inf}, "staleness_days"),
        ({"as_of": "9999-12-31T23:59:59-23:59"}, "beyond the calendar"),
    ],
)
def test_what_is_not_a_table_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ReferenceTableError, match=message):
        parse_reference({**NOTICES, **changes})


def test_files_that_are_not_tables(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(ReferenceTableError, match=r"broken\.json: table: "):
        load_reference_file(tmp_path / "broken.json")
    with pytest.raises(ReferenceTableError, match=r"absent\.json cannot be read"):
        load_reference_file(tmp_path / "absent.json")


@given(st.dates(date(2025, 1, 1), date(2027, 1, 1)))
def test_a_row_counts_on_its_days_only(day: date) -> None:
    """Both ends belong to the row's days, and an open end has none."""
    first, second = parse_reference(NOTICES).rows
    assert first.is_valid(day) is (day >= date(2026, 1, 15))
    assert second.is_valid(day) is (day <= date(2026, 1, 14))
    assert (first.value("valid_from"), first.value("valid_to")) == ("2026-01-15", None)
    assert (first.value("days"), first.value("absent")) == (7, None)


@given(st.floats(-30, 30))
def test_a_table_is_stale_from_its_limit_on(age_days: float) -> None:
    """Staleness is measured at a moment that is given, so it is the same in a replay."""
    table = parse_reference(NOTICES)
    moment = datetime(2026, 1, 20, tzinfo=UTC) + timedelta(days=age_days)
    found = table.staleness("sha256:1", moment)
    exact = (moment - table.as_of).total_seconds() / 86400
    assert (found is not None) is (exact > 7)
    if found is not None:
        assert found.facts()["limit_days"] == 7
        assert found.facts()["table_digest"] == "sha256:1"
        assert found.text().en.startswith("reference table 'notices'")


def test_the_tables_that_ship_are_whole() -> None:
    tables = built_in_references()
    assert {"customs_notices", "hs_control", "sanctioned_parties"} <= set(tables)
    for table in tables.values():
        assert table.rows
        assert table.staleness("", datetime(2036, 1, 1, tzinfo=UTC)) is None
