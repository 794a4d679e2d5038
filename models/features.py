"""From an order to the values that the model and the texts see.

Features are either copied from a place of the order or computed by one of the named functions
below, which a kind lists by name. The functions are pure: the age of a rule is measured from the
order's own dates, never from a clock. A missing input makes a missing value unless the function
says otherwise.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from models.domain import FeatureValue, JsonScalar, Snapshot
from models.errors import KindFileError
from models.kind import Computed, Kind

OrderValue: TypeAlias = "JsonScalar | date | list[OrderValue] | dict[str, OrderValue]"
Order: TypeAlias = Mapping[str, OrderValue]
_Getter: TypeAlias = Callable[[Order], OrderValue]


def _numbers(values: OrderValue) -> list[float]:
    items = values if isinstance(values, list) else [values]
    return [float(item) for item in items if isinstance(item, (int, float))]


def _number(value: OrderValue) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _as_date(value: OrderValue) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else None


def ratio(part: OrderValue, whole: OrderValue, last: float | None = None) -> float | None:
    """Sum of `part` over sum of `whole`, of the first `last` elements when they are arrays.

    Arrays are newest first. None when nothing was counted.

    Examples
    --------
    >>> round(ratio([3, 4, 2, 0], [4, 4, 3, 9], last=3), 4)
    0.8182
    """
    count = None if last is None else int(last)
    parts = _numbers(part[:count] if isinstance(part, list) else part)
    wholes = _numbers(whole[:count] if isinstance(whole, list) else whole)
    total = math.fsum(wholes)
    return math.fsum(parts) / total if parts and total > 0 else None


def total(values: OrderValue, last: float | None = None) -> float | None:
    """Sum of the first `last` elements, or of all.

    Examples
    --------
    >>> total([3, 4, 2, 0], last=3)
    9.0
    """
    count = None if last is None else int(last)
    numbers = _numbers(values[:count] if isinstance(values, list) else values)
    return math.fsum(numbers) if numbers else None


def count(values: OrderValue) -> float:
    """Count elements; a missing array counts 0.

    Examples
    --------
    >>> count(["a", "b"])
    2.0
    """
    return float(len(values)) if isinstance(values, list) else 0.0


def difference(left: OrderValue, right: OrderValue) -> float | None:
    """Left minus right.

    Examples
    --------
    >>> difference(4, 20)
    -16.0
    """
    first, second = _number(left), _number(right)
    return None if first is None or second is None else first - second


def days_between(start: OrderValue, end: OrderValue) -> float | None:
    """Whole days from `start` to `end`; negative when `end` is earlier.

    Examples
    --------
    >>> days_between(date(2026, 1, 15), date(2026, 2, 1))
    17.0
    """
    first, second = _as_date(start), _as_date(end)
    return None if first is None or second is None else float((second - first).days)


def date_text(value: OrderValue) -> str | None:
    """Return a date as ISO 8601, for texts.

    Examples
    --------
    >>> date_text(date(2026, 1, 15))
    '2026-01-15'
    """
    found = _as_date(value)
    return None if found is None else found.isoformat()


def local_hour(value: OrderValue) -> float | None:
    """Hour of the day, with fraction, in the timestamp's own offset.

    Examples
    --------
    >>> local_hour(datetime.fromisoformat("2026-02-01T03:30:00+08:00"))
    3.5
    """
    return value.hour + value.minute / 60 if isinstance(value, datetime) else None


def largest(values: OrderValue) -> float | None:
    """Return the largest number.

    Examples
    --------
    >>> largest([1, 7, 3])
    7.0
    """
    return max(_numbers(values), default=None)


def smallest(values: OrderValue) -> float | None:
    """Return the smallest number.

    Examples
    --------
    >>> smallest([4, 1, 3])
    1.0
    """
    return min(_numbers(values), default=None)


def is_different(left: OrderValue, right: OrderValue) -> float | None:
    """1 when the two values differ, 0 when they are equal.

    Examples
    --------
    >>> is_different("CN", "US")
    1.0
    """
    return None if left is None or right is None else float(left != right)


FUNCTIONS: dict[str, Callable[..., FeatureValue]] = {
    function.__name__: function
    for function in (
        ratio,
        total,
        count,
        difference,
        days_between,
        date_text,
        local_hour,
        largest,
        smallest,
        is_different,
    )
}


def feature_code() -> str:
    """Return the digest of this file: which feature functions made a snapshot."""
    return "sha256:" + sha256(Path(__file__).read_bytes()).hexdigest()


def build_getter(path: str) -> _Getter:
    """Return a function that reads one path of an order; a missing place is None.

    Examples
    --------
    >>> build_getter("lines[].quantity")({"lines": [{"quantity": 2}, {}]})
    [2, None]
    """
    steps = path.split(".")

    def read(value: OrderValue, depth: int) -> OrderValue:
        for index in range(depth, len(steps)):
            name, is_array = steps[index].removesuffix("[]"), steps[index].endswith("[]")
            value = value.get(name) if isinstance(value, dict) else None
            if is_array:
                items = value if isinstance(value, list) else None
                return None if items is None else [read(item, index + 1) for item in items]
        return value

    return lambda order: read(dict(order), 0)


class Extractor:
    """Computes a kind's features and context from orders.

    Parameters
    ----------
    kind
        Whose values to compute.

    Raises
    ------
    KindFileError
        When the kind names a function that does not exist or gives it other parameters.
    """

    def __init__(self, kind: Kind) -> None:
        self.feature_names = tuple(feature.name for feature in kind.features)
        self._features = [
            (feature.name, feature.type == "category", _compile(feature))
            for feature in kind.features
        ]
        self._context = [(value.name, _compile(value)) for value in kind.context]

    def snapshot(self, order: Order) -> Snapshot:
        """Return the values of one order; numbers are floats, true is 1 and false 0."""
        features = {
            name: _as_category(get(order)) if is_category else _as_float(get(order))
            for name, is_category, get in self._features
        }
        return Snapshot(features, {name: _as_scalar(get(order)) for name, get in self._context})


def _as_category(value: OrderValue) -> str | None:
    return None if value is None or isinstance(value, (list, dict)) else str(value)


def _as_float(value: OrderValue) -> float | None:
    # Adding 0.0 turns -0.0 into 0.0: JSON forms disagree on the sign of zero.
    return float(value) + 0.0 if isinstance(value, (int, float)) else None


def _as_scalar(value: OrderValue) -> JsonScalar:
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, (list, dict)) else value


def _compile(value: Computed) -> _Getter:
    if value.source is not None:
        return build_getter(value.source)
    function = FUNCTIONS.get(str(value.function))
    if function is None:
        raise KindFileError(f"{value.name}: no feature function {value.function!r}")
    getters = [build_getter(path) for path in value.inputs]
    params = dict(value.params)
    try:
        inspect.signature(function).bind(*getters, **params)
    except TypeError as error:
        raise KindFileError(f"{value.name}: {value.function}: {error}") from error

    def compute(order: Order) -> OrderValue:
        return function(*[get(order) for get in getters], **params)

    return compute
