"""The static read interface gives what a tile client needs, and nothing half filled."""

from collections.abc import Callable, Iterator

import pytest

from audit.checkpoint import parse_checkpoint
from audit.errors import RecordNotFoundError
from audit.log import append
from audit.merkle import Tree, extend, leaf_hash
from audit.store import Store
from audit.tiles import TilePath, format_tile_path, parse_tile_path, read_entry_bundle, read_tile
from tests.audit.sample import SEALER, SIGNER, make_publication_entry
from tests.databases import SampleDatabase

pytestmark = pytest.mark.both_databases

SIZE = 600


@pytest.fixture(scope="module")
def store(make_database: Callable[[], SampleDatabase]) -> Iterator[Store]:
    store = make_database().open()
    append(store, [make_publication_entry(number) for number in range(SIZE)], SIGNER, SEALER)
    yield store
    store.close()


def read_leaves(store: Store) -> list[bytes]:
    content = read_entry_bundle(store, 0) + read_entry_bundle(store, 1)
    content += read_entry_bundle(store, 2, SIZE - 512)
    leaves = []
    while content:
        end = 2 + int.from_bytes(content[:2], "big")
        leaves.append(content[2:end])
        content = content[end:]
    return leaves


def test_a_client_rebuilds_the_signed_root_from_tiles(store: Store) -> None:
    """Entry bundles hash to the level 0 tiles, those to level 1, and all to the checkpoint."""
    leaves = read_leaves(store)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert len(leaves) == SIZE
    level_0 = read_tile(store, 0, 0) + read_tile(store, 0, 1) + read_tile(store, 0, 2, 88)
    assert level_0 == b"".join(hashes)
    nodes = extend(0, hashes, {})
    assert read_tile(store, 1, 0, 2) == nodes[(8, 0)] + nodes[(8, 1)]
    with store.reading() as reading:
        head = parse_checkpoint(reading.head() or "")
    assert Tree(SIZE, nodes).root_hash == head.root_hash


def test_a_partial_tile_is_a_prefix_of_the_full_one(store: Store) -> None:
    assert read_tile(store, 0, 1, 7) == read_tile(store, 0, 1)[: 7 * 32]


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(0, 2, 256), (0, 2, 89), (0, 3, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (1, 0, 3), (2, 0, 1)],
)
def test_a_tile_that_the_log_does_not_fill_is_missing(
    store: Store, level: int, index: int, width: int
) -> None:
    with pytest.raises(RecordNotFoundError):
        read_tile(store, level, index, width)
    if level == 0:
        with pytest.raises(RecordNotFoundError):
            read_entry_bundle(store, index, width)


PATHS = {
    "0/000": TilePath(0, 0, 256),
    "0/000.p/1": TilePath(0, 0, 1),
    "63/999": TilePath(63, 999, 256),
    "0/x001/067": TilePath(0, 1067, 256),
    "1/x001/x234/067.p/255": TilePath(1, 1234067, 255),
    "entries/x001/067": TilePath(None, 1067, 256),
    "entries/012.p/9": TilePath(None, 12, 9),
}


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_those_of_the_specification(path: str) -> None:
    assert parse_tile_path(path) == PATHS[path]
    assert format_tile_path(PATHS[path]) == path


@pytest.mark.parametrize(
    "path",
    [
        *["", "0", "0/", "0/1", "0/0000", "00/000", "64/000", "-1/000", "x/000", "entries"],
        *["0/x000/001", "0/001/067", "0/x001/x067", "0/000.p/0", "0/000.p/256", "0/000.p/300"],
        *["0/000.p/01", "0/000.p", "0/000/", "0/٠٠٠", "0/000\n", "0/" + "x999/" * 30 + "999"],
    ],
)
def test_no_other_path_names_a_tile(path: str) -> None:
    with pytest.raises(RecordNotFoundError):
        parse_tile_path(path)
