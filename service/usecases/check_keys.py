"""Checking the table of API keys against the log: who may come in is what the entries say.

A key that was removed, or revoked without an entry, opens nothing; an interrupted creation or
revocation leaves the same, so neither is a finding.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, text

from audit.canonical import parse_json
from audit.errors import AuditError, RecordMalformedError
from audit.records import EntryType
from audit.seal import Sealer
from audit.store import Store
from audit.verify import Problem
from service.answers import JsonObject

_ROWS: Final = "SELECT id, name, role, key_sha256, created_at, revoked_at FROM api_key ORDER BY id"
_ENTRIES: Final = """
SELECT l.leaf_index, l.entry_id, l.entry_type, l.recorded_at, f.body, p.sealed
  FROM entry_lookup l
  JOIN facts_part f ON f.leaf_index = l.leaf_index
  LEFT JOIN personal_part p ON p.leaf_index = l.leaf_index
 WHERE l.entry_type IN (:created, :revoked) ORDER BY l.leaf_index
"""


@dataclass(frozen=True, slots=True)
class _Created:
    """What the entry of a key's creation says."""

    leaf_index: Any
    entry_id: Any
    columns: dict[str, Any]


@dataclass(slots=True)
class _Logged:
    """What the log says of API keys, by their id."""

    created: dict[Any, _Created] = field(default_factory=dict)
    revoked: set[Any] = field(default_factory=set)


def verify_api_keys(store: Store, sealer: Sealer) -> list[Problem]:
    """Return every API key that is not as the log says: invented, exchanged, or alive again.

    Parameters
    ----------
    store
        The log's store; the table lies beside the log's.
    sealer
        Opens the names of keys.

    Raises
    ------
    StoreUnavailableError
        If the tables cannot be read.
    """
    with store.raw() as connection:
        logged = _read_entries(connection, sealer)
        return [
            problem for row in connection.execute(text(_ROWS)) for problem in _check(row, logged)
        ]


def _check(row: Any, logged: _Logged) -> Iterator[Problem]:  # noqa: ANN401 - tampered values have any type
    created = logged.created.get(row.id)
    if created is None:
        yield Problem(None, None, "api-key-stray", "an API key has no entry of its creation")
        return
    place = (created.leaf_index, created.entry_id)
    for name, expected in created.columns.items():
        stored = getattr(row, name)
        if name == "key_sha256":
            stored = stored.hex() if isinstance(stored, bytes) else None
        if stored != expected:
            detail = f"the column {name} of an API key is not what its creation says"
            yield Problem(*place, "api-key", detail)
    if row.id in logged.revoked and row.revoked_at is None:
        yield Problem(*place, "api-key-revived", "an API key that was revoked is not any more")


def _read_entries(connection: Connection, sealer: Sealer) -> _Logged:
    logged = _Logged()
    types = {"created": EntryType.KEY_CREATED.value, "revoked": EntryType.KEY_REVOKED.value}
    for row in connection.execute(text(_ENTRIES), types):
        facts = _read_facts(row.body)
        if row.entry_type == EntryType.KEY_REVOKED:
            logged.revoked.add(facts.get("key_id"))
            continue
        columns = {
            "role": facts.get("role"),
            "key_sha256": facts.get("key_sha256"),
            "created_at": row.recorded_at,
            **_read_name(row.entry_id, row.sealed, sealer),
        }
        created = _Created(row.leaf_index, row.entry_id, columns)
        logged.created[facts.get("key_id")] = created
    return logged


def _read_facts(body: Any) -> JsonObject:  # noqa: ANN401 - tampered values have any type
    # Facts that cannot be read are named by `audit.verify`; they vouch for no key.
    try:
        facts = parse_json(body) if isinstance(body, bytes) else None
    except RecordMalformedError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _read_name(entry_id: Any, sealed: Any, sealer: Sealer) -> JsonObject:  # noqa: ANN401 - tampered values have any type
    # A name that does not open any more is no finding here; `audit.verify` says why.
    try:
        opened = parse_json(
            sealer.open(str(entry_id), sealed if isinstance(sealed, bytes) else b"")
        )
    except AuditError:
        return {}
    return {"name": opened.get("name")} if isinstance(opened, dict) else {}
