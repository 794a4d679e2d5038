"""Purging: facts and sealed parts leave when their time is over; every proof still verifies."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text

from audit.erasure import Vault, apply_ledger, build_line, find_key, hold
from audit.errors import (
    IdempotencyConflictError,
    PurgeOutdatedError,
    RecordNotFoundError,
    SubjectNotFoundError,
)
from audit.identifiers import Owner
from audit.key_encryption import KeyEncryption
from audit.ledger import Act
from audit.log import Appended, append, read_receipt
from audit.ownership import open_owner_engine
from audit.purge import Purged, purge_next
from audit.receipt import verify_receipt
from audit.records import Entry, EntryType, format_time
from audit.retention import Retention, Rule, build_purge_facts
from audit.seal import Sealer
from audit.store import Store
from audit.subject_keys import open_subject_keys
from audit.verify import Report, verify_store
from tests.audit.sample import (
    SIGNER,
    START,
    VKEY,
    make_decision_entry,
    make_override_entry,
    make_publication_entry,
)
from tests.databases import SampleDatabase
from tests.postgres import SERVICE

pytestmark = pytest.mark.both_databases
LOOKUP_KEY = b"\x02" * 32
RETENTION = Retention({"*": 1_096})
LATER = START + timedelta(days=1_200)
OLD = 12


def open_owned(database: SampleDatabase) -> Store:
    """Open the store as whoever may purge: PostgreSQL's owner."""
    if database.server is None:
        return database.open()
    return Store(open_owner_engine(database.owner_url, SERVICE))


def open_vault(folder: Path, database: SampleDatabase) -> Vault:
    store = open_owned(database)
    keys = open_subject_keys(folder, KeyEncryption(lambda: {1: bytes(32)}))
    sealer = Sealer(keys, LOOKUP_KEY)

    def record(entry: Entry) -> Appended:
        [appended] = append(store, [entry], SIGNER, sealer)
        assert not isinstance(appended, IdempotencyConflictError)
        return appended

    return Vault(store, keys, sealer, record)


@pytest.fixture
def vault(tmp_path: Path, database: SampleDatabase) -> Iterator[Vault]:
    """Return a publication, 12 old decisions in 6 chains, an override and two new decisions."""
    opened = open_vault(tmp_path, database)
    old = [make_decision_entry(number, key=f"k{number}") for number in range(OLD)]
    append(opened.store, [make_publication_entry(0), *old], SIGNER, opened.sealer)
    override = replace(make_override_entry(0, "d-1"), order_id="o-1", subject_id="s-1")
    new = [replace(make_decision_entry(number), recorded_at=LATER) for number in (20, 21)]
    append(opened.store, [override, *new], SIGNER, opened.sealer)
    yield opened
    opened.store.close()
    opened.keys.close()


def purge(
    vault: Vault, now: datetime = LATER, *, is_trial: bool = False, most: int = 100
) -> Purged:
    numbers = count()
    return purge_next(
        vault,
        RETENTION,
        now,
        most=most,
        new_id=lambda: f"purge-{next(numbers)}",
        actor="cli",
        is_trial=is_trial,
    )


def verify(vault: Vault) -> Report:
    return verify_store(vault.store, [VKEY], vault.sealer)


def codes(vault: Vault) -> set[str]:
    return {problem.code for problem in verify(vault).problems}


def count_rows(vault: Vault, query: str) -> int:
    with vault.store.raw() as connection:
        return int(connection.execute(text(query)).scalar_one())


def test_old_records_go_and_every_proof_stays(vault: Vault) -> None:
    """Facts, sealed parts, look-ups and used keys leave; header, place and receipt do not."""
    with vault.store.reading() as reading:
        before = [reading.record_at(place) for place in range(reading.tree_size())]
    receipts = {one.entry_id: read_receipt(vault.store, one.entry_id) for one in before}
    done = purge(vault)
    assert dict(done.plan.records) == {"decision": OLD, "override": 1}
    assert done.plan.ranges() == [(1, OLD + 1)]
    assert verify(vault).purged == OLD + 1
    assert codes(vault) == set()
    with vault.store.reading() as reading:
        for one in before:
            now = reading.record(one.entry_id)
            is_gone = 1 <= one.leaf_index <= OLD + 1
            assert now.leaf == one.leaf
            assert (now.facts is None) == (is_gone or one.facts is None)
            assert (now.sealed is None) == (is_gone or one.sealed is None)
            assert read_receipt(vault.store, one.entry_id) == receipts[one.entry_id]
            verify_receipt(receipts[one.entry_id], now.leaf, VKEY)
        for number in range(OLD):
            hashed = vault.sealer.keyed_hash("order", f"o-{number}")
            assert reading.sealed_by(order_hash=hashed, subject_hash=None) == []
    assert count_rows(vault, "SELECT count(*) FROM idempotency") == 0
    assert count_rows(vault, "SELECT count(*) FROM purging") == 0
    assert count_rows(vault, "SELECT count(*) FROM cap_counter") == 0


def test_an_empty_month_is_dropped_as_a_whole(vault: Vault, database: SampleDatabase) -> None:
    """What is kept for ever lies elsewhere, so that nothing keeps a month from being dropped."""
    expected = () if database.server is None else ("facts_part_2026_01", "personal_part_2026_01")
    assert purge(vault).partitions == expected


def test_a_purge_is_found_in_the_log_with_all_that_it_says(vault: Vault) -> None:
    done = purge(vault)
    assert done.entry is not None
    with vault.store.reading() as reading:
        record = reading.record(done.entry.entry_id)
    facts = record.facts or b""
    cut = format_time(LATER - timedelta(days=1_096)).encode()
    assert b'"actor":"cli"' in facts
    assert b'"kinds":{"admission":{"days":1096,"before":"%b"}}' % cut in facts
    assert b'"ranges":[[1,13]],"records":{"decision":12,"override":1}' in facts


def test_nothing_is_due_before_its_time_and_nothing_twice(vault: Vault) -> None:
    done = purge(vault, START + timedelta(days=1_096))
    assert done.entry is None
    assert not done.plan.places
    assert done.plan.is_whole
    purge(vault)
    again = purge(vault)
    assert again.entry is None


def test_a_trial_run_changes_nothing(vault: Vault) -> None:
    assert purge(vault, is_trial=True).plan.records["decision"] == OLD
    assert verify(vault).purged == 0
    assert purge(vault, is_trial=True).plan.records["decision"] == OLD


def test_a_purge_in_parts_cuts_no_chain(vault: Vault) -> None:
    assert purge_next(vault, RETENTION, LATER, most=1, new_id=lambda: "a", actor="x").entry
    assert codes(vault) == set()
    assert purge(vault).entry is None


def test_a_chain_stays_until_its_youngest_entry_is_due(vault: Vault) -> None:
    """A late override keeps its decision, and the whole chain with it."""
    late = replace(
        make_override_entry(0, "d-4"), entry_id="v-late", recorded_at=LATER, order_id="o-4"
    )
    append(vault.store, [late], SIGNER, vault.sealer)
    assert purge(vault).plan.records["decision"] == OLD - 2
    with vault.store.reading() as reading:
        assert reading.record("d-4").facts
        assert reading.record("d-5").facts
    assert codes(vault) == set()


def test_a_legal_hold_keeps_the_records_of_its_subject(vault: Vault) -> None:
    key_id = find_key(vault, Owner("subject", "s-1"))

    def act(what: Act, name: str) -> None:
        line = build_line(
            what, entry_id=name, key_id=key_id, now=LATER, actor="cli", reason="court"
        )
        hold(vault, line, LATER)

    act(Act.HOLD, "h-1")
    done = purge(vault)
    # d-1 and d-11 are of s-1, and d-0 and d-10 of their chains.
    assert done.plan.held == 4
    assert done.plan.records["decision"] == OLD - 4
    assert codes(vault) == set()
    act(Act.RELEASE, "h-2")
    freed = purge_next(vault, RETENTION, LATER, new_id=lambda: "purge-b", actor="cli")
    assert dict(freed.plan.records) == {"decision": 4, "override": 1}
    assert codes(vault) == set()


def test_a_hold_or_an_override_in_between_stops_the_purge(vault: Vault) -> None:
    """What was planned is looked at again in the transaction that removes it."""
    key_id = find_key(vault, Owner("subject", "s-1"))
    record = vault.record

    def racing(change: Callable[[], object]) -> Vault:
        def then(entry: Entry) -> Appended:
            change()
            return record(entry)

        return replace(vault, record=then)

    late = replace(make_override_entry(5, "d-4"), recorded_at=LATER)
    with pytest.raises(PurgeOutdatedError, match="about a record"):
        purge(racing(lambda: append(vault.store, [late], SIGNER, vault.sealer)))
    line = build_line(Act.HOLD, entry_id="h", key_id=key_id, now=LATER, actor="x", reason="y")
    with pytest.raises(PurgeOutdatedError, match="ledger"):
        purge(racing(lambda: hold(vault, line, LATER)))
    assert verify(vault).purged == 0
    assert codes(vault) == set()


def test_keys_of_those_who_are_gone_are_destroyed(vault: Vault) -> None:
    """Who has a newer record keeps the key; nobody else's key is left."""
    done = purge(vault)
    # s-0 ... s-4 and the orders 0, 3, 6, 9; d-20 is of s-0, d-21 of no subject.
    assert done.keys == 8
    assert find_key(vault, Owner("subject", "s-0"))
    with pytest.raises(SubjectNotFoundError):
        find_key(vault, Owner("subject", "s-1"))
    assert apply_ledger(vault, LATER) == 0
    # Whoever orders again gets a new key.
    [again] = append(vault.store, [make_decision_entry(31)], SIGNER, vault.sealer)
    assert isinstance(again, Appended)
    assert codes(vault) == set()


def forge(vault: Vault, rule: Rule, ranges: list[tuple[int, int]]) -> None:
    """Record an entry that says that something was purged, and remove nothing."""
    facts = build_purge_facts(
        {"admission": rule}, ranges, {}, nonce=b64encode(bytes(32)).decode(), actor="x"
    )
    vault.record(Entry("forged", EntryType.PURGE, LATER, {}, facts))


EARLY = Rule(1_096, format_time(LATER - timedelta(days=1_096)))
FORGED = {
    "a retention below six months": (Rule(100, format_time(LATER - timedelta(days=300))), [(1, 2)]),
    "a cut-off after its retention": (Rule(184, format_time(LATER)), [(1, 2)]),
    "a cut-off in another form": (Rule(184, "2026"), [(1, 2)]),
    "ranges out of order": (EARLY, [(5, 6), (1, 2)]),
    "entries to come": (EARLY, [(1, 4_000)]),
    "a publication": (EARLY, [(0, 2)]),
    "records that are too young": (EARLY, [(14, 15)]),
}


@pytest.mark.parametrize("desc", FORGED)
def test_a_purge_that_covers_too_much_is_a_problem(
    vault: Vault, database: SampleDatabase, desc: str
) -> None:
    """Nothing that such an entry covers counts as purged."""
    forge(vault, *FORGED[desc])
    assert "purge-invalid" in codes(vault)
    vault.store.close()
    database.tamper("DELETE FROM facts_part WHERE leaf_index IN (1, 14)")
    with closing(open_owned(database)) as store:
        problems = verify_store(store, [VKEY], vault.sealer).problems
    assert (14, "facts-missing") in {(one.leaf_index, one.code) for one in problems}


@pytest.mark.parametrize("table", ["facts_part", "personal_part"])
def test_a_part_that_went_without_a_purge_is_named(
    vault: Vault, database: SampleDatabase, table: str
) -> None:
    purge(vault)
    vault.store.close()
    database.tamper(f"DELETE FROM {table} WHERE leaf_index = 15")  # noqa: S608 - names above
    part = table.removesuffix("_part")
    with closing(open_owned(database)) as store:
        problems = verify_store(store, [VKEY], vault.sealer).problems
    assert (15, f"{part}-missing") in {(one.leaf_index, one.code) for one in problems}


def test_a_purge_covers_up_nothing(vault: Vault, database: SampleDatabase) -> None:
    """A chain of which a part is missing already is left alone, and stays a problem."""
    vault.store.close()
    database.tamper("DELETE FROM facts_part WHERE leaf_index = 4")
    vault = replace(vault, store=open_owned(database))
    with closing(vault.store):
        plan = purge(vault, is_trial=True).plan
        assert plan.away == 2
        assert not {3, 4} & set(plan.places)
        assert "facts-missing" in codes(vault)


def test_a_purged_part_that_came_back_is_named(vault: Vault, database: SampleDatabase) -> None:
    """A part put back from a backup is genuine, and all the same it should not be there."""
    with vault.store.reading() as reading:
        facts = reading.record("d-3").facts or b""
    purge(vault)
    vault.store.close()
    body = f"x'{facts.hex()}'" if database.server is None else f"'\\x{facts.hex()}'"
    database.tamper(f"INSERT INTO facts_part VALUES (4, {body}, '2026-01')")  # noqa: S608 - a test
    with closing(open_owned(database)) as store:
        problems = verify_store(store, [VKEY], vault.sealer).problems
    assert {(one.leaf_index, one.code) for one in problems} == {(4, "not-purged")}


def test_guards_let_nothing_go_but_what_a_purge_names(
    vault: Vault, database: SampleDatabase
) -> None:
    vault.store.close()
    connection = database.connect()
    connection.execute("INSERT INTO purging VALUES (3, 5), (8, 8)")
    for table in ("facts_part", "personal_part", "idempotency"):
        for place in (2, 6, 9):
            with pytest.raises(Exception, match="immutable"):
                connection.execute(f"DELETE FROM {table} WHERE leaf_index = {place}")  # noqa: S608 - names above
        for place in (3, 5, 8):
            assert connection.execute(
                f"DELETE FROM {table} WHERE leaf_index = {place}"  # noqa: S608 - names above
            ).rowcount
    refused = "UPDATE entry_lookup SET kind = NULL, order_hash = NULL WHERE leaf_index = 3"
    with pytest.raises(Exception, match="immutable"):
        connection.execute(refused)
    connection.close()


def test_a_service_may_not_purge(vault: Vault, database: SampleDatabase) -> None:
    """On PostgreSQL the service's user has no right to remove a part, named or not."""
    if database.server is None:
        with pytest.raises(RecordNotFoundError), vault.store.reading() as reading:
            reading.record("none")
        return
    connection = database.server.connect(database.name, SERVICE)
    connection.execute("INSERT INTO purging VALUES (0, 99)")
    for statement in (
        "DELETE FROM facts_part",
        "DELETE FROM facts_part_2026_01",
        "SELECT 1 FROM personal_part_2026_01",
        "DROP TABLE facts_part_2026_01",
        "UPDATE entry_lookup SET outcome = NULL",
    ):
        with pytest.raises(Exception, match=r"permission denied|must be owner"):
            connection.execute(statement)
    connection.close()
