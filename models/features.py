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

from models.declarations import Computed
from models.domain import FeatureValue, JsonScalar, Snapshot
from models.errors import KindFileError
from models.kind import Kind

OrderValue: TypeAlias = "JsonScalar | date | list[OrderValue] | dict[str, OrderValue]"
Order: TypeAlias = Mapping[str, OrderValue]
_Getter: TypeAlias = Callable[[Order], OrderValue]
_EARTH_RADIUS_KM = 6371.0
_READERS = (
    "features.py",
    "order.py",
    "lookup.py",
    "case.py",
    "split/body.py",
    "split/request.py",
    "split/pairs.py",
)


def _numbers(values: OrderValue) -> list[float]:
    items = values if isinstance(values, list) else [values]
    return [float(item) for item in items if isinstance(item, (int, float))]


def _as_list(values: OrderValue) -> list[OrderValue]:
    return values if isinstance(values, list) else [values]


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


def count_true(values: OrderValue) -> float | None:
    """Count the elements that are true, or a single value; None when nothing is known.

    Examples
    --------
    >>> count_true([True, False, None, True]), count_true([None])
    (2.0, None)
    """
    known = [item for item in _as_list(values) if isinstance(item, bool)]
    return float(sum(known)) if known else None


def share_true(values: OrderValue, last: float | None = None) -> float | None:
    """Share of true elements among the known ones of the first `last`, or of all.

    Arrays are newest first. None when nothing is known.

    Examples
    --------
    >>> share_true([True, False, False, True], last=2)
    0.5
    """
    first = _as_list(values)[: None if last is None else int(last)]
    known = [item for item in first if isinstance(item, bool)]
    return sum(known) / len(known) if known else None


def weighted_mean(values: OrderValue, weights: OrderValue, prices: OrderValue) -> float | None:
    """Mean of `values`, each weighted by weight times price (quantity and unit price of a line).

    A line with a missing part is left out; None when none is whole or all weigh nothing.

    Examples
    --------
    >>> weighted_mean([0.5, 0.0, None], [1, 2, 9], [30.0, 10.0, 5.0])
    0.3
    """
    lines = [values, weights, prices]
    whole = [_numbers(list(line)) for line in zip(*map(_as_list, lines), strict=True)]
    known = [(line[0], line[1] * line[2]) for line in whole if len(line) == len(lines)]
    weight = math.fsum(mass for _, mass in known)
    return math.fsum(value * mass for value, mass in known) / weight if weight > 0 else None


def largest_share(left: OrderValue, right: OrderValue) -> float | None:
    """Largest of the products of paired elements over their sum: how one-sided a basket is.

    Examples
    --------
    >>> largest_share([2, 1], [10.0, 5.0])
    0.8
    """
    pairs = [_numbers(list(pair)) for pair in zip(_as_list(left), _as_list(right), strict=True)]
    products = [pair[0] * pair[1] for pair in pairs if len(pair) == len((left, right))]
    whole = math.fsum(products)
    return max(products) / whole if whole > 0 else None


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


def distance_km(
    latitude: OrderValue, longitude: OrderValue, to_latitude: OrderValue, to_longitude: OrderValue
) -> float | None:
    """Great-circle distance between two places in degrees, in whole kilometres.

    Notes
    -----
    Haversine formula on a sphere of 6371 km. Rounded, so that platforms' trigonometry agrees.

    Examples
    --------
    >>> distance_km(31.23, 121.47, 39.90, 116.40)
    1067.0
    """
    places = [_number(value) for value in (latitude, longitude, to_latitude, to_longitude)]
    known = [math.radians(place) for place in places if place is not None]
    if len(known) < len(places):
        return None
    north, east, to_north, to_east = known
    half = math.sin((to_north - north) / 2) ** 2
    half += math.cos(north) * math.cos(to_north) * math.sin((to_east - east) / 2) ** 2
    return float(round(2 * _EARTH_RADIUS_KM * math.asin(math.sqrt(min(half, 1.0)))))


def local_hour(value: OrderValue) -> float | None:
    """Hour of the day, with fraction, in the timestamp's own offset.

    Examples
    --------
    >>> local_hour(datetime.fromisoformat("2026-02-01T03:30:00+08:00"))
    3.5
    """
    return value.hour + value.minute / 60 if isinstance(value, datetime) else None


def hours_between(start: OrderValue, end: OrderValue) -> float | None:
    """Hours from timestamp `start` to `end`, to one decimal; negative when `end` is earlier.

    Examples
    --------
    >>> early = datetime.fromisoformat("2026-02-01T03:30:00+08:00")
    >>> hours_between(early, datetime.fromisoformat("2026-01-31T21:30:00+00:00"))
    2.0
    """
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        return None
    return round((end - start).total_seconds() / 3600, 1)


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
        count_true,
        share_true,
        weighted_mean,
        largest_share,
        difference,
        days_between,
        date_text,
        distance_km,
        local_hour,
        hours_between,
        largest,
        smallest,
        is_different,
    )
}


def feature_code() -> str:
    """Return the digest of the code that reads an order: which code made a snapshot."""
    folder = Path(__file__).parent
    return "sha256:" + sha256(b"".join((folder / f).read_bytes() for f in _READERS)).hexdigest()


def build_getter(path: str) -> _Getter:
    """Return a function that reads one path of an order; a missing place is None.

    Examples
    --------
    >>> build_getter("lines[].quantity")({"lines": [{"quantity": 2}, {}]})
    [2, None]
    """
    head, array, tail = path.partition("[]")
    first, *further = head.split(".")

    def read(order: Order) -> OrderValue:
        value = order.get(first)
        for name in further:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return _build_array_getter(read, tail) if array else read


def _build_array_getter(read: _Getter, tail: str) -> _Getter:
    element = build_getter(tail.removeprefix(".")) if tail else None

    def read_elements(order: Order) -> OrderValue:
        items = read(order)
        if not isinstance(items, list):
            return None
        if element is None:
            return list(items)
        return [element(item) if isinstance(item, dict) else None for item in items]

    return read_elements


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
