"""SQL over archive and hot store."""

from pathlib import Path

import duckdb
import pytest

from audit.errors import ArchiveUnavailableError
from reports.analytics import open_entries
from reports.errors import ColumnUnknownError
from tests.audit.test_archive import Archive
from tests.databases import SampleDatabase

pytestmark = pytest.mark.both_databases
QUERY = """
SELECT kind, strftime(recorded_at, '%Y-%m') AS month, count(*),
       round(sum((decode(facts)->>'$.probability')::DOUBLE), 6)
  FROM entries WHERE entry_type = 'decision' GROUP BY ALL ORDER BY ALL
"""
EXPECTED = [
    ("admission", "2026-01", 1, 0.7),
    ("admission", "2026-02", 8, 5.6),
    ("admission", "2026-03", 4, 2.8),
    ("risk", "2026-02", 1, 0.7),
]


def test_one_query_spans_archive_and_hot_store(tmp_path: Path, database: SampleDatabase) -> None:
    """The rows are the same before archiving, after it, and after the release; March stays hot."""
    log = Archive(tmp_path, database)
    log.fill()
    for step in (lambda: None, log.archive, log.release):
        step()
        with open_entries(log.store, tmp_path) as entries:
            assert entries.execute(QUERY).fetchall() == EXPECTED
            # A query may read the table twice.
            twice = "SELECT count(*) FROM entries a JOIN entries b USING (leaf_index)"
            assert entries.execute(twice).fetchall()[0][0] >= 19
    with open_entries(log.store, tmp_path, month="2026-02", columns=["outcome"]) as entries:
        assert entries.execute("SELECT count(*), count(outcome) FROM entries").fetchone() == (
            12,
            12,
        )
    with open_entries(log.store, tmp_path, kind="risk", columns=["facts"]) as entries:
        assert entries.execute("SELECT count(facts) FROM entries").fetchone() == (1,)
    # The files alone are a table too.
    files = f"read_parquet('{log.root}/**/*.parquet', hive_partitioning = true)"
    found = duckdb.execute(f"SELECT kind, count(*) FROM {files} GROUP BY 1 ORDER BY 1").fetchall()  # noqa: S608 - a folder of this test
    assert found == [("admission", 14), ("risk", 1)]
    for path in log.files():
        path.unlink()
    log.close()
    log.reopen()
    with pytest.raises(ArchiveUnavailableError, match="cannot be read"):
        open_entries(log.store, tmp_path)
    log.close()


@pytest.mark.parametrize("columns", [["leaf_index", "order_hash"], []])
def test_only_what_entries_have_can_be_asked_for(
    tmp_path: Path, database: SampleDatabase, columns: list[str]
) -> None:
    store = database.open()
    with pytest.raises(ColumnUnknownError, match="no column"):
        open_entries(store, tmp_path, columns=columns)
    store.close()
