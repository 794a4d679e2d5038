"""Reference tables: customs notices, sanctions, HS control, safety stock, calendars; versioned.

A table is a JSON document with its source, the time it was true at and how long it may be used;
each row has the days on which it is valid. A version is named by the digest of its canonical bytes.
Look-ups into tables are in `models.lookup`; fetching a table from elsewhere is not done here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Self

import orjson
from pydantic import (
    AwareDatetime,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from models.content_store import content_digest, load_content, save_content
from models.domain import JsonScalar, Text
from models.errors import BundleCorruptError, ReferenceCorruptError, ReferenceTableError
from models.sentences import Part, Slug, Words
from models.surroundings import ReferenceRef, StaleReference

_DAY_SECONDS = 86_400
# Beyond it JSON readers disagree on whole numbers.
_LARGEST_INTEGER = 2**53
OWN_COLUMNS = ("valid_from", "valid_to")


class ReferenceRow(Part):
    """One entry of a table; an entry with several names is several rows of one id.

    Parameters
    ----------
    id
        The entry's id in the source.
    valid_from, valid_to
        First and last day; None for open.
    values
        Column to value; a column that is absent is missing.
    """

    id: Annotated[str, Field(min_length=1, max_length=120)]
    valid_from: date | None = None
    valid_to: date | None = None
    values: dict[Slug, JsonScalar]

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.valid_from and self.valid_to and self.valid_from > self.valid_to:
            raise ValueError(f"row {self.id!r} ends before it begins")
        return self

    @field_validator("values")
    @classmethod
    def _are_exact(cls, values: dict[str, JsonScalar]) -> dict[str, JsonScalar]:
        for column, value in values.items():
            whole = isinstance(value, int) and abs(value) > _LARGEST_INTEGER
            if whole or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"{column} is not a number that JSON keeps exactly")
        return values

    def is_valid(self, day: date) -> bool:
        """Tell whether the row is valid on a day."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_to is None or day <= self.valid_to
        )

    def value(self, column: str) -> JsonScalar:
        """Return a column's value; `valid_from` and `valid_to` as ISO 8601 dates."""
        if column not in OWN_COLUMNS:
            return self.values.get(column)
        day = self.valid_from if column == "valid_from" else self.valid_to
        return None if day is None else day.isoformat()


class ReferenceTable(Part):
    """One version of a table.

    Parameters
    ----------
    name, title
        What look-ups and people call it.
    source
        Where it comes from.
    as_of
        When its source said so; aware.
    staleness_days
        How long after `as_of` it may be used without asking a person; None for ever.
    columns
        Names of the values that rows may have.
    rows
        The entries.
    """

    name: Slug
    title: Words
    source: Annotated[str, Field(min_length=1, max_length=500)]
    as_of: AwareDatetime
    staleness_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    columns: tuple[Slug, ...]
    rows: tuple[ReferenceRow, ...]

    @field_validator("as_of")
    @classmethod
    def _in_utc(cls, as_of: datetime) -> datetime:
        # One moment has one digest, in whatever offset it was written.
        try:
            return as_of.astimezone(UTC)
        except OverflowError as error:
            raise ValueError("as_of is beyond the calendar") from error

    @model_validator(mode="after")
    def _has_columns(self) -> Self:
        taken = sorted(set(self.columns) & set(OWN_COLUMNS))
        if taken or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns are named once and not {' or '.join(OWN_COLUMNS)}")
        for number, row in enumerate(self.rows, start=1):
            unknown = sorted(set(row.values) - set(self.columns))
            if unknown:
                raise ValueError(f"row {number} ({row.id!r}): no column {unknown[0]!r}")
        return self

    def canonical(self) -> bytes:
        """Return the bytes that the digest is taken of."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    def reference(self) -> ReferenceRef:
        """Return what a record pins."""
        return ReferenceRef(self.name, content_digest(self.canonical()), self.as_of)

    def staleness(self, digest: str, moment: datetime) -> StaleReference | None:
        """Return how far the table is beyond its limit at a moment, or None when it is not.

        Parameters
        ----------
        digest
            The table's own digest.
        moment
            Aware; the order's own time, so that a replay says the same.
        """
        age_days = (moment - self.as_of).total_seconds() / _DAY_SECONDS
        if self.staleness_days is None or age_days <= self.staleness_days:
            return None
        reference = ReferenceRef(self.name, digest, self.as_of)
        title = Text(self.title.zh, self.title.en)
        return StaleReference(reference, title, round(age_days, 1), self.staleness_days)


@dataclass(frozen=True, slots=True)
class ReferencePins:
    """Which version of each table is in force: name to digest."""

    digests: Mapping[str, str]

    def with_table(self, reference: ReferenceRef) -> "ReferencePins":
        """Return the pins with one table at another version; the others are untouched."""
        return ReferencePins({**self.digests, reference.name: reference.digest})

    def load(self, root: Path) -> dict[str, ReferenceTable]:
        """Read the pinned versions and check each against its digest.

        Raises
        ------
        ReferenceCorruptError
            When one is missing, altered, or of another name than it is pinned under.
        """
        tables = {name: load_reference(root, digest) for name, digest in self.digests.items()}
        for name, table in tables.items():
            if table.name != name:
                raise ReferenceCorruptError(f"{name} is pinned to the table {table.name}")
        return tables


def parse_reference(document: Mapping[str, JsonValue]) -> ReferenceTable:
    """Check a table's data.

    Raises
    ------
    ReferenceTableError
        Naming the place in the document.
    """
    try:
        return ReferenceTable.model_validate(document)
    except ValidationError as error:
        raise ReferenceTableError(_first_fault(error)) from error


def parse_reference_json(content: bytes) -> ReferenceTable:
    """Check a table's JSON text.

    Raises
    ------
    ReferenceTableError
        Naming the place in the document.
    """
    try:
        return ReferenceTable.model_validate_json(content)
    except ValidationError as error:
        raise ReferenceTableError(_first_fault(error)) from error


def load_reference_file(path: Path) -> ReferenceTable:
    """Read a table that a person or a job wrote: a JSON file.

    Raises
    ------
    ReferenceTableError
        When it cannot be read or is not a table.
    """
    try:
        return parse_reference_json(path.read_bytes())
    except OSError as error:
        raise ReferenceTableError(f"{path.name} cannot be read: {error.strerror}") from error
    except ReferenceTableError as error:
        raise ReferenceTableError(f"{path.name}: {error.detail}") from error


def save_reference(root: Path, table: ReferenceTable) -> ReferenceRef:
    """Write a version below `root` under its digest; durable when this returns."""
    digest = save_content(root, table.canonical())
    return ReferenceRef(table.name, digest, table.as_of)


def load_reference(root: Path, digest: str) -> ReferenceTable:
    """Read a version and check it against its digest.

    Raises
    ------
    ReferenceCorruptError
        When it is missing, altered, or not a table.
    """
    try:
        return ReferenceTable.model_validate_json(load_content(root, digest))
    except BundleCorruptError as error:
        raise ReferenceCorruptError(error.detail) from error
    except ValidationError as error:
        raise ReferenceCorruptError(f"{digest} is not a table: {_first_fault(error)}") from error


def built_in_references() -> dict[str, ReferenceTable]:
    """Return the small tables that ship with Candor, by name: made up, to show the way.

    Examples
    --------
    >>> "hs_control" in built_in_references()
    True
    """
    tables = [load_reference_file(path) for path in sorted(_FOLDER.glob("*.json"))]
    return {table.name: table for table in tables}


def _first_fault(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place or 'table'}: {first['msg']}"


_FOLDER = Path(__file__).parent / "references"
