"""Ed25519 verification in plain integers (RFC 8032); for checking only, never for signing.

The rules kept here: the signature's scalar is below the group's order, the key is the one way to
write its point, and the first half of the signature is compared as bytes. Time does not depend on
secrets, because there are none.
"""

from functools import lru_cache
from hashlib import sha512

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_1 = pow(2, (_P - 1) // 4, _P)
_BASE_Y = 4 * pow(5, -1, _P) % _P
_WINDOW_BITS = 4
_POINT_BYTES = 32
_SIGNATURE_BYTES = 64

Point = tuple[int, int, int, int]
_NEUTRAL: Point = (0, 1, 1, 0)


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a signature over a message is by a key.

    Parameters
    ----------
    public_key
        32 bytes.
    message
        Any bytes.
    signature
        64 bytes.
    """
    if len(signature) != _SIGNATURE_BYTES or len(public_key) != _POINT_BYTES:
        return False
    scalar = int.from_bytes(signature[_POINT_BYTES:], "little")
    tables = _key_tables(public_key)
    if scalar >= _ORDER or tables is None:
        return False
    digest = sha512(signature[:_POINT_BYTES] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    # s*B - k*A has to be the point R that the signature begins with.
    found = _add(_multiply(_base_tables(), scalar), _multiply(tables, challenge))
    return _encode(found) == signature[:_POINT_BYTES]


@lru_cache(maxsize=1)
def _base_tables() -> list[list[Point]]:
    point = _decode(_BASE_Y.to_bytes(_POINT_BYTES, "little"))
    return _tables(point or _NEUTRAL)


@lru_cache(maxsize=16)
def _key_tables(public_key: bytes) -> "list[list[Point]] | None":
    point = _decode(public_key)
    if point is None:
        return None
    x, y, z, t = point
    return _tables((-x % _P, y, z, -t % _P))


def _tables(point: Point) -> list[list[Point]]:
    # All multiples of the point that a window of a scalar can ask for: additions only afterwards.
    tables = []
    for _ in range(256 // _WINDOW_BITS):
        row = [_NEUTRAL]
        for _ in range(2**_WINDOW_BITS):
            row.append(_add(row[-1], point))
        point = row.pop()
        tables.append(row)
    return tables


def _multiply(tables: list[list[Point]], scalar: int) -> Point:
    found = _NEUTRAL
    for row in tables:
        found = _add(found, row[scalar & 2**_WINDOW_BITS - 1])
        scalar >>= _WINDOW_BITS
    return found


def _add(one: Point, other: Point) -> Point:
    # Extended coordinates (RFC 8032 section 5.1.4); complete, so doubling needs no case of its own.
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a = (y1 - x1) * (y2 - x2) % _P
    b = (y1 + x1) * (y2 + x2) % _P
    c = 2 * t1 * t2 * _D % _P
    d = 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _encode(point: Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, -1, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(_POINT_BYTES, "little")


def _decode(encoded: bytes) -> "Point | None":
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & 2**255 - 1
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P != u:
        x = x * _SQRT_MINUS_1 % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P
