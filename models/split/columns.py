"""Lists of alike JSON objects as columns, so that each name is written once; and back, exactly.

``[{"a": 1, "b": 2}, {"a": 3, "b": 4}]`` becomes ``{"columns": {"a": [1, 3], "b": [2, 4]}}``, and
so do objects within a column. What cannot be written so stays as it is. A document that has an
object with the one name ``columns`` of its own cannot be packed; a verdict has none.
"""

from typing import Final

from models.domain import Json

_COLUMNS: Final = "columns"


def pack(value: Json) -> Json:
    """Return JSON data with its lists of alike objects as columns.

    Examples
    --------
    >>> pack([{"a": 1, "b": {"c": 2}}, {"a": 3, "b": {"c": 4}}])
    {'columns': {'a': [1, 3], 'b': {'columns': {'c': [2, 4]}}}}
    """
    if isinstance(value, dict):
        return {name: pack(item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    rows = [item for item in value if isinstance(item, dict)]
    names = list(rows[0]) if rows else []
    # One object alone is shorter as it is.
    if len(rows) < len(value) or len(rows) <= 1 or not names:
        return [pack(item) for item in value]
    if any(row.keys() != rows[0].keys() for row in rows):
        return [pack(item) for item in value]
    return {_COLUMNS: {name: pack([row[name] for row in rows]) for name in names}}


def unpack(value: Json) -> Json:
    """Return what `pack` was given; what it could not have written is left as it is.

    Examples
    --------
    >>> unpack({"columns": {"a": [1, 3], "b": {"columns": {"c": [2, 4]}}}})
    [{'a': 1, 'b': {'c': 2}}, {'a': 3, 'b': {'c': 4}}]
    """
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    table = value.get(_COLUMNS)
    if len(value) != 1 or not isinstance(table, dict) or not table:
        return {name: unpack(item) for name, item in value.items()}
    columns = {name: unpack(column) for name, column in table.items()}
    lists = {name: column for name, column in columns.items() if isinstance(column, list)}
    if len(lists) < len(columns) or len({len(column) for column in lists.values()}) != 1:
        return value
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
