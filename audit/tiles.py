"""The log's static read interface: C2SP tlog-tiles.

A tile holds 256 hashes of one tree level, or fewer at the tree's edge; an entry bundle holds
256 leaves. Paths are `/tile/<L>/<N>[.p/<W>]` and `/tile/entries/<N>[.p/<W>]` with the number in
groups of three digits, all but the last with an x in front.
"""

import re
from dataclasses import dataclass
from typing import Final

from audit.errors import RecordNotFoundError
from audit.store import Store

TILE_WIDTH: Final = 256
_TILE_LEVELS: Final = 8
_LARGEST_LEVEL: Final = 63
_LONGEST_PATH_CHARACTERS: Final = 64
_PATH: Final = re.compile(
    r"(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class TilePath:
    """Which tile.

    Parameters
    ----------
    level
        Tile level, 0 to 63; None for an entry bundle.
    index
        Number of the tile in its level.
    width
        Number of hashes or entries, 1 to 256.
    """

    level: int | None
    index: int
    width: int


def parse_tile_path(path: str) -> TilePath:
    """Read what follows `/tile/` in a path.

    Raises
    ------
    RecordNotFoundError
        If the path is not the one form that names a tile.

    Examples
    --------
    >>> parse_tile_path("0/x001/x234/067.p/8")
    TilePath(level=0, index=1234067, width=8)
    """
    match = _PATH.fullmatch(path) if len(path) <= _LONGEST_PATH_CHARACTERS else None
    if match is None:
        raise RecordNotFoundError("the path names no tile")
    level = None if match["level"] == "entries" else int(match["level"])
    index = int(match["index"].replace("x", "").replace("/", ""))
    width = int(match["width"] or TILE_WIDTH)
    tile = TilePath(level, index, width)
    # One tile has one path: no needless groups, no partial tile of full width.
    if format_tile_path(tile) != path or (level or 0) > _LARGEST_LEVEL or width > TILE_WIDTH:
        raise RecordNotFoundError("the path names no tile")
    return tile


def format_tile_path(tile: TilePath) -> str:
    """Return what follows `/tile/` in a tile's path.

    Examples
    --------
    >>> format_tile_path(TilePath(None, 1067, 256))
    'entries/x001/067'
    """
    digits = str(tile.index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    suffix = "" if tile.width == TILE_WIDTH else f".p/{tile.width}"
    return f"{'entries' if tile.level is None else tile.level}/{number}{suffix}"


def read_tile(store: Store, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
    """Return a tile's hashes, one after the other, 32 bytes each.

    Parameters
    ----------
    store
        The log.
    level, index, width
        See `TilePath`.

    Raises
    ------
    RecordNotFoundError
        If the tree does not fill the tile to this width.
    """
    begin = index * TILE_WIDTH
    tree_level = level * _TILE_LEVELS
    with store.reading() as reading:
        _verify_filled(begin, width, reading.tree_size() >> tree_level)
        nodes = reading.nodes((tree_level, begin + place) for place in range(width))
    return b"".join(nodes[(tree_level, begin + place)] for place in range(width))


def read_entry_bundle(store: Store, index: int, width: int = TILE_WIDTH) -> bytes:
    """Return an entry bundle: each leaf after its length, 2 bytes big-endian.

    Raises
    ------
    RecordNotFoundError
        If the log does not fill the bundle to this width.
    """
    begin = index * TILE_WIDTH
    with store.reading() as reading:
        _verify_filled(begin, width, reading.tree_size())
        leaves = reading.leaves(begin, begin + width)
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def _verify_filled(begin: int, width: int, available: int) -> None:
    if begin < 0 or not 1 <= width <= TILE_WIDTH or begin + width > available:
        raise RecordNotFoundError("the log does not fill this tile")
