"""SQL over everything that was ever recorded: DuckDB over archive and hot store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from audit.archive_files import SCHEMA
from audit.archive_stream import COLUMNS, read_all
from audit.store import Store
from reports.errors import ColumnUnknownError

_MEMORY: Final = "512MB"


def open_entries(
    store: Store,
    spill_folder: Path,
    *,
    month: str | None = None,
    kind: str | None = None,
    columns: Sequence[str] = COLUMNS,
) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB database of its own with a table `entries`; close it when done.

    Parameters
    ----------
    store
        The log; it knows the archive.
    spill_folder
        Where DuckDB puts what does not fit into memory.
    month, kind
        Only entries of this month of UTC (``YYYY-MM``) and this kind; None means any.
    columns
        Those of `audit.archive_files.SCHEMA` that the queries need. Facts are JSON in bytes:
        ``decode(facts)->>'$.outcome'``.

    Raises
    ------
    ColumnUnknownError
        If there is no such column.
    StoreUnavailableError, ArchiveUnavailableError, ArchiveDamagedError
        If an entry cannot be read.

    Notes
    -----
    The stream is copied once, because a query may read its table twice.
    """
    unknown = set(columns) - set(COLUMNS)
    if unknown or not columns:
        raise ColumnUnknownError(f"entries have no column {', '.join(sorted(unknown)) or 'given'}")
    limits = {"memory_limit": _MEMORY, "temp_directory": str(spill_folder)}
    connection = duckdb.connect(config={**limits})
    try:
        names = ", ".join(columns)
        connection.register("batch", SCHEMA.empty_table())
        connection.execute(f"CREATE TABLE entries AS SELECT {names} FROM batch")  # noqa: S608 - names of the schema
        # Batch by batch, so that what fails while reading comes out as the error that it is.
        for batch in read_all(store, month=month, kind=kind):
            connection.register("batch", pa.Table.from_batches([batch]))
            connection.execute(f"INSERT INTO entries SELECT {names} FROM batch")  # noqa: S608 - names of the schema
        connection.unregister("batch")
    except BaseException:
        connection.close()
        raise
    return connection
