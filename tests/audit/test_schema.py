"""The schema: made by revisions alone, the same as the tables in code, on both databases."""

from collections.abc import Callable
from pathlib import Path

import pysqlite3
import pytest
from sqlalchemy import text

from audit.errors import SchemaOutdatedError
from audit.migrations.run import find_drift, newest_revision
from audit.ownership import prepare_database
from audit.schema import HEAD, read_revision, upgrade, verify_revision
from audit.tables import METADATA
from audit.verify import verify_store
from service import state
from tests.audit.sample import SEALER, VKEY, open_sample_store
from tests.databases import SampleDatabase
from tests.postgres import SERVICE

pytestmark = pytest.mark.both_databases


def test_the_newest_revision_is_the_one_that_the_program_needs() -> None:
    assert newest_revision() == HEAD


def test_the_schema_is_what_the_code_says(database: SampleDatabase) -> None:
    """`alembic check` finds no difference between the revisions and the tables."""
    store = database.open()
    with store._engine.connect() as connection:
        assert read_revision(connection) == HEAD
        verify_revision(connection)
        assert find_drift(connection, [METADATA, state.METADATA]) == []
    store.close()


def test_a_difference_would_be_found(database: SampleDatabase) -> None:
    database.open().close()
    connection = database.connect()
    connection.execute("ALTER TABLE entry_lookup ADD COLUMN more text")
    connection.execute("DROP TABLE api_key")
    connection.close()
    store = database.open()
    with store._engine.connect() as connection:
        found = find_drift(connection, [METADATA, state.METADATA])
    store.close()
    said = " ".join(map(str, found))
    assert len(found) == 2
    assert "remove_column" in said
    assert "add_table" in said


def test_upgrading_again_does_nothing(database: SampleDatabase) -> None:
    store = database.open()
    with store._engine.connect() as connection, connection.begin():
        assert not upgrade(connection)
    store.close()


def test_a_schema_of_another_program_is_refused(database: SampleDatabase) -> None:
    """Neither a newer schema nor, on PostgreSQL, an older one is worked with."""
    database.open().close()
    database.tamper("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaOutdatedError, match="revision 9999"):
        database.open()
    if database.server is None:
        return
    with pytest.raises(SchemaOutdatedError, match="9999"):
        prepare_database(database.owner_url, SERVICE, [state.METADATA])
    database.tamper("UPDATE alembic_version SET version_num = '0001'", "DROP TABLE api_key")
    with pytest.raises(SchemaOutdatedError, match="revision 0001"):
        database.open()
    prepare_database(database.owner_url, SERVICE, [state.METADATA])
    store = database.open()
    with store._engine.connect() as connection, connection.begin():
        assert connection.execute(text("SELECT count(*) FROM api_key")).scalar() == 0
    store.close()


def test_each_database_of_a_run_is_its_own(make_database: Callable[[], SampleDatabase]) -> None:
    first, second = make_database(), make_database()
    assert first.url != second.url
    for one in (first, second):
        one.open().close()
        one.close()


def test_a_store_made_before_there_were_revisions_is_taken_over(tmp_path: Path) -> None:
    """Its tables stay as they are, with everything in them."""
    open_sample_store(tmp_path).close()
    connection = pysqlite3.connect(tmp_path / "log.db", isolation_level=None)
    connection.execute("DROP TABLE alembic_version")
    connection.execute("DROP TABLE api_key")
    connection.execute("INSERT INTO cap_counter VALUES ('a', 'b', 'c', 'd', 7)")
    store = open_sample_store(tmp_path)
    with store._engine.connect() as opened:
        assert find_drift(opened, [METADATA, state.METADATA]) == []
    assert connection.execute("SELECT used FROM cap_counter").fetchall() == [(7,)]
    assert [problem.code for problem in verify_store(store, [VKEY], SEALER).problems] == ["counter"]
    store.close()
    connection.close()
