"""Archive and hot store as one stream of Arrow, in the order of the log."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from audit.archive_files import SCHEMA, build_batch
from audit.archive_rows import ArchiveRow, read_page
from audit.store import Store

COLUMNS: Final = tuple(SCHEMA.names)


def read_all(
    store: Store, *, month: str | None = None, kind: str | None = None
) -> pa.RecordBatchReader:
    """Return every entry, whether its parts are in the hot store or in the archive.

    Parameters
    ----------
    store
        The log; it knows the archive.
    month
        Only entries recorded in this month of UTC, ``YYYY-MM``.
    kind
        Only entries of this kind.

    Returns
    -------
    pyarrow.RecordBatchReader
        Batches of at most 256 rows of `audit.archive_files.SCHEMA`, read as they are asked for.
        Entries that are recorded meanwhile are not among them. Reading raises what
        `Store.reading` and `audit.archive_source.ArchivedBodies.complete` raise.
    """
    with store.reading() as reading:
        last = reading.tree_size() - 1
    return pa.RecordBatchReader.from_batches(SCHEMA, _batches(store, last, month, kind))


def _batches(
    store: Store, last: int, month: str | None, kind: str | None
) -> Iterator[pa.RecordBatch]:
    first = 0
    while first <= last:
        # A snapshot for each page: entries never change, and a long one would hold up the rest.
        with store.raw() as connection:
            rows = read_page(connection, first, last, month, kind)
            if store.bodies is not None:
                records = store.bodies.complete(connection, [row.record for row in rows])
                pairs = zip(rows, records, strict=True)
                rows = [ArchiveRow(row.found, record) for row, record in pairs]
        if not rows:
            return
        yield build_batch(rows)
        first = rows[-1].record.leaf_index + 1
