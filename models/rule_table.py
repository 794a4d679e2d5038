"""Decision tables of a graph: their rows as rules or thresholds, checked cell by cell.

It knows nothing of nodes and edges; `models.decision_graph` says what reaches a table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from models.domain import Effect, ValueType
from models.errors import PolicyError
from models.expressions import Expression, parse_literal, parse_test, parse_value
from models.sentences import PLACEHOLDER

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_RULE_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")


class Column(BaseModel):
    """A column of a decision table; an input without `field` holds whole conditions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str = ""
    field: str = ""

    @property
    def title(self) -> str:
        """What a message calls it."""
        return self.field or self.name or self.id


class Table(BaseModel):
    """The content of a decision table node."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    hit_policy: Literal["first", "collect"]
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...] = Field(min_length=1)
    rules: tuple[dict[str, str], ...] = Field(min_length=1)
    pass_through: bool = False
    input_field: None = None
    output_path: str | None = None
    execution_mode: Literal["single"] = "single"

    def cell(self, row: Mapping[str, str], column: Column) -> str:
        """Return the text of a cell; an input cell that is empty holds for every value."""
        return row.get(column.id, "").strip()

    def constants(self) -> set[float]:
        """Return the numbers in the input cells.

        Examples
        --------
        >>> columns = {"inputs": [{"id": "a"}], "outputs": [{"id": "b"}]}
        >>> table = {"hitPolicy": "first", **columns, "rules": [{"a": "[1..2.5]", "b": "7"}]}
        >>> sorted(Table.model_validate(table).constants())
        [1.0, 2.5]
        """
        cells = [self.cell(row, column) for row in self.rules for column in self.inputs]
        return {float(number) for cell in cells for number in _NUMBER.findall(cell)}


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule of a rule table.

    Parameters
    ----------
    id, effect, zh, en
        What it says.
    names
        Values that its cells read, back to those of the kind.
    shown
        Values that its words show.
    place
        Node and row, for messages.
    """

    id: str
    effect: Effect
    zh: str
    en: str
    names: tuple[str, ...]
    shown: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """One row of a threshold table."""

    review_at: float
    adverse_at: float


def read_tests(table: Table, types: Mapping[str, ValueType]) -> list[tuple[str, ...]]:
    """Return the names that each row's tests read.

    Parameters
    ----------
    table
        The table.
    types
        Values that reach it, with their types.

    Raises
    ------
    PolicyError
        When a cell cannot be read, or could never hold because its constant is of another type.
    """
    _check_columns(table)
    found = []
    for number, row in enumerate(table.rules, start=1):
        names: list[str] = []
        for column in table.inputs:
            cell = table.cell(row, column)
            if cell:
                try:
                    names += _read_cell(cell, column, types)
                except PolicyError as error:
                    place = f"row {number}, column {column.title!r}"
                    raise PolicyError(f"{place}: {error.detail}") from error
        found.append(tuple(dict.fromkeys(names)))
    return found


def _check_columns(table: Table) -> None:
    ids = [column.id for column in (*table.inputs, *table.outputs)]
    if len(set(ids)) < len(ids):
        raise PolicyError("two columns have the same id")
    for number, row in enumerate(table.rules, start=1):
        unknown = sorted(key for key in row if key not in ids and not key.startswith("_"))
        if unknown:
            raise PolicyError(f"row {number}: no column has the id {unknown[0]!r}")


def _read_cell(cell: str, column: Column, types: Mapping[str, ValueType]) -> tuple[str, ...]:
    if not column.field:
        return parse_value(cell).names
    test = parse_test(cell)
    read = parse_value(column.field)
    value_type = types.get(column.field, "any")
    if not test.is_computed and not read.is_computed:
        raise PolicyError("a column reads a value, not a constant")
    _check_type(test, value_type)
    return (*read.names, *test.names)


def _check_type(test: Expression, value_type: ValueType) -> None:
    if value_type == "any" or test.is_computed:
        return
    wrong = sorted(test.literals - {value_type})
    if wrong:
        hint = " (true is 1 and false is 0)" if wrong == ["boolean"] else ""
        raise PolicyError(f"compares a {value_type} with a {wrong[0]}, which never holds{hint}")


def read_rules(table: Table, node: str, sources: list[tuple[str, ...]]) -> list[RuleRow]:
    """Return a rule table's rows.

    Parameters
    ----------
    table, node
        The table and its node's name.
    sources
        Values of the kind that each row's tests read.

    Raises
    ------
    PolicyError
        When an output is empty or not a constant, or an effect is unknown.
    """
    rows = []
    for number, (row, names) in enumerate(zip(table.rules, sources, strict=True), start=1):
        said = {
            column.field: str(_constant(table, row, number, column)) for column in table.outputs
        }
        if not _RULE_ID.fullmatch(said["id"]):
            raise PolicyError(f"row {number}, column 'id': no rule id {said['id']!r}")
        if said["effect"] not in set(Effect):
            raise PolicyError(f"row {number}, column 'effect': no effect {said['effect']!r}")
        shown = [m[1] for text in (said["zh"], said["en"]) for m in PLACEHOLDER.finditer(text)]
        rows.append(
            RuleRow(
                id=said["id"],
                effect=Effect(said["effect"]),
                zh=said["zh"],
                en=said["en"],
                names=names,
                shown=tuple(dict.fromkeys(shown)),
                place=f"{node}, row {number}",
            )
        )
    return rows


def read_thresholds(table: Table) -> tuple[ThresholdRow, ...]:
    """Return a threshold table's rows.

    Raises
    ------
    PolicyError
        When a threshold is missing, not a number from 0 to 1, or review is above adverse.
    """
    if {column.field for column in table.outputs} != {"review_at", "adverse_at"}:
        raise PolicyError("a threshold table has exactly the outputs review_at and adverse_at")
    if table.hit_policy != "first":
        raise PolicyError("a threshold table has hitPolicy first")
    rows = []
    for number, row in enumerate(table.rules, start=1):
        said = {column.field: _constant(table, row, number, column) for column in table.outputs}
        review_at, adverse_at = said["review_at"], said["adverse_at"]
        if isinstance(review_at, str) or isinstance(adverse_at, str):
            raise PolicyError(f"row {number}: thresholds are numbers")
        if not 0 <= review_at <= adverse_at <= 1:
            raise PolicyError(f"row {number}: thresholds must be 0 <= review_at <= adverse_at <= 1")
        rows.append(ThresholdRow(review_at, adverse_at))
    return tuple(rows)


def _constant(table: Table, row: Mapping[str, str], number: int, column: Column) -> str | float:
    try:
        return parse_literal(table.cell(row, column))
    except PolicyError as error:
        place = f"row {number}, column {column.title!r}"
        raise PolicyError(f"{place}: {error.detail}") from error
