"""Values to bytes, each value to one sequence of bytes.

`canonical_json` is RFC 8785, so that a header can be hashed again by anybody. `facts_json` is
compact, exact (shortest round-trip floats) and in the order given, because the order of features
carries meaning; it is not RFC 8785: facts are hashed as stored and never made again.
"""

import math
from typing import Final

import orjson
import rfc8785

from audit.errors import RecordMalformedError
from models.domain import Json

_LARGEST_SAFE_INTEGER: Final = 2**53 - 1
_LEAST_PLAIN_FLOAT: Final = 1e-3
_GREATEST_PLAIN_FLOAT: Final = 1e15
_PLAIN_TYPES: Final = frozenset({str, int, bool, type(None)})


def canonical_json(value: Json) -> bytes:
    r"""Return the RFC 8785 form of `value`.

    Parameters
    ----------
    value
        JSON value; integers within +-(2**53 - 1), finite floats, no lone surrogates.

    Raises
    ------
    RecordMalformedError
        If the value has no RFC 8785 form.

    Notes
    -----
    orjson gives the same bytes several times faster for plain values; everything else takes
    the slow path. Plain is narrow on purpose (ASCII, numbers that both write alike): RFC 8785
    sorts keys by UTF-16 code units, which differs from orjson's order above U+E000, and writes
    floats as ECMAScript does.

    Examples
    --------
    >>> canonical_json({"b": 1.0, "a": [True, None, "é"]})
    b'{"a":[true,null,"\xc3\xa9"],"b":1}'
    """
    try:
        if _has_plain_numbers(value):
            fast = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
            if fast.isascii():
                return fast
        return rfc8785.dumps(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise RecordMalformedError(f"no canonical JSON form: {error}") from error


def facts_json(value: Json) -> bytes:
    """Return `value` as compact JSON in the order given, floats exact, -0.0 as 0.0.

    Raises
    ------
    RecordMalformedError
        If a float is not finite or a value is not JSON.

    Examples
    --------
    >>> facts_json({"b": -0.0, "a": 0.1})
    b'{"b":0.0,"a":0.1}'
    """
    try:
        return orjson.dumps(_normal(value))
    except (TypeError, RecursionError) as error:
        raise RecordMalformedError(f"not a JSON value: {error}") from error


def parse_json(body: bytes) -> Json:
    """Return the JSON value in `body`.

    Raises
    ------
    RecordMalformedError
        If the bytes are not JSON.

    Examples
    --------
    >>> parse_json(b'{"a": 0.1}')
    {'a': 0.1}
    """
    try:
        value: Json = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RecordMalformedError(f"not JSON: {error.msg}") from error
    return value


def _has_plain_numbers(value: Json) -> bool:
    if type(value) is str or value is None or isinstance(value, bool):
        return True
    if type(value) is dict:
        return all(type(item) is str or _has_plain_numbers(item) for item in value.values())
    if type(value) is int:
        return -_LARGEST_SAFE_INTEGER <= value <= _LARGEST_SAFE_INTEGER
    if type(value) is float:
        in_range = _LEAST_PLAIN_FLOAT <= abs(value) < _GREATEST_PLAIN_FLOAT
        return in_range and not value.is_integer()
    return type(value) is list and all(map(_has_plain_numbers, value))


def _normal(value: Json) -> Json:
    # Most values are plain scalars: they are passed by without a call.
    if isinstance(value, dict):
        return {
            key: item if type(item) in _PLAIN_TYPES else _normal(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [item if type(item) in _PLAIN_TYPES else _normal(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RecordMalformedError("a float of the record is not finite")
        # numpy's float64 is a float that orjson refuses, hence float().
        return float(value) + 0.0
    return value
