"""Archive files as Parquet: the one module that knows pyarrow, loaded when a file is needed.

Each file is written and read by row groups of bounded size, so memory is bounded whatever the
month. The same rows give the same bytes under the same version of pyarrow.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from audit.archive_index import Extent
from audit.archive_rows import ArchiveRow
from audit.errors import ArchiveDamagedError
from audit.reading import Record

_GROUP_ROWS: Final = 512
_GROUP_BYTES: Final = 4 << 20
# Facts of one kind are much alike: higher levels of zstd cost time and save a few per cent.
_ZSTD_LEVEL: Final = 6
_WORDS: Final = ("entry_type", "kind", "outcome")
# Arrow's errors for bytes that are no Parquet; a file may be cut off anywhere.
_BROKEN: Final = (pa.ArrowException, OSError, ValueError, KeyError)
SCHEMA: Final = pa.schema(
    [
        pa.field("leaf_index", pa.int64(), nullable=False),
        pa.field("entry_id", pa.string(), nullable=False),
        pa.field("entry_type", pa.string(), nullable=False),
        # UTC; without a zone, because engines show zoned times in the zone of their session.
        pa.field("recorded_at", pa.timestamp("us"), nullable=False),
        pa.field("kind", pa.string()),
        pa.field("outcome", pa.string()),
        pa.field("tree_size", pa.int64(), nullable=False),
        pa.field("leaf", pa.binary(), nullable=False),
        pa.field("facts", pa.binary()),
        pa.field("sealed", pa.binary()),
    ]
)


def build_batch(rows: Iterable[ArchiveRow]) -> pa.RecordBatch:
    """Return rows as one Arrow batch of `SCHEMA`."""
    values = [_values(row) for row in rows]
    columns = list(zip(*values, strict=True)) or [()] * len(SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def group_rows(rows: Iterable[ArchiveRow]) -> Iterator[list[ArchiveRow]]:
    """Yield rows in groups of bounded number and size."""
    group: list[ArchiveRow] = []
    size = 0
    for row in rows:
        group.append(row)
        record = row.record
        size += len(record.leaf) + len(record.facts or b"") + len(record.sealed or b"")
        if len(group) >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def write_file(path: Path, rows: Iterable[ArchiveRow]) -> Extent:
    """Write one Parquet file.

    Parameters
    ----------
    path
        A new file.
    rows
        In leaf order; at least one.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    return _write(path, (build_batch(group) for group in group_rows(rows)))


def thin_file(file: BinaryIO, path: Path, gone: Collection[int]) -> Extent:
    """Write another file's rows to a new one, without some.

    Parameters
    ----------
    file
        The other.
    path
        A new file.
    gone
        Leaf indexes of the rows left out; some row has to be left.

    Raises
    ------
    ArchiveDamagedError
        If the other is not such a file.
    OSError
        If the new one cannot be written.
    """
    try:
        return _write(path, _thinned(pq.ParquetFile(file), gone))
    except (pa.ArrowInvalid, ValueError, KeyError) as error:
        raise ArchiveDamagedError("an archive file is not one that Candor wrote") from error


def _thinned(parquet: pq.ParquetFile, gone: Collection[int]) -> Iterator[pa.RecordBatch]:
    for group in range(parquet.num_row_groups):
        table = parquet.read_row_group(group)
        places = table["leaf_index"].to_pylist()
        left = [row for row, place in enumerate(places) if place not in gone]
        if left:
            yield table.take(left).combine_chunks().cast(SCHEMA).to_batches()[0]


def _write(path: Path, batches: Iterable[pa.RecordBatch]) -> Extent:
    count, first, last = 0, -1, -1
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": _ZSTD_LEVEL,
        "use_dictionary": [*_WORDS],
        "write_statistics": ["leaf_index", "recorded_at"],
        "store_schema": False,
    }
    with pq.ParquetWriter(path, SCHEMA, **options) as writer:
        for batch in batches:
            writer.write_batch(batch)
            first = batch["leaf_index"][0].as_py() if first < 0 else first
            count, last = count + len(batch), batch["leaf_index"][-1].as_py()
    return Extent(count, first, last)


def read_groups(file: BinaryIO) -> Iterator[list[Record]]:
    """Yield a file's rows, a row group at a time.

    Raises
    ------
    ArchiveDamagedError
        If it is not such a file.
    """
    try:
        parquet = pq.ParquetFile(file)
        for group in range(parquet.num_row_groups):
            yield _records(parquet.read_row_group(group))
    except _BROKEN as error:
        raise ArchiveDamagedError("an archive file is not one that Candor wrote") from error


def read_group_of(file: BinaryIO, leaf_index: int) -> list[Record]:
    """Return the row group in which an entry is, or should be.

    Raises
    ------
    ArchiveDamagedError
        If it is not such a file.
    """
    try:
        parquet = pq.ParquetFile(file)
        place = parquet.schema_arrow.get_field_index("leaf_index")
        for group in range(parquet.num_row_groups):
            least_most = parquet.metadata.row_group(group).column(place).statistics
            if least_most.min <= leaf_index <= least_most.max:
                return _records(parquet.read_row_group(group))
    except (*_BROKEN, AttributeError, TypeError) as error:
        raise ArchiveDamagedError("an archive file is not one that Candor wrote") from error
    return []


def _values(row: ArchiveRow) -> tuple[Any, ...]:
    found, record = row.found, row.record
    return (
        record.leaf_index,
        record.entry_id,
        found.entry_type,
        _naive(found.recorded_at),
        found.kind,
        found.outcome,
        record.tree_size,
        record.leaf,
        record.facts,
        record.sealed,
    )


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _records(table: pa.Table) -> list[Record]:
    names = ("leaf_index", "entry_id", "leaf", "facts", "sealed", "tree_size")
    return [Record(*row) for row in zip(*(table[name].to_pylist() for name in names), strict=True)]
