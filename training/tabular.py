"""Reading a kind's orders and labels from a CSV: the only place that reads CSV.

A row becomes the order that a caller would have posted, by the columns that the kind names. Rules
kept: an empty cell is a missing value; a text where the kind wants a number, a date or a yes/no is
a missing value too, counted by its spelling; a row without a label is dropped and counted; nothing
is guessed. Line ends may be LF, CRLF or CR; the text is UTF-8, with or without a byte order mark.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.declarations import Label, RequestField
from models.domain import Json
from models.kind import Kind
from training.errors import TableError

Labels = npt.NDArray[np.int8]
_THOUSANDS = re.compile(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$")
_YES = frozenset({"1", "true", "t", "yes", "y"})
_NO = frozenset({"0", "false", "f", "no", "n"})


@dataclass(frozen=True, slots=True)
class Table:
    """A labelled table of orders.

    Parameters
    ----------
    orders
        JSON-able orders in the file's order.
    labels
        1 where the row is adverse, shape ``(n_orders,)``.
    rows
        Number of each order's row in the file; the first row below the header is 1.
    missing
        Column to the texts that were read as missing, each with how often it stood there.
    dropped
        Rows without a label.
    """

    orders: list[dict[str, Json]]
    labels: Labels
    rows: tuple[int, ...]
    missing: dict[str, dict[str, int]]
    dropped: int


class RowReader:
    """Turns the rows of one table into orders.

    Parameters
    ----------
    kind
        Names the columns.
    header
        The table's column names.

    Raises
    ------
    TableError
        When the kind needs a column that the header does not have, or has twice.
    """

    def __init__(self, kind: Kind, header: tuple[str, ...]) -> None:
        self._fields = [
            (field, field.column or field.path, _CONVERTERS[field.type])
            for field in kind.request
            if field.type != "object" and _is_present(field, header)
        ]
        self.unreadable: dict[str, Counter[str]] = {}

    def read(self, row: Mapping[str, str]) -> dict[str, Json]:
        """Return the order of one row; a text that cannot be read is counted in `unreadable`."""
        order: dict[str, Json] = {}
        for field, column, convert in self._fields:
            text = row[column].strip()
            if not text:
                continue
            value = convert(text, field)
            if value is None:
                self.unreadable.setdefault(column, Counter())[text] += 1
            else:
                _place(order, field.path, value)
        return order


def order_of_row(kind: Kind, row: Mapping[str, str]) -> dict[str, Json]:
    """Return the order that a caller would post for one row of a table.

    Parameters
    ----------
    kind
        Names the columns.
    row
        Column name to text.

    Raises
    ------
    TableError
        When a column is missing.
    """
    return RowReader(kind, tuple(row)).read(row)


def read_orders(kind: Kind, path: Path) -> Table:
    """Read a CSV file.

    Parameters
    ----------
    kind
        With `training.label`; its request fields name the columns.
    path
        The file.

    Raises
    ------
    TableError
        When the file cannot be read as UTF-8 CSV, lacks a column, has a row of another length, a
        column of which nothing can be read, or no labelled row. Names row and column.
    """
    label = kind.training.label
    if label is None:
        raise TableError(f"the kind {kind.name} has no training.label")
    rows = read_rows(path)
    header = next(rows)[1]
    reader = RowReader(kind, tuple(header))
    label_of = _label_reader(label, tuple(header))
    orders: list[dict[str, Json]] = []
    labels: list[int] = []
    numbers: list[int] = []
    total = 0
    for number, row in rows:
        total += 1
        found = label_of(row)
        if found is None:
            continue
        orders.append(reader.read(row))
        labels.append(found)
        numbers.append(number)
    if not orders:
        raise TableError(f"{path.name} has no labelled row")
    _check_readable(reader.unreadable, len(orders))
    missing = {column: dict(counts) for column, counts in reader.unreadable.items()}
    return Table(
        orders, np.array(labels, dtype=np.int8), tuple(numbers), missing, total - len(orders)
    )


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the header as row 0, then each row with its number; blank lines are passed over.

    Raises
    ------
    TableError
        When the file is not UTF-8 CSV with a header and rows as long as it.
    """
    header: list[str] | None = None
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for cells in csv.reader(file, strict=True):
                if not cells:
                    continue
                if header is None:
                    header = [cell.strip() for cell in cells]
                    _check_header(header)
                    yield 0, dict(zip(header, header, strict=True))
                    continue
                number += 1
                if len(cells) != len(header):
                    raise TableError(
                        f"row {number} has {len(cells)} cells, the header {len(header)}"
                    )
                yield number, dict(zip(header, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path.name}, after row {number}: {error}") from error
    if header is None:
        raise TableError(f"{path.name} is empty")


def _check_header(header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise TableError(f"the header names {', '.join(map(repr, twice))} twice")


def _check_readable(unreadable: Mapping[str, Counter[str]], rows: int) -> None:
    for column, counts in unreadable.items():
        if counts.total() == rows:
            example = counts.most_common(1)[0][0]
            raise TableError(f"column {column!r}: no row can be read; row 1 may hold {example!r}")


def _is_present(field: RequestField, header: tuple[str, ...]) -> bool:
    column = field.column or field.path
    if column in header:
        return True
    if field.column is not None or field.required:
        raise TableError(f"no column {column!r}, which the kind reads into {field.path}")
    return False


def _label_reader(
    label: Label, header: tuple[str, ...]
) -> Callable[[Mapping[str, str]], int | None]:
    for column in (label.column, label.later, label.than):
        if column is not None and column not in header:
            raise TableError(f"no column {column!r}, which the label is read from")
    if label.column is not None:
        column, positive = label.column, frozenset(label.positive)

        def by_text(row: Mapping[str, str]) -> int | None:
            text = row[column].strip()
            return int(text in positive) if text else None

        return by_text
    if label.later is None or label.than is None:
        raise TableError("training.label names neither a column nor two dates")
    later, than = label.later, label.than

    def by_dates(row: Mapping[str, str]) -> int | None:
        first = _parse_moment(row[later].strip(), label.format)
        second = _parse_moment(row[than].strip(), label.format)
        return None if first is None or second is None else int(first > second)

    return by_dates


def _parse_moment(text: str, pattern: str | None) -> datetime | None:
    try:
        if pattern is None:
            moment = datetime.fromisoformat(text)
        else:
            moment = datetime.strptime(text, pattern)  # noqa: DTZ007 - made aware just below
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _to_number(text: str, _field: RequestField) -> float | None:
    try:
        number = float(text.replace(",", "") if _THOUSANDS.match(text) else text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _to_integer(text: str, field: RequestField) -> int | None:
    number = _to_number(text, field)
    return int(number) if number is not None and number.is_integer() else None


def _to_boolean(text: str, _field: RequestField) -> bool | None:
    word = text.lower()
    return word in _YES if word in _YES | _NO else None


def _to_date(text: str, field: RequestField) -> str | None:
    moment = _parse_moment(text, field.format)
    return None if moment is None else date(moment.year, moment.month, moment.day).isoformat()


def _to_datetime(text: str, field: RequestField) -> str | None:
    moment = _parse_moment(text, field.format)
    return None if moment is None else moment.isoformat()


def _to_string(text: str, _field: RequestField) -> str:
    return text


_CONVERTERS: dict[str, Callable[[str, RequestField], Json]] = {
    "number": _to_number,
    "integer": _to_integer,
    "boolean": _to_boolean,
    "date": _to_date,
    "datetime": _to_datetime,
    "string": _to_string,
}


def _place(order: dict[str, Json], path: str, value: Json) -> None:
    """Write `value` at a dotted path; an array place gets its first element."""
    here = order
    steps = path.split(".")
    for step in steps[:-1]:
        name = step.removesuffix("[]")
        inner = here.setdefault(name, [{}] if step.endswith("[]") else {})
        child = inner[0] if isinstance(inner, list) else inner
        # Two fields of a kind cannot make one place both a value and an object (models.order).
        here = child if isinstance(child, dict) else {}
    last = steps[-1]
    here[last.removesuffix("[]")] = [value] if last.endswith("[]") else value
