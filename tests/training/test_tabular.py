"""Reading orders and labels from CSV, and every refusal."""

import os
import zipfile
from pathlib import Path

import pytest

from models.domain import Json
from models.kind import Kind, parse_kind
from tests.training.kinds import DOCUMENT, shipment
from training.errors import TableError
from training.tabular import order_of_row, read_orders, read_rows

HEADER = "ID,Placed,Lead,Stock,Express,Carrier,Quantity,Late"
ROWS = (
    "A1,02-Jun-24,12.5,4,Yes,north,3,yes",
    'A2,03-Jun-24,"1,200",Not Captured,no,"sea, slow",2,no',
    "A3,Pre-PQ Process,,7.0,maybe,,,no",
    "A4,05-Jun-24,nan,7.5,Y,air,1,",
)


_OTHERS = ("Carrier", "Quantity", "Late")


def _write(folder: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def test_rows_become_the_orders_that_a_caller_would_post(tmp_path: Path) -> None:
    table = read_orders(shipment(), _write(tmp_path, HEADER, *ROWS))
    assert table.orders == [
        {
            "order_id": "A1",
            "placed_at": "2024-06-02",
            "lead_days": 12.5,
            "stock": 4,
            "express": True,
            "carrier": {"name": "north"},
            "lines": [{"quantity": 3.0}],
        },
        {
            "order_id": "A2",
            "placed_at": "2024-06-03",
            "lead_days": 1200.0,
            "express": False,
            "carrier": {"name": "sea, slow"},
            "lines": [{"quantity": 2.0}],
        },
        {"order_id": "A3", "stock": 7},
    ]
    assert table.labels.tolist() == [1, 0, 0]
    assert table.rows == (1, 2, 3)


def test_what_cannot_be_read_is_missing_and_counted(tmp_path: Path) -> None:
    table = read_orders(shipment(), _write(tmp_path, HEADER, *ROWS))
    assert table.dropped == 1
    assert table.missing == {
        "Stock": {"Not Captured": 1},
        "Placed": {"Pre-PQ Process": 1},
        "Express": {"maybe": 1},
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_line_ends_and_byte_order_mark_change_nothing(
    tmp_path: Path, end: str, encoding: str
) -> None:
    path = _write(tmp_path, HEADER, "", *ROWS, end=end, encoding=encoding)
    assert [order["order_id"] for order in read_orders(shipment(), path).orders] == [
        "A1",
        "A2",
        "A3",
    ]


def test_label_can_be_one_date_after_another(tmp_path: Path) -> None:
    kind = shipment(label={"later": "Delivered", "than": "Due", "format": "%d-%b-%y"})
    path = _write(
        tmp_path,
        "ID,Placed,Lead,Stock,Express,Carrier,Quantity,Delivered,Due",
        "1,02-Jun-24,1,1,1,a,1,09-Jun-24,08-Jun-24",
        "2,02-Jun-24,1,1,0,a,1,08-Jun-24,08-Jun-24",
        "3,02-Jun-24,1,1,0,a,1,,08-Jun-24",
        "4,02-Jun-24,1,1,0,a,1,08-Jun-24,unknown",
    )
    table = read_orders(kind, path)
    assert table.labels.tolist() == [1, 0]
    assert (table.rows, table.dropped) == ((1, 2), 2)


def test_dates_without_a_format_are_iso_8601() -> None:
    kind = _kind_with({"path": "handed_over_at", "type": "datetime", "column": "Over"})
    row = dict.fromkeys(("ID", "Placed", "Lead", "Stock", "Express", "Carrier", "Quantity"), "")
    assert order_of_row(kind, {**row, "Over": "2024-06-02T10:00:00+08:00"}) == {
        "handed_over_at": "2024-06-02T10:00:00+08:00"
    }
    assert order_of_row(kind, {**row, "Over": "2024-06-02 10:00"}) == {
        "handed_over_at": "2024-06-02T10:00:00+00:00"
    }


def test_array_of_scalars_gets_its_first_element() -> None:
    kind = _kind_with({"path": "tags[]", "type": "string", "column": "Tag"})
    row = dict.fromkeys(("ID", "Placed", "Lead", "Stock", "Express", "Carrier", "Quantity"), "")
    assert order_of_row(kind, {**row, "Tag": "new"}) == {"tags": ["new"]}


def _kind_with(field: dict[str, Json]) -> Kind:
    request = [entry for entry in DOCUMENT["request"] if entry["path"] != field["path"]]
    return parse_kind({**DOCUMENT, "request": [*request, field]})


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEADER, "A1,02-Jun-24"), "row 1 has 2 cells, the header 8"),
        (("ID,Late", "1,yes"), "no column 'Placed', which the kind reads into placed_at"),
        ((HEADER.replace("Late", "Lat"), ROWS[0]), "no column 'Late', which the label"),
        ((HEADER.replace("Stock", "Lead"), ROWS[0]), "the header names 'Lead' twice"),
        ((HEADER,), "has no labelled row"),
        (
            (HEADER, "A1,June,1,1,1,a,1,yes", "A2,July,1,1,1,a,1,no"),
            "column 'Placed': no row can be read",
        ),
        ((HEADER, 'A1,"x"y,1,1,1,a,1,yes'), "table.csv, after row 0"),
    ],
)
def test_refusals_name_the_place(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(TableError, match=said):
        read_orders(shipment(), _write(tmp_path, *lines))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"")
    with pytest.raises(TableError, match="is empty"):
        next(read_rows(path))


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, HEADER, ROWS[0].replace("north", "北"), encoding="gbk")
    with pytest.raises(TableError, match="codec"):
        read_orders(shipment(), path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="none\\.csv"):
        read_orders(shipment(), tmp_path / "none.csv")


def test_a_required_field_needs_its_column() -> None:
    kind = _kind_with({"path": "order_id", "type": "string", "required": True})
    with pytest.raises(TableError, match="no column 'order_id'"):
        order_of_row(kind, dict.fromkeys(("Placed", "Lead", "Stock", "Express", *_OTHERS), ""))


@pytest.mark.parametrize(
    ("label", "said"),
    [(None, "has no training.label"), ({"later": "Late"}, "neither a column nor two dates")],
)
def test_a_kind_must_say_where_its_labels_are(tmp_path: Path, label: Json, said: str) -> None:
    with pytest.raises(TableError, match=said):
        read_orders(shipment(label=label), _write(tmp_path, HEADER, *ROWS))


def test_real_shipments_read_the_same_from_both_spellings_of_the_file(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("CANDOR_DATA", root.parent / "shared/data")) / "scms_usaid"
    if not folder.is_dir():
        pytest.skip("no scms_usaid below CANDOR_DATA; docs/trials.md says where it is published")
    with zipfile.ZipFile(folder / "CR_lineendings_variant.csv.zip") as archive:
        inner = next(name for name in archive.namelist() if not name.startswith("__MACOSX"))
        path = tmp_path / "variant.csv"
        path.write_bytes(archive.read(inner))
    plain = list(read_rows(folder / "SCMS_Delivery_History_Dataset.csv"))
    variant = list(read_rows(path))
    assert len(plain) == len(variant) == 10_325
    assert [row["ID"] for _, row in plain] == [row["ID"] for _, row in variant]
