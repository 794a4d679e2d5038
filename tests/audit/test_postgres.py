"""PostgreSQL: guards, rights, durable settings, lost connections, several replicas."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from sqlalchemy import text

from audit.checkpoint import parse_checkpoint
from audit.errors import (
    DatabaseUrlError,
    EntryExistsError,
    SchemaOutdatedError,
    SearchInvalidError,
    StoreUnavailableError,
    UnsafeStoreError,
)
from audit.guards import GUARDED_TABLES, guard_names, partition_guard_names
from audit.log import append, consistency
from audit.merkle import verify_consistency
from audit.ownership import prepare_database
from audit.postgres import verify_durable
from audit.scan import scan_checkpoints
from audit.store import Search, Store, open_store
from audit.tables import AnchorRow, CosignatureRow
from audit.verify import verify_store
from models.domain import Json
from service.state import METADATA
from tests.audit.replica import COUNTER
from tests.audit.sample import (
    SEALER,
    SIGNER,
    START,
    VKEY,
    make_decision_entry,
    make_override_entry,
    make_publication_entry,
)
from tests.audit.test_tables import FACTS, HEADER, VOID
from tests.databases import SampleDatabase
from tests.postgres import OWNER, SERVICE, PostgresServer

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def postgres(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[SampleDatabase]:
    made = SampleDatabase(tmp_path, postgres_server)
    yield made
    made.close()


@pytest.fixture
def store(postgres: SampleDatabase) -> Iterator[Store]:
    opened = postgres.open()
    yield opened
    opened.close()


@pytest.fixture
def recorded(store: Store, postgres: SampleDatabase) -> SampleDatabase:
    entries = [make_decision_entry(n, key=f"k{n}") for n in range(3)]
    append(store, [*entries, make_override_entry(0, "d-0")], SIGNER, SEALER)
    return postgres


@pytest.fixture
def filled(store: Store, recorded: SampleDatabase) -> SampleDatabase:
    """Return the log with a row in every table, also those whose content others sign."""
    with store.writing() as writing:
        signed = {"tree_size": 4, "witness": "w", "cosigned_at_seconds": 1, "line": "x"}
        writing.insert(CosignatureRow, [signed])
        stamp = {"stamped_at": START, "reply": b"x", "row_sha256": bytes(32)}
        writing.insert(AnchorRow, [{"tree_size": 4, "authority": "a", **stamp}])
    return recorded


def connect(database: SampleDatabase, user: str) -> "psycopg.Connection[Any]":
    assert database.server is not None
    return database.server.connect(database.name, user)


def first_column(connection: "psycopg.Connection[Any]", table: str) -> str:
    query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1"
    row = connection.execute(query, (table,)).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("table", GUARDED_TABLES)
def test_the_service_may_neither_change_nor_remove_nor_unguard(
    filled: SampleDatabase, table: str
) -> None:
    """The service's database user has no right but to read, to insert and to erase look-ups."""
    with connect(filled, SERVICE) as connection:
        name = first_column(connection, table)
        for statement in (
            f"UPDATE {table} SET {name} = {name}",  # noqa: S608 - constants above
            f"TRUNCATE {table} CASCADE",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TRIGGER {table}_no_update ON {table}",
            f"DROP TABLE {table} CASCADE",
            f"ALTER TABLE {table} DROP COLUMN {name}",
            f"CREATE TABLE {table}_2 (x int)",
            "DROP FUNCTION candor_immutable() CASCADE",
            "DROP FUNCTION candor_log_entry_void() CASCADE",
            "SET session_replication_role = replica",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        # What an erasure may remove, the guard keeps from everybody else.
        refusal = (
            psycopg.errors.IntegrityConstraintViolation
            if table == "idempotency"
            else psycopg.errors.InsufficientPrivilege
        )
        with pytest.raises(refusal):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants above


def test_an_erasure_may_change_two_columns_and_no_other(filled: SampleDatabase) -> None:
    """Rights and guards together let hashes go, of entries that are named, and nothing else."""
    with connect(filled, SERVICE) as connection:
        connection.execute("INSERT INTO erasing VALUES (1)")
        row = connection.execute("SELECT * FROM entry_lookup LIMIT 0")
        names = [column.name for column in row.description or ()]
        for name in [*names, "body_hash"]:
            table = "entry_lookup" if name in names else "idempotency"
            refusal: type[psycopg.Error] = psycopg.errors.InsufficientPrivilege
            if name in ("order_hash", "subject_hash"):
                # Emptied together or not at all.
                refusal = psycopg.errors.IntegrityConstraintViolation
            with pytest.raises(refusal):
                connection.execute(f"UPDATE {table} SET {name} = NULL WHERE leaf_index = 1")  # noqa: S608 - names of this database
        emptied = "UPDATE entry_lookup SET order_hash = NULL, subject_hash = NULL"
        removed = "DELETE FROM idempotency"
        for statement in (emptied, removed):
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
                connection.execute(f"{statement} WHERE leaf_index = 0")
            assert connection.execute(f"{statement} WHERE leaf_index = 1").rowcount == 1
        assert connection.execute("DELETE FROM erasing").rowcount == 1


def test_a_temporary_table_erases_nothing(filled: SampleDatabase) -> None:
    with connect(filled, SERVICE) as connection:
        connection.execute("CREATE TEMP TABLE erasing AS SELECT 0::bigint AS leaf_index")
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
            connection.execute("DELETE FROM idempotency WHERE leaf_index = 0")


@pytest.mark.parametrize("user", [OWNER, "postgres"])
@pytest.mark.parametrize("table", GUARDED_TABLES)
def test_the_guards_stop_even_those_who_have_the_right(
    filled: SampleDatabase, table: str, user: str
) -> None:
    """Nobody changes, removes or replaces a row as long as the guards are there."""
    with connect(filled, user) as connection:
        if user == "postgres":
            connection.execute("SET session_replication_role = replica")
        before = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()  # noqa: S608 - constants above
        name = first_column(connection, table)
        for statement in (
            f"UPDATE {table} SET {name} = {name}",  # noqa: S608 - constants above
            f"DELETE FROM {table}",  # noqa: S608 - constants above
            f"TRUNCATE {table} CASCADE",
        ):
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="immutable: "):
                connection.execute(statement)
        marks = ", ".join(["%s"] * len(before[0]))
        with pytest.raises(psycopg.errors.IntegrityError):
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", before[0])  # noqa: S608 - constants above
        assert connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() == before  # noqa: S608 - constants above


def insert_decision(connection: Any, header: Json, facts: bytes | None) -> None:  # noqa: ANN401 - as the SQLite one
    with connection.transaction():
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        if facts is not None:
            connection.execute("INSERT INTO facts_part VALUES (50, %s, '2026-01')", (facts,))
        leaf = orjson.dumps(header)
        connection.execute(
            "INSERT INTO log_entry VALUES (50, 'd-50', %s, %s, 51, '2026-01')", (leaf, bytes(32))
        )
        connection.execute("INSERT INTO checkpoint VALUES (51, 'x')")


def test_a_whole_decision_is_taken(filled: SampleDatabase) -> None:
    with connect(filled, SERVICE) as connection:
        insert_decision(connection, HEADER, FACTS)
        found = connection.execute("SELECT entry_id FROM log_entry WHERE leaf_index = 50")
        assert found.fetchone() == ("d-50",)


def test_facts_with_any_character_are_taken(filled: SampleDatabase) -> None:
    """U+0000 is a character of JSON; only PostgreSQL's jsonb cannot hold it."""
    with connect(filled, SERVICE) as connection:
        insert_decision(connection, HEADER, b'{"features": {"a": "\\u0000"}}')


@pytest.mark.parametrize("desc", VOID)
def test_a_void_decision_is_refused_by_the_database(filled: SampleDatabase, desc: str) -> None:
    """A decision without snapshot, model version, bundle or confidence cannot be inserted."""
    with (
        connect(filled, SERVICE) as connection,
        pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="void:"),
    ):
        insert_decision(connection, *VOID[desc])


def test_a_temporary_table_does_not_stand_in_for_the_facts(filled: SampleDatabase) -> None:
    with connect(filled, SERVICE) as connection:
        connection.execute(
            "CREATE TEMP TABLE facts_part (leaf_index bigint, body bytea, month text)"
        )
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="void:"):
            insert_decision(connection, HEADER, FACTS)


def test_a_header_that_is_not_json_is_refused_by_the_database(filled: SampleDatabase) -> None:
    with (
        connect(filled, SERVICE) as connection,
        pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="not JSON"),
    ):
        connection.execute("INSERT INTO log_entry VALUES (60, 'x', '\\xff', '\\x00', 61, 'always')")


@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_may_lose_commits_is_refused(name: str) -> None:
    settings = dict.fromkeys(["fsync", "full_page_writes", "synchronous_commit"], "on")
    verify_durable(settings)
    with pytest.raises(UnsafeStoreError, match=name):
        verify_durable(settings | {name: "off"})


def test_what_is_set_up_unsafely_is_neither_opened_nor_written(
    store: Store, postgres: SampleDatabase
) -> None:
    """A setting that is switched off later stops the writer too, not only the start."""
    append(store, [make_publication_entry(0)], SIGNER, SEALER)
    store.close()
    connection = postgres.connect()
    connection.execute(f"ALTER DATABASE {postgres.name} SET synchronous_commit = off")
    with pytest.raises(UnsafeStoreError, match="synchronous_commit off"):
        append(store, [make_publication_entry(1)], SIGNER, SEALER)
    with pytest.raises(UnsafeStoreError, match="synchronous_commit off"):
        postgres.open()
    connection.execute(f"ALTER DATABASE {postgres.name} RESET synchronous_commit")
    connection.close()
    store.close()
    append(store, [make_publication_entry(1)], SIGNER, SEALER)
    assert verify_store(store, [VKEY], SEALER).tree_size == 2


def test_the_owner_is_no_service(postgres: SampleDatabase) -> None:
    """A service whose database user could change records does not start."""
    with pytest.raises(UnsafeStoreError, match="could change log_entry"):
        open_store(postgres.owner_url)
    with pytest.raises(UnsafeStoreError, match="also the service's user"):
        prepare_database(postgres.owner_url, OWNER)
    connection = postgres.connect()
    never = [("checkpoint", right) for right in ("UPDATE (note)", "DELETE", "TRUNCATE", "TRIGGER")]
    lookups = [("entry_lookup", right) for right in ("UPDATE", "UPDATE (kind)", "DELETE")]
    keys = [("idempotency", right) for right in ("UPDATE (body_hash)", "TRUNCATE")]
    for table, right in [*never, *lookups, *keys]:
        connection.execute(f"GRANT {right} ON {table} TO {SERVICE}")
        with pytest.raises(UnsafeStoreError, match=f"could change {table}"):
            postgres.open()
        prepare_database(postgres.owner_url, SERVICE, [METADATA])
        postgres.open().close()
    connection.close()


@pytest.mark.parametrize("name", ["log_entry_void", "tree_node_no_truncate"])
@pytest.mark.parametrize("how", ["DROP TRIGGER {} ON {}", "ALTER TABLE {1} DISABLE TRIGGER {0}"])
def test_a_missing_guard_stops_the_start(postgres: SampleDatabase, name: str, how: str) -> None:
    table = next(table for table in GUARDED_TABLES if name.startswith(table))
    connection = postgres.connect()
    connection.execute(how.format(name, table))
    connection.close()
    assert (table, name) in guard_names()
    with pytest.raises(UnsafeStoreError, match=f"guard {name}"):
        postgres.open()
    prepare_database(postgres.owner_url, SERVICE, [METADATA])
    postgres.open().close()


@pytest.mark.parametrize("guard", partition_guard_names("facts_part", "facts_part_2026_01"))
def test_a_missing_guard_of_a_partition_stops_the_start(
    postgres: SampleDatabase, guard: tuple[str, str]
) -> None:
    partition, name = guard
    connection = postgres.connect()
    connection.execute(f"ALTER TABLE {partition} DISABLE TRIGGER {name}")
    connection.close()
    with pytest.raises(UnsafeStoreError, match=f"guard {name} .* on {partition}"):
        postgres.open()
    prepare_database(postgres.owner_url, SERVICE, [METADATA])
    postgres.open().close()


def test_an_empty_database_asks_for_its_schema(postgres_server: PostgresServer) -> None:
    """A service makes no schema: it says which command does."""
    name = postgres_server.make_database(prepared=False)
    with pytest.raises(SchemaOutdatedError, match="no schema yet") as caught:
        open_store(postgres_server.url(name))
    assert "candor database migrate" in caught.value.remedy
    prepare_database(postgres_server.url(name, OWNER), SERVICE, [METADATA])
    open_store(postgres_server.url(name)).close()
    postgres_server.drop_database(name)


def test_another_encoding_is_refused(postgres_server: PostgresServer) -> None:
    with postgres_server.admin("postgres") as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(UnsafeStoreError, match="LATIN1"):
        open_store(postgres_server.url("latin"))
    postgres_server.drop_database("latin")


@pytest.mark.parametrize(
    "url", ["postgresql://x@y/z", "mysql://x@y/z", "nonsense", "postgresql+psycopg://x@y:p/z"]
)
def test_other_urls_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        open_store(url)
    assert url not in caught.value.detail


@pytest.mark.parametrize("url", ["sqlite:///x.db", "postgresql+psycopg:///database"])
def test_only_a_named_user_of_postgres_owns_a_database(url: str) -> None:
    with pytest.raises(DatabaseUrlError):
        prepare_database(url, SERVICE)


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError):
        open_store(f"postgresql+psycopg://candor@/log?host={tmp_path}&connect_timeout=2")


def test_what_columns_cannot_hold_is_no_search(store: Store) -> None:
    with pytest.raises(SearchInvalidError), store.reading() as reading:
        reading.record("d-\x00")
    with pytest.raises(SearchInvalidError), store.reading() as reading:
        reading.search(Search(cursor=2**70))


def test_a_writer_waits_no_longer_than_it_may(postgres: SampleDatabase) -> None:
    """Another writer's turn ends the wait with 503's error, and nothing is recorded."""
    patient, impatient = postgres.open(), postgres.open(busy_timeout_ms=10)
    with patient.writing(), pytest.raises(StoreUnavailableError, match="lock timeout"):
        append(impatient, [make_publication_entry(0)], SIGNER, SEALER)
    append(impatient, [make_publication_entry(0)], SIGNER, SEALER)
    patient.close()
    impatient.close()


def test_a_store_mends_itself_after_a_lost_connection(
    store: Store, postgres: SampleDatabase
) -> None:
    append(store, [make_publication_entry(0)], SIGNER, SEALER)
    connection = postgres.connect()
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s "
        "AND pid <> pg_backend_pid()",
        (postgres.name,),
    )
    connection.close()
    with pytest.raises(StoreUnavailableError):
        append(store, [make_publication_entry(1)], SIGNER, SEALER)
    append(store, [make_publication_entry(1)], SIGNER, SEALER)
    assert verify_store(store, [VKEY], SEALER).tree_size == 2


def test_no_state_of_a_session_is_left_behind(store: Store) -> None:
    """What pgbouncer hands to the next transaction knows nothing of the last."""
    engine = store._engine
    query = (
        "SELECT name, setting FROM pg_settings WHERE source = 'session' "
        "AND name NOT LIKE 'transaction%%' ORDER BY name"
    )
    with engine.connect() as connection, connection.begin():
        fresh = connection.exec_driver_sql(query).all()
        pid = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]  # a DBAPI connection has no type
    append(store, [make_decision_entry(n, key=f"k{n}") for n in range(20)], SIGNER, SEALER)
    for number in range(20, 40):
        append(store, [make_decision_entry(number)], SIGNER, SEALER)
    assert verify_store(store, [VKEY], SEALER).ok
    with engine.connect() as connection, connection.begin():
        assert connection.connection.dbapi_connection.info.backend_pid == pid  # type: ignore[union-attr]  # same
        assert connection.exec_driver_sql(query).all() == fresh
        prepared = "SELECT count(*) FROM pg_prepared_statements"
        assert connection.exec_driver_sql(prepared).scalar() == 0
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert connection.exec_driver_sql(held).scalar() == 0


def test_a_reading_cannot_write(store: Store) -> None:
    with pytest.raises(StoreUnavailableError, match="read-only"), store.reading() as reading:
        reading._connection.execute(text("INSERT INTO checkpoint VALUES (9, 'x')"))


CHANGED = {
    "log_entry": {"leaf": "leaf || '\\x00'", "leaf_hash": "'\\x00'", "entry_id": "entry_id || 'x'"},
    "facts_part": {"body": "body || '\\x20'"},
    "personal_part": {"sealed": "sealed || '\\x00'"},
    "tree_node": {"hash": "'\\x00'", "node_index": "node_index + 40", "level": "level + 60"},
    "checkpoint": {"note": "note || 'x'", "tree_size": "tree_size + 1000"},
    "entry_lookup": {
        name: f"coalesce({name}, '') || 'x'"
        for name in ("entry_id", "entry_type", "kind", "outcome", "about", "chain_id")
    }
    | {
        "automated": "1 - coalesce(automated, 0)",
        "order_hash": "'\\x00'",
        "subject_hash": "'\\x00'",
        "recorded_at": "'2000-01-01T00:00:00.000000Z'",
    },
    "idempotency": {"key_hash": "'\\x00'", "body_hash": "'\\x00'", "leaf_index": "leaf_index + 1"},
}


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, all_ in CHANGED.items() for column in all_]
)
def test_a_change_to_any_value_is_found(
    recorded: SampleDatabase, store: Store, table: str, column: str
) -> None:
    """Somebody who may do everything changes a value of PostgreSQL's: verify finds it."""
    assert verify_store(store, [VKEY], SEALER).ok
    with recorded.connect() as connection:
        row = connection.execute(f"SELECT ctid FROM {table} LIMIT 1").fetchone()  # noqa: S608 - constants above
    new = CHANGED[table][column]
    recorded.tamper(f"UPDATE {table} SET {column} = {new} WHERE ctid = '{row[0]}'")  # noqa: S608 - constants above
    assert not verify_store(store, [VKEY], SEALER).ok


@pytest.mark.parametrize("table", CHANGED)
def test_a_missing_row_is_found(recorded: SampleDatabase, store: Store, table: str) -> None:
    recorded.tamper(f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} LIMIT 1)")  # noqa: S608 - constants above
    assert not verify_store(store, [VKEY], SEALER).ok


def test_rows_of_every_shape_are_inserted_at_once(store: Store) -> None:
    """Columns that are None in every row, in some, and in none."""
    append(store, [make_publication_entry(0)], SIGNER, SEALER)
    append(store, [make_publication_entry(1), make_decision_entry(1)], SIGNER, SEALER)
    append(store, [make_decision_entry(n) for n in range(2, 600)], SIGNER, SEALER)
    assert verify_store(store, [VKEY], SEALER).tree_size == 601
    with pytest.raises(EntryExistsError):
        append(store, [make_publication_entry(1)], SIGNER, SEALER)


def check_replicas(database: SampleDatabase, replicas: int, decisions: int, cap: int) -> None:
    """Let replicas record at the same time, then check the one history."""
    script = Path(__file__).with_name("replica.py")
    numbers = [str(decisions), "7", str(cap)]
    started = [
        subprocess.Popen(
            [sys.executable, str(script), database.url, str(replica), *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        )
        for replica in range(replicas)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * replicas
    lines = [line.split() for one in printed for line in one.splitlines()]
    keyed = len(range(0, decisions, 5))
    fresh = sorted(int(place) for _, place, repeated in lines if repeated == "0")
    # One dense history, in which each Idempotency-Key has one entry whoever sent it.
    assert fresh == list(range(replicas * (decisions - keyed) + keyed))
    assert sum(repeated == "1" for *_, repeated in lines) == (replicas - 1) * keyed
    store = database.open()
    report = verify_store(store, [VKEY], SEALER)
    assert (report.problems, report.tree_size) == ((), len(fresh))
    with store.reading() as reading:
        assert reading.counts([COUNTER]) == {COUNTER: min(cap, len(fresh))}
        places = [orjson.loads(leaf).get("place") for leaf in reading.leaves(0, len(fresh))]
    # Each place of the counter was given once, in the order of the log.
    assert [place for place in places if place is not None] == list(range(min(cap, len(fresh))))
    check_consistency(store)
    store.close()


def check_consistency(store: Store) -> None:
    """Check the consistency proof between all neighbouring checkpoints."""
    with store.raw() as connection:
        notes = [parse_checkpoint(note) for _, note in scan_checkpoints(connection)]
    for old, new in pairwise(notes):
        proof = consistency(store, old.tree_size, new.tree_size)
        verify_consistency(old.tree_size, new.tree_size, old.root_hash, new.root_hash, proof)


def test_four_replicas_write_one_history(postgres: SampleDatabase) -> None:
    """Four processes, 500 decisions each: dense, keys unique, no counter above its cap."""
    check_replicas(postgres, 4, 500, 100)


@pytest.mark.trial
def test_four_replicas_write_one_long_history(postgres: SampleDatabase) -> None:
    """Four processes, 100,000 decisions: dense, every neighbouring checkpoint consistent."""
    check_replicas(postgres, 4, 25_000, 5_000)
