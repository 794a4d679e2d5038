"""Random changes of what a platform holds, drawn alike over places, rows, columns and kinds.

Left out is only what has no meaning, each with its reason:

- a cosignature, a timestamp or an API key deleted: a witness can bring its line again, an authority
  can be asked again, and a key that is gone opens nothing; an interrupted creation looks the same;
- an API key's `revoked_at` set, or set to another time: such a key opens nothing either;
- one of the two slots of the kept checkpoint: the other one counts, as after a torn write;
- what SQLite or a zip file keeps beside rows and files: free pages, dates of members.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

import psycopg
import pysqlite3

from audit.checkpoint import parse_checkpoint
from audit.errors import AuditError
from audit.receipt import verify_receipt
from audit.tables import METADATA
from service.state import METADATA as SERVICE_METADATA
from tests.attacks.history import Copy, Scene, edit_key_store, unguard
from tests.reports.bundles import Altered, failed_steps

_TABLES: Final = {
    table.name: table
    for metadata in (METADATA, SERVICE_METADATA)
    for table in metadata.tables.values()
}
# What has to be found in a table whose rows name no entry, or name one that was not changed.
_CODES: Final[dict[str, set[str]]] = {
    "cap_counter": {"counter"},
    "tree_node": {"tree-node-stray"},
    "anchor": {"anchor-altered"},
    "erasing": {"erasing-left"},
    "releasing": {"releasing-left"},
    "purging": {"purging-left"},
}
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_NEVER_DELETED: Final = ("cosignature", "anchor", "api_key")
_REFUSED: Final = (pysqlite3.Error, psycopg.Error, OverflowError)
_KINDS: Final = ("delete", "insert", "swap", "change", "change", "change")
SLOT: Final = 4096
Row = dict[str, Any]
_Text = TypeVar("_Text", str, bytes)


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made.

    Parameters
    ----------
    what
        For a message.
    leaf_indexes
        The entries touched; empty when none is.
    codes
        What has to be found when no entry is touched, or none can be named.
    """

    what: str
    leaf_indexes: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()


def change_value(random: Random, value: Any, others: list[Any]) -> Any:  # noqa: ANN401 - any column value
    """Return another value of the same type, now and then none."""
    if isinstance(value, int):
        return value ^ (1 << random.randrange(12))
    how = random.choice(("change", "insert", "remove", "null", "other"))
    if how == "other" or value is None:
        return random.choice(others) or "x"
    if how == "null":
        return None
    if isinstance(value, str):
        return _edit(value, random.choice(_LETTERS), random.randrange(len(value) + 1), how)
    raw = bytes(value)
    return _edit(raw, random.randbytes(1), random.randrange(len(raw) + 1), how)


def _edit(old: _Text, new: _Text, at: int, how: str) -> _Text:
    """Change, insert or remove one character or byte."""
    if how == "insert":
        return old[:at] + new + old[at:]
    return old[:at] + (new if how == "change" else new[:0]) + old[at + 1 :]


class RowChange:
    """One change of one table of a copy's database, guards off."""

    def __init__(self, random: Random, copy: Copy, table: str) -> None:
        self._random = random
        self._copy = copy
        self._table = table
        self._columns = [column.name for column in _TABLES[table].columns]
        self._key = [column.name for column in _TABLES[table].primary_key.columns]
        self._mark = "?" if copy.database.server is None else "%s"
        self._connection: Any = copy.database.connect()

    def make(self) -> Change:
        """Draw until there is a change that the database's types and constraints allow."""
        guards = unguard(self._connection, self._copy.database)
        while True:
            rows = self._rows(self._table)
            kind = self._random.choice(_KINDS) if rows else "insert"
            done = self._try(kind, rows)
            if done is not None:
                break
        for statement in guards:
            self._connection.execute(statement)
        self._connection.close()
        return done

    def _rows(self, table: str) -> list[Row]:
        columns = [column.name for column in _TABLES[table].columns]
        query = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(self._key)}"  # noqa: S608 - names of ours
        found = self._connection.execute(query).fetchall()
        return [dict(zip(columns, row, strict=True)) for row in found]

    def _try(self, kind: str, rows: list[Row]) -> Change | None:
        before = self._entries()
        old = self._random.choice(rows) if rows else None
        try:
            new = self._do(kind, old, rows)
        except _REFUSED:
            return None
        if new is None:
            return None
        touched = [row for row in (old if kind != "insert" else None, *new) if row is not None]
        leaves = frozenset(at for row in touched for at in self._leaves(row, before))
        more = _CODES.get(self._table, {f"{self._table.replace('_', '-')}-stray"})
        return Change(f"{kind} in {self._table}: {old} -> {new}", leaves, frozenset(more))

    def _do(self, kind: str, old: Row | None, rows: list[Row]) -> list[Row] | None:
        if kind == "insert" or old is None:
            return self._insert(old, rows)
        if kind == "delete":
            return self._delete(old)
        column = self._random.choice(self._columns)
        if kind == "swap":
            return self._swap(old, self._random.choice(rows), column)
        new = {**old, column: change_value(self._random, old[column], [r[column] for r in rows])}
        if new == old or (column == "revoked_at" and new[column] is not None):
            return None
        self._update(old, column, new[column])
        return [new]

    def _delete(self, old: Row) -> list[Row] | None:
        if self._table in _NEVER_DELETED:
            return None
        self._execute(f"DELETE FROM {self._table} WHERE {self._where()}", self._names(old))  # noqa: S608 - names of ours
        return []

    def _swap(self, old: Row, other: Row, column: str) -> list[Row] | None:
        if old[column] == other[column] or column in self._key or column == "revoked_at":
            return None
        room = change_value(self._random, old[column], [old[column]])
        self._update(other, column, room)
        self._update(old, column, other[column])
        self._update(other, column, old[column])
        return [other]

    def _insert(self, old: Row | None, rows: list[Row]) -> list[Row] | None:
        new = dict(self._invent() if old is None else old)
        unique = [*self._key, "entry_id"] if self._table == "log_entry" else self._key
        for name in unique if rows else []:
            new[name] = change_value(self._random, new[name], [row[name] for row in rows])
        if self._table == "api_key":
            new["key_sha256"] = self._random.randbytes(32)
        marks = ", ".join([self._mark] * len(self._columns))
        names = ", ".join(self._columns)
        values = [new[name] for name in self._columns]
        self._execute(f"INSERT INTO {self._table} ({names}) VALUES ({marks})", values)  # noqa: S608 - names of ours
        return [new]

    def _invent(self) -> Row:
        """Return a row for a table that has none."""
        entries = self._entries()
        place = self._random.randrange(len(entries))
        values: Row = {
            "leaf_index": place,
            "first_index": place,
            "last_index": place + self._random.randrange(3),
            "tree_size": self._random.choice([*entries.values()]),
            "authority": "https://stamps.example/",
            "stamped_at": "2026-01-15T08:30:00.000000Z",
            "reply": self._random.randbytes(40),
            "row_sha256": self._random.randbytes(32),
        }
        return {name: values[name] for name in self._columns}

    def _update(self, row: Row, column: str, value: Any) -> None:  # noqa: ANN401 - any column value
        update = f"UPDATE {self._table} SET {column} = {self._mark} WHERE {self._where()}"  # noqa: S608 - names of ours
        self._execute(update, [value, *self._names(row)])

    def _where(self) -> str:
        return " AND ".join(f"{name} = {self._mark}" for name in self._key)

    def _names(self, row: Row) -> list[Any]:
        return [row[name] for name in self._key]

    def _execute(self, statement: str, values: list[Any]) -> None:
        self._connection.execute(statement, values)

    def _entries(self) -> dict[Any, Any]:
        query = "SELECT leaf_index, tree_size FROM log_entry"
        return dict(self._connection.execute(query).fetchall())

    def _leaves(self, row: Row, entries: dict[Any, Any]) -> set[int]:
        if "leaf_index" in row:
            return {row["leaf_index"]}
        if self._table == "tree_node":
            level, index = row["level"], row["node_index"]
            small = isinstance(level, int) and 0 < level < 10 and isinstance(index, int)
            return set(range(index << level, index + 1 << level)) if small else set()
        if "tree_size" in row:
            size = row["tree_size"]
            covered = {at for at, own in entries.items() if own == size}
            return covered | ({size - 1} if isinstance(size, int) else set())
        if self._table == "api_key":
            query = "SELECT leaf_index FROM entry_lookup WHERE entry_type = 'key-created'"
            return {at for (at,) in self._connection.execute(query).fetchall()}
        return set()


def change_rows(table: str) -> Callable[[Random, Copy, Scene], Change]:
    """Return what changes something in a table."""
    return lambda random, copy, _scene: RowChange(random, copy, table).make()


def change_key_store(random: Random, copy: Copy, _scene: Scene) -> Change:
    """Change a row of the store of subjects' keys."""
    connection = pysqlite3.connect(copy.settings.keys / "subjects.db")
    rows = connection.execute("SELECT key_id, owner, epoch, wrapped FROM subject_key").fetchall()
    connection.close()
    key_id, *values = random.choice(rows)
    codes = {"subject-key-missing", "subject-key-owner", "key-encryption-wrong"}
    what = random.choice(("delete", "key_id", "owner", "epoch", "wrapped"))
    if what == "delete":
        edit_key_store(copy.settings.var, ("DELETE FROM subject_key WHERE key_id = ?", (key_id,)))
    else:
        old = {"key_id": key_id, "owner": values[0], "epoch": values[1], "wrapped": values[2]}[what]
        new = old + 1 if isinstance(old, int) else _flip(random, old)
        update = f"UPDATE subject_key SET {what} = ? WHERE key_id = ?"  # noqa: S608 - names above
        edit_key_store(copy.settings.var, (update, (new, key_id)))
    return Change(f"{what} in the key store", codes=frozenset(codes))


def change_ledger(random: Random, copy: Copy, _scene: Scene) -> Change:
    """Change one letter of the erasure ledger."""
    path = copy.settings.keys / "erasures.jsonl"
    raw = path.read_bytes()
    at = random.randrange(len(raw))
    letter = random.choice([one for one in _LETTERS.encode() if one != raw[at]])
    path.write_bytes(raw[:at] + bytes([letter]) + raw[at + 1 :])
    codes = {"ledger-damaged", "ledger-behind"}
    return Change(f"byte {at} of the ledger", codes=frozenset(codes))


def change_kept(random: Random, copy: Copy, _scene: Scene) -> Change:
    """Change the same bit of both slots of the kept checkpoint."""
    path = copy.settings.kept_checkpoint
    raw = bytearray(path.read_bytes())
    at = random.randrange(SLOT)
    for slot in (0, SLOT):
        raw[at + slot] ^= 1 << random.randrange(7)
    path.write_bytes(bytes(raw))
    return Change(f"byte {at} of the kept checkpoint", codes=frozenset({"checkpoint-lost"}))


def change_receipt(random: Random, scene: Scene) -> bool:
    """Change a letter of a receipt, or a bit of its header; tell whether it is refused."""
    receipt, leaf = random.choice(list(scene.receipts.values()))
    keys = [scene.vkey, scene.first_vkey]
    if random.random() < 0.2:
        leaf = _flip(random, leaf)
    else:
        receipt = _edit_text(random, receipt)
    return not any(_holds(receipt, leaf, key) for key in keys)


def change_bundle(random: Random, scene: Scene, copy: Copy) -> set[str]:
    """Change a bit of a file of the bundle; return the steps that fail."""
    altered = Altered(scene.bundle)
    name = random.choice(sorted(altered.files))
    altered.files[name] = _flip(random, altered.files[name] or b"\n")
    return failed_steps(altered.pack(copy.settings.var / "altered.zip"), scene.vkey)


def _edit_text(random: Random, text: str) -> str:
    changed = text
    while changed == text:
        how = random.choice(("change", "insert", "remove"))
        changed = _edit(text, random.choice(_LETTERS + "\n "), random.randrange(len(text)), how)
    return changed


def _holds(receipt: str, leaf: bytes, key: str) -> bool:
    try:
        return parse_checkpoint(receipt.partition("\n\n")[2]) == verify_receipt(receipt, leaf, key)
    except AuditError:
        return False


def _flip(random: Random, raw: bytes) -> bytes:
    at = random.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ (1 << random.randrange(8))]) + raw[at + 1 :]


CHANGES: Final[dict[str, Callable[[Random, Copy, Scene], Change]]] = {
    **{table: change_rows(table) for table in _TABLES},
    "key store": change_key_store,
    "ledger": change_ledger,
    "kept checkpoint": change_kept,
}
