"""The database itself refuses change and void records."""

from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pysqlite3
import pytest
from sqlalchemy.dialects import sqlite
from sqlmodel import Session, create_engine, select

from audit.log import append
from audit.tables import EntryRow, LookupRow, UtcDateTime
from models.domain import Json
from tests.audit.sample import (
    SEALER,
    SIGNER,
    START,
    make_decision_entry,
    make_override_entry,
    open_sample_store,
)

TABLES = [
    *["log_entry", "facts_part", "personal_part", "tree_node"],
    *["checkpoint", "entry_lookup", "idempotency"],
]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Any]:
    """Return a foreign connection to a small log, with none of our settings."""
    store = open_sample_store(tmp_path)
    entries = [make_decision_entry(n, key=f"k{n}") for n in range(3)]
    append(store, [*entries, make_override_entry(0, "d-0")], SIGNER, SEALER)
    store.close()
    connection = pysqlite3.connect(tmp_path / "log.db", isolation_level=None)
    yield connection
    connection.close()


@pytest.mark.parametrize("table", TABLES)
def test_update_delete_and_replace_are_refused(connection: Any, table: str) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    """No row of any audit table can be changed, deleted or replaced."""
    rows = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()  # noqa: S608 - constants above
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    marks = ", ".join("?" * len(names))
    refused = [f"DELETE FROM {table}", f"DELETE FROM {table} WHERE {names[0]} = 0"]  # noqa: S608 - constants above
    refused += [f"UPDATE {table} SET {name} = {name}" for name in names]  # noqa: S608 - constants above
    for statement in refused:
        if "WHERE" in statement and table not in ("log_entry", "facts_part"):
            continue
        with pytest.raises(pysqlite3.IntegrityError, match=f"immutable: {table}"):
            connection.execute(statement)
    for verb in ("INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"):
        with pytest.raises(pysqlite3.IntegrityError, match=f"immutable: {table}"):
            connection.execute(f"{verb} INTO {table} VALUES ({marks})", rows[0])
    assert connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() == rows  # noqa: S608 - constants above


def insert_decision(connection: Any, header: Json, facts: bytes | None) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    if facts is not None:
        connection.execute("INSERT INTO facts_part VALUES (50, ?, '2026-01')", (facts,))
    values = (50, "d-50", orjson.dumps(header), bytes(32), 51, "2026-01")
    connection.execute(
        "INSERT INTO log_entry (leaf_index, entry_id, leaf, leaf_hash, tree_size, month) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        values,
    )


HEADER: dict[str, Json] = {
    "type": "decision",
    "model": {"name": "admission", "version": "3", "bundle": "sha256:ab"},
    "confidence": 0.7,
}
FACTS = b'{"features": {"a": 1.0}}'


def test_a_whole_decision_is_taken(connection: Any) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    insert_decision(connection, HEADER, FACTS)
    count = connection.execute("SELECT count(*) FROM log_entry WHERE leaf_index = 50").fetchone()
    assert count == (1,)


VOID: dict[str, tuple[Json, bytes | None]] = {
    "no facts part": (HEADER, None),
    "no features": (HEADER, b"{}"),
    "features are null": (HEADER, b'{"features": null}'),
    "features are empty": (HEADER, b'{"features": {}}'),
    "features are a list": (HEADER, b'{"features": [1]}'),
    "facts are not JSON": (HEADER, b"\xff"),
    "no model": ({**HEADER, "model": None}, FACTS),
    "no model version": ({**HEADER, "model": {"bundle": "sha256:ab"}}, FACTS),
    "empty model version": ({**HEADER, "model": {"bundle": "a", "version": ""}}, FACTS),
    "no bundle": ({**HEADER, "model": {"version": "3"}}, FACTS),
    "no confidence": ({"type": "decision", "model": HEADER["model"]}, FACTS),
    "confidence is null": ({**HEADER, "confidence": None}, FACTS),
    "confidence is a text": ({**HEADER, "confidence": "high"}, FACTS),
}


@pytest.mark.parametrize("desc", VOID)
def test_a_void_decision_is_refused_by_the_database(connection: Any, desc: str) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    """A decision without snapshot, model version, bundle or confidence cannot be inserted."""
    with pytest.raises(pysqlite3.IntegrityError, match="void:"):
        insert_decision(connection, *VOID[desc])


def test_a_header_that_is_not_json_is_refused_by_the_database(connection: Any) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    with pytest.raises(pysqlite3.IntegrityError, match="not JSON"):
        connection.execute(
            "INSERT INTO log_entry VALUES (60, 'x', x'ff', x'00', 61, 'always')",
        )


def test_rows_are_read_as_sqlmodel_objects(tmp_path: Path, connection: Any) -> None:  # noqa: ANN401 - a DBAPI connection has no type
    """The tables are SQLModel's, their times aware."""
    assert connection
    engine = create_engine(f"sqlite:///{tmp_path / 'log.db'}", module=pysqlite3)
    with Session(engine) as session:
        row = session.exec(select(LookupRow).where(LookupRow.entry_id == "d-1")).one()
        assert row.recorded_at == START + timedelta(seconds=1)
        assert row.recorded_at.tzinfo is not None
        assert session.exec(select(EntryRow).where(EntryRow.leaf_index == 3)).one().tree_size == 4
    engine.dispose()


def test_times_are_bound_as_the_header_writes_them() -> None:
    kind, dialect = UtcDateTime(), sqlite.dialect()
    beijing = START.astimezone(timezone(timedelta(hours=8)))
    assert kind.process_bind_param(beijing, dialect) == "2026-01-15T08:30:00.000000Z"
    assert kind.process_bind_param(None, dialect) is None
    assert kind.process_result_value("2026-01-15T08:30:00.000000Z", dialect) == START
    assert kind.process_result_value(None, dialect) is None
