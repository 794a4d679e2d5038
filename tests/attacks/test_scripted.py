"""Scripted attacks on the database: each is found, with its code and the entry it touched.

The attacker may write everything in the database, with the guards switched off, and has no key.
What is attacked outside the database is in `test_elsewhere.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
import pytest

from audit.canonical import canonical_json
from audit.merkle import leaf_hash
from tests.attacks.history import Copy, Scene

pytestmark = pytest.mark.xdist_group("attacks")


@dataclass(frozen=True, slots=True)
class Attack:
    """What is done, and what has to come of it.

    Parameters
    ----------
    do
        Attacks a copy, and returns the leaf indexes that it touched; none when no entry is.
    codes
        Problem codes that have to be among those found.
    """

    do: Callable[[Copy, Scene], list[int]]
    codes: set[str]


def place(copy: Copy, scene: Scene, name: str) -> int:
    """Return where a decision stands."""
    query = f"SELECT leaf_index FROM log_entry WHERE entry_id = '{scene.decisions[name]}'"  # noqa: S608 - an id of ours
    [(leaf_index,)] = copy.rows(query)
    return int(leaf_index)


def places(copy: Copy, entry_type: str) -> list[int]:
    query = f"SELECT leaf_index FROM entry_lookup WHERE entry_type = '{entry_type}' ORDER BY 1"  # noqa: S608 - a name of ours
    return [int(leaf_index) for (leaf_index,) in copy.rows(query)]


def value(copy: Copy, table: str, column: str, leaf_index: int) -> bytes:
    query = f"SELECT {column} FROM {table} WHERE leaf_index = {leaf_index}"  # noqa: S608 - names of ours
    [(found,)] = copy.rows(query)
    return bytes(found)


def rewrite(copy: Copy, leaf_index: int, old: bytes, new: bytes) -> None:
    """Rewrite facts, and header and leaf hash to fit: all that needs no key."""
    facts = value(copy, "facts_part", "body", leaf_index)
    assert old in facts
    facts = facts.replace(old, new)
    header = orjson.loads(value(copy, "log_entry", "leaf", leaf_index))
    leaf = canonical_json({**header, "facts_sha256": sha256(facts).hexdigest()})
    copy.execute(
        ("UPDATE facts_part SET body = ? WHERE leaf_index = ?", (facts, leaf_index)),
        (
            "UPDATE log_entry SET leaf = ?, leaf_hash = ? WHERE leaf_index = ?",
            (leaf, leaf_hash(leaf), leaf_index),
        ),
    )


def _edit_facts(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "P-0")
    facts = value(copy, "facts_part", "body", at).replace(b'"outcome"', b'"outcame"', 1)
    copy.execute(("UPDATE facts_part SET body = ? WHERE leaf_index = ?", (facts, at)))
    return [at]


def _edit_header(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "risk")
    header = value(copy, "log_entry", "leaf", at).replace(b'"confidence":0', b'"confidence":1')
    copy.execute(("UPDATE log_entry SET leaf = ? WHERE leaf_index = ?", (header, at)))
    return [at]


def _rewrite_all(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "chain-0-split")
    rewrite(copy, at, b'"automated":', b'"autometed":')
    return [at, at ^ 1, at & ~1]


def _retime(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "P-1")
    copy.execute(
        (
            "UPDATE entry_lookup SET recorded_at = ? WHERE leaf_index = ?",
            ("2020-01-01T00:00:00.000000Z", at),
        )
    )
    return [at]


def _delete_entry(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "admission")
    for table in ("facts_part", "personal_part", "entry_lookup", "idempotency", "log_entry"):
        copy.execute((f"DELETE FROM {table} WHERE leaf_index = ?", (at,)))  # noqa: S608 - names above
    return [at]


def _delete_part(table: str) -> Callable[[Copy, Scene], list[int]]:
    def do(copy: Copy, scene: Scene) -> list[int]:
        at = place(copy, scene, "P-3")
        copy.execute((f"DELETE FROM {table} WHERE leaf_index = ?", (at,)))  # noqa: S608 - names below
        return [at]

    return do


def _swap(table: str, *columns: str) -> Callable[[Copy, Scene], list[int]]:
    """Exchange columns of two entries' rows."""

    def do(copy: Copy, scene: Scene) -> list[int]:
        first, second = place(copy, scene, "P-0"), place(copy, scene, "P-3")
        names = ", ".join(columns)
        [one], [other] = (
            copy.rows(f"SELECT {names} FROM {table} WHERE leaf_index = {at}")  # noqa: S608 - names below
            for at in (first, second)
        )
        marks = ", ".join(f"{name} = ?" for name in columns)
        update = f"UPDATE {table} SET {marks} WHERE leaf_index = ?"  # noqa: S608 - names below
        # Some columns are unique, so that the first has to make room.
        room = tuple(f"{part}-" if isinstance(part, str) else part for part in other)
        copy.execute((update, (*room, first)), (update, (*one, second)), (update, (*other, first)))
        return [first, second]

    return do


def _swap_parts(copy: Copy, scene: Scene) -> list[int]:
    _swap("facts_part", "body")(copy, scene)
    return _swap("personal_part", "sealed")(copy, scene)


def _insert_entry(copy: Copy, scene: Scene) -> list[int]:
    last = max(at for (at,) in copy.rows("SELECT leaf_index FROM log_entry"))
    header = orjson.loads(value(copy, "log_entry", "leaf", place(copy, scene, "P-0")))
    leaf = canonical_json({**header, "id": "forged"})
    facts = value(copy, "facts_part", "body", place(copy, scene, "P-0"))
    [(month,)] = copy.rows("SELECT DISTINCT month FROM facts_part ORDER BY 1 LIMIT 1")
    insert = "INSERT INTO log_entry VALUES (?, 'forged', ?, ?, ?, ?)"
    copy.execute(
        ("INSERT INTO facts_part VALUES (?, ?, ?)", (last + 1, facts, month)),
        (insert, (last + 1, leaf, leaf_hash(leaf), last + 1, month)),
    )
    return [last + 1]


def _move_personal(copy: Copy, scene: Scene) -> list[int]:
    source, at = place(copy, scene, "P-0"), place(copy, scene, "P-3")
    sealed = value(copy, "personal_part", "sealed", source)
    copy.execute(("UPDATE personal_part SET sealed = ? WHERE leaf_index = ?", (sealed, at)))
    return [at]


def _set_lookup(column: str, new: Any) -> Callable[[Copy, Scene], list[int]]:  # noqa: ANN401 - any column value
    def do(copy: Copy, scene: Scene) -> list[int]:
        at = place(copy, scene, "P-4")
        copy.execute((f"UPDATE entry_lookup SET {column} = ? WHERE leaf_index = ?", (new, at)))  # noqa: S608 - names below
        return [at]

    return do


def _hide_erasure(copy: Copy, scene: Scene) -> list[int]:
    del scene
    [at] = places(copy, "erasure")
    copy.execute(("UPDATE entry_lookup SET entry_type = 'export' WHERE leaf_index = ?", (at,)))
    return [at]


def _name_another_erased(copy: Copy, scene: Scene) -> list[int]:
    [at] = places(copy, "erasure")
    key = orjson.loads(value(copy, "facts_part", "body", at))["keys"][0]
    rewrite(copy, at, key.encode(), b"0" * 64)
    return [at, place(copy, scene, "P-1"), place(copy, scene, "P-5")]


def _bring_back_hash(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "P-1")
    copy.execute(("UPDATE entry_lookup SET subject_hash = ? WHERE leaf_index = ?", (b"x" * 32, at)))
    return [at]


def _alter_idempotency(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "P-0")
    copy.execute(
        ("UPDATE idempotency SET body_hash = ? WHERE leaf_index = ?", (bytes(32), at)),
    )
    return [at]


def _redirect_idempotency(copy: Copy, scene: Scene) -> list[int]:
    first, second = place(copy, scene, "P-0"), place(copy, scene, "P-3")
    update = "UPDATE idempotency SET leaf_index = ? WHERE leaf_index = ?"
    copy.execute((update, (second, first)))
    return [first]


def _forge_idempotency(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "P-6")
    copy.execute(("INSERT INTO idempotency VALUES (?, ?, ?)", (b"k" * 32, at, b"b" * 32)))
    return [at]


def _execute(*statements: str) -> Callable[[Copy, Scene], list[int]]:
    def do(copy: Copy, scene: Scene) -> list[int]:
        del scene
        copy.execute(*statements)
        return []

    return do


def _alter_node(copy: Copy, scene: Scene) -> list[int]:
    del scene
    copy.execute(
        ("UPDATE tree_node SET hash = ? WHERE level = 1 AND node_index = 2", (bytes(32),)),
    )
    return [4]


def _replace_checkpoint(copy: Copy, scene: Scene) -> list[int]:
    """Put the checkpoint of another size under this one."""
    del scene
    notes = copy.rows("SELECT tree_size, note FROM checkpoint ORDER BY 1")
    (size, _), (_, other) = notes[3], notes[4]
    copy.execute(("UPDATE checkpoint SET note = ? WHERE tree_size = ?", (other, size)))
    return [int(size) - 1]


def _countersign(copy: Copy, scene: Scene) -> list[int]:
    """Add a line of one's own to the log's."""
    del scene
    [(size, note)] = copy.rows("SELECT tree_size, note FROM checkpoint ORDER BY 1 LIMIT 1")
    line = "— foreign.example AAAAAAAAAAAA\n"
    copy.execute(("UPDATE checkpoint SET note = ? WHERE tree_size = ?", (note + line, size)))
    return [int(size) - 1]


def _drop_checkpoint(copy: Copy, scene: Scene) -> list[int]:
    del scene
    (_, (size,)) = copy.rows("SELECT tree_size FROM checkpoint ORDER BY 1 LIMIT 2")
    copy.execute(("DELETE FROM checkpoint WHERE tree_size = ?", (size,)))
    found = copy.rows(f"SELECT leaf_index FROM log_entry WHERE tree_size = {size}")  # noqa: S608 - a number
    return [int(at) for (at,) in found]


def _alter_cosignature(change: Callable[[str], str]) -> Callable[[Copy, Scene], list[int]]:
    def do(copy: Copy, scene: Scene) -> list[int]:
        del scene
        [(size, line)] = copy.rows("SELECT tree_size, line FROM cosignature")
        copy.execute(("UPDATE cosignature SET line = ?", (change(line),)))
        return [int(size) - 1]

    return do


def _move_cosignature(copy: Copy, scene: Scene) -> list[int]:
    del scene
    [(size,)] = copy.rows("SELECT max(tree_size) FROM checkpoint")
    copy.execute(("UPDATE cosignature SET tree_size = ?", (size,)))
    return [int(size) - 1]


def _retime_cosignature(copy: Copy, scene: Scene) -> list[int]:
    del scene
    copy.execute("UPDATE cosignature SET cosigned_at_seconds = cosigned_at_seconds + 86400")
    [(size,)] = copy.rows("SELECT tree_size FROM cosignature")
    return [int(size) - 1]


def _leave_erasing(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "P-0")
    copy.execute(("INSERT INTO erasing VALUES (?)", (at,)))
    return [at]


def _leave_releasing(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "P-3")
    copy.execute(("INSERT INTO releasing VALUES (?)", (at,)))
    return [at]


def _leave_purging(copy: Copy, scene: Scene) -> list[int]:
    at = place(copy, scene, "P-4")
    copy.execute(("INSERT INTO purging VALUES (?, ?)", (at, at + 2)))
    return [at]


def _truncate(copy: Copy, scene: Scene) -> list[int]:
    """Cut the newest commits off so that what is left is a whole log."""
    at = place(copy, scene, "P-7")
    for table in ("facts_part", "personal_part", "entry_lookup", "idempotency", "log_entry"):
        copy.execute((f"DELETE FROM {table} WHERE leaf_index >= ?", (at,)))  # noqa: S608 - names above
    copy.execute(
        ("DELETE FROM checkpoint WHERE tree_size > ?", (at,)),
        f"DELETE FROM tree_node WHERE node_index >= ({at} >> level)",  # noqa: S608 - a number
    )
    return []


def _key_of_ours(copy: Copy, scene: Scene) -> list[int]:
    """Put the hash of one's own secret under an API key that is in use."""
    del scene
    copy.execute(("UPDATE api_key SET key_sha256 = ? WHERE name = 'shop'", (bytes(32),)))
    return places(copy, "key-created")[:1]


def _raise_role(copy: Copy, scene: Scene) -> list[int]:
    del scene
    copy.execute("UPDATE api_key SET role = 'admin' WHERE name = 'shop'")
    return places(copy, "key-created")[:1]


def _revive(copy: Copy, scene: Scene) -> list[int]:
    del scene
    copy.execute("UPDATE api_key SET revoked_at = NULL")
    return places(copy, "key-created")[1:2]


def _invent_key(copy: Copy, scene: Scene) -> list[int]:
    del scene
    insert = (
        "INSERT INTO api_key VALUES ('x', 'x', 'admin', ?, '2026-01-01T00:00:00.000000Z', NULL)"
    )
    copy.execute((insert, (bytes(32),)))
    return []


ATTACKS = {
    "facts edited": Attack(_edit_facts, {"facts-hash"}),
    "header edited": Attack(_edit_header, {"leaf-hash"}),
    "record rewritten with all its hashes": Attack(_rewrite_all, {"tree-node"}),
    "entry re-timed": Attack(_retime, {"lookup"}),
    "entry deleted": Attack(_delete_entry, {"index-gap"}),
    "facts deleted": Attack(_delete_part("facts_part"), {"facts-missing"}),
    "personal part deleted": Attack(_delete_part("personal_part"), {"personal-missing"}),
    "look-up deleted": Attack(_delete_part("entry_lookup"), {"lookup-missing"}),
    "two headers swapped": Attack(_swap("log_entry", "leaf", "leaf_hash"), {"entry-id"}),
    "two entries swapped": Attack(
        _swap("log_entry", "entry_id", "leaf", "leaf_hash"), {"tree-node", "lookup"}
    ),
    "two records' facts exchanged": Attack(_swap("facts_part", "body"), {"facts-hash"}),
    "two records' parts exchanged": Attack(_swap_parts, {"facts-hash", "personal-hash"}),
    "entry inserted": Attack(_insert_entry, {"lookup-missing", "checkpoint-missing"}),
    "personal part moved to another record": Attack(_move_personal, {"personal-hash"}),
    "outcome in the look-up altered": Attack(_set_lookup("outcome", "accept!"), {"lookup"}),
    "customer in the look-up altered": Attack(_set_lookup("subject_hash", bytes(32)), {"lookup"}),
    "order in the look-up emptied": Attack(_set_lookup("order_hash", None), {"lookup"}),
    "erasure hidden": Attack(_hide_erasure, {"lookup", "erasure-unrecorded"}),
    "another erased than was named": Attack(
        _name_another_erased, {"erasure-unrecorded", "tree-node"}
    ),
    "erased look-up brought back": Attack(_bring_back_hash, {"lookup"}),
    "idempotency body altered": Attack(_alter_idempotency, {"idempotency"}),
    "idempotency redirected": Attack(_redirect_idempotency, {"idempotency"}),
    "idempotency forged": Attack(_forge_idempotency, {"idempotency-stray"}),
    "counter set back": Attack(_execute("UPDATE cap_counter SET used = used - 1"), {"counter"}),
    "counter deleted": Attack(_execute("DELETE FROM cap_counter"), {"counter"}),
    "counter invented": Attack(
        _execute("INSERT INTO cap_counter VALUES ('x', 'x', '2026-01-01', 'x', 0)"), {"counter"}
    ),
    "node altered": Attack(_alter_node, {"tree-node"}),
    "node added": Attack(
        _execute("INSERT INTO tree_node SELECT 40, 0, hash FROM tree_node LIMIT 1"),
        {"tree-node-stray"},
    ),
    "checkpoint replaced": Attack(_replace_checkpoint, {"checkpoint-root"}),
    "checkpoint countersigned": Attack(_countersign, {"checkpoint-invalid"}),
    "checkpoint deleted": Attack(_drop_checkpoint, {"tree-size"}),
    "cosignature altered": Attack(
        _alter_cosignature(lambda line: line[:-9] + ("B" if line[-9] != "B" else "C") + line[-8:]),
        {"cosignature-invalid"},
    ),
    "cosignature of nobody": Attack(
        _alter_cosignature(lambda line: line[2:]), {"cosignature-invalid"}
    ),
    "cosignature moved": Attack(_move_cosignature, {"cosignature-invalid"}),
    "cosignature re-timed": Attack(_retime_cosignature, {"cosignature-invalid"}),
    "erasing left open": Attack(_leave_erasing, {"erasing-left"}),
    "releasing left open": Attack(_leave_releasing, {"releasing-left"}),
    "purging left open": Attack(_leave_purging, {"purging-left"}),
    "tail cut off": Attack(_truncate, {"log-rolled-back"}),
    "API key's secret exchanged": Attack(_key_of_ours, {"api-key"}),
    "API key's role raised": Attack(_raise_role, {"api-key"}),
    "API key brought back": Attack(_revive, {"api-key-revived"}),
    "API key invented": Attack(_invent_key, {"api-key-stray"}),
}


# What another database could do otherwise: types, guards, and how its rows are read.
ON_BOTH = (
    *("facts edited", "entry deleted", "two entries swapped", "personal part deleted"),
    *("idempotency forged", "counter set back", "node added", "cosignature moved"),
    *("erasing left open", "tail cut off", "API key invented"),
)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_found_and_named(target: Copy, scene: Scene, name: str) -> None:
    """The right code is among the problems, and the entry that was touched is named."""
    attack_and_verify(target, scene, ATTACKS[name])


@pytest.mark.both_databases
@pytest.mark.parametrize("name", ON_BOTH)
def test_an_attack_is_found_on_either_database(target: Copy, scene: Scene, name: str) -> None:
    """The same on PostgreSQL."""
    attack_and_verify(target, scene, ATTACKS[name])


@pytest.mark.trial
@pytest.mark.both_databases
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_is_found_on_either_database(target: Copy, scene: Scene, name: str) -> None:
    """All of them on both."""
    attack_and_verify(target, scene, ATTACKS[name])


def attack_and_verify(target: Copy, scene: Scene, attack: Attack) -> None:
    touched = attack.do(target, scene)
    problems = target.verify().problems
    assert attack.codes <= {problem.code for problem in problems}, problems
    named = {problem.leaf_index for problem in problems}
    assert set(touched) <= named if len(touched) < 3 else set(touched) & named, problems
