"""Erasing: the key goes, the look-ups go, the log stays, and a backup brings nobody back."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import psycopg
import pysqlite3
import pytest

from audit.erasure import Vault, apply_ledger, build_entry, build_line, erase, find_key, hold
from audit.errors import (
    EntryExistsError,
    ErasedError,
    IdempotencyConflictError,
    LedgerBehindError,
    StoreUnavailableError,
    SubjectHeldError,
    SubjectNotFoundError,
)
from audit.identifiers import Owner
from audit.key_encryption import KeyEncryption
from audit.ledger import Act
from audit.log import Appended, append, read_receipt
from audit.receipt import verify_receipt
from audit.records import Entry
from audit.seal import Sealer
from audit.store import Search
from audit.subject_keys import open_subject_keys
from audit.verify import Report, verify_store
from tests.audit.sample import (
    SIGNER,
    START,
    VKEY,
    make_decision_entry,
    make_override_entry,
)
from tests.databases import SampleDatabase

ADA = Owner("subject", "s-1")
LOOKUP_KEY = b"\x02" * 32
both_databases = pytest.mark.both_databases


def open_vault(folder: Path, database: SampleDatabase) -> Vault:
    store = database.open()
    keys = open_subject_keys(folder, KeyEncryption(lambda: {1: bytes(32)}))
    sealer = Sealer(keys, LOOKUP_KEY)

    def record(entry: Entry) -> Appended:
        [appended] = append(store, [entry], SIGNER, sealer)
        assert not isinstance(appended, IdempotencyConflictError)
        return appended

    return Vault(store, keys, sealer, record)


def close(vault: Vault) -> None:
    vault.store.close()
    vault.keys.close()


@pytest.fixture
def vault(tmp_path: Path, database: SampleDatabase) -> Iterator[Vault]:
    """Return a log of 12 decisions (s-1 has d-1 and d-11; d-0, d-3, ... have none) and one more."""
    opened = open_vault(tmp_path, database)
    entries = [make_decision_entry(number, key=f"k{number}") for number in range(12)]
    append(opened.store, entries, SIGNER, opened.sealer)
    override = replace(make_override_entry(0, "d-1"), order_id="o-1", subject_id="s-1")
    append(opened.store, [override], SIGNER, opened.sealer)
    yield opened
    close(opened)


def erase_one(vault: Vault, owner: Owner = ADA, entry_id: str = "x-1") -> Appended:
    key_id = find_key(vault, owner)
    line = build_line(
        Act.ERASE, entry_id=entry_id, key_id=key_id, now=START, actor="cli", reason="request"
    )
    return erase(vault, owner, line, START).entry


def verified(vault: Vault) -> Report:
    return verify_store(vault.store, [VKEY], vault.sealer)


def found_by(vault: Vault, owner: Owner) -> list[str]:
    hashed = vault.sealer.keyed_hash(owner.domain, owner.name)
    search = Search(order_hash=hashed) if owner.domain == "order" else Search(subject_hash=hashed)
    with vault.store.reading() as reading:
        return [one.entry_id for one in reading.search(search)]


def opens(vault: Vault, entry_id: str) -> bool:
    with vault.store.reading() as reading:
        record = reading.record(entry_id)
    try:
        vault.sealer.open(entry_id, record.sealed or b"")
    except ErasedError:
        return False
    return True


@both_databases
@pytest.mark.pooled
def test_an_erased_subject_is_gone_and_the_log_is_whole(vault: Vault) -> None:
    """Nothing opens or is found any more, every proof holds, and the others are untouched."""
    assert verified(vault).problems == ()
    assert found_by(vault, ADA) == ["v-0", "d-11", "d-1"]
    erased = erase_one(vault)
    facts = orjson.loads(erased.facts or b"")
    assert facts["records"] == {"decision": 2, "override": 1}
    assert (facts["act"], facts["actor"], facts["reason"]) == ("erase", "cli", "request")
    assert b"s-1" not in erased.leaf + (erased.facts or b"")
    assert not any(opens(vault, entry_id) for entry_id in ("d-1", "d-11", "v-0"))
    assert found_by(vault, ADA) == found_by(vault, Owner("order", "o-1")) == []
    assert opens(vault, "d-2")
    assert found_by(vault, Owner("subject", "s-2")) == ["d-7", "d-2"]
    report = verified(vault)
    assert (report.problems, report.erased, report.tree_size) == ((), 3, 14)
    with vault.store.reading() as reading:
        leaves = {n: reading.record(f"d-{n}").leaf for n in range(12)}
    for number, leaf in leaves.items():
        verify_receipt(read_receipt(vault.store, f"d-{number}"), leaf, VKEY)


def test_no_file_holds_an_erased_hash(database: SampleDatabase, vault: Vault) -> None:
    hashes = [vault.sealer.keyed_hash(*pair) for pair in (("subject", "s-1"), ("order", "o-11"))]
    for is_there in (True, False):
        files = b"".join(path.read_bytes() for path in database.path.parent.iterdir())
        assert [one in files for one in hashes] == [is_there, is_there]
        if is_there:
            erase_one(vault)


@both_databases
@pytest.mark.pooled
def test_an_idempotency_key_of_an_erased_subject_is_free_again(vault: Vault) -> None:
    erase_one(vault)
    again = replace(make_decision_entry(1, key="k1"), entry_id="d-100")
    [answer] = append(vault.store, [again], SIGNER, vault.sealer)
    assert isinstance(answer, Appended)
    assert not answer.repeated
    assert opens(vault, "d-100")
    assert not opens(vault, "d-1")
    assert verified(vault).problems == ()
    # Who came back can go again, and the first erasure's records are not counted twice.
    assert orjson.loads(erase_one(vault, entry_id="x-2").facts or b"")["records"] == {"decision": 1}
    assert verified(vault).erased == 4


@both_databases
def test_an_order_without_a_subject_has_a_key_of_its_own(vault: Vault) -> None:
    erase_one(vault, Owner("order", "o-3"))
    assert not opens(vault, "d-3")
    assert opens(vault, "d-6")
    assert found_by(vault, Owner("order", "o-3")) == []
    # An order of a known subject goes with the subject only.
    with pytest.raises(SubjectNotFoundError):
        find_key(vault, Owner("order", "o-1"))
    assert verified(vault).problems == ()


@both_databases
def test_whoever_was_erased_is_not_known_any_more(vault: Vault) -> None:
    erase_one(vault)
    with pytest.raises(SubjectNotFoundError):
        find_key(vault, ADA)


@both_databases
def test_a_legal_hold_forbids_it_until_it_is_lifted(vault: Vault) -> None:
    key_id = find_key(vault, ADA)

    def act(act: Act, entry_id: str) -> Appended:
        line = build_line(
            act, entry_id=entry_id, key_id=key_id, now=START, actor="cli", reason="court"
        )
        return hold(vault, line, START)

    held = act(Act.HOLD, "h-1")
    assert orjson.loads(held.facts or b"")["act"] == "hold"
    with pytest.raises(SubjectHeldError):
        erase_one(vault)
    assert opens(vault, "d-1")
    act(Act.RELEASE, "h-2")
    erase_one(vault)
    assert verified(vault).problems == ()


@both_databases
def test_a_restored_database_forgets_again_before_it_serves(
    tmp_path: Path, database: SampleDatabase, vault: Vault
) -> None:
    """A backup from before the erasure: nothing opens, and the act is recorded once more."""
    vault.store.fold()
    vault.store.close()
    backup = database.copy()
    vault.keys.destroy([])  # Folds its write-ahead log, so that the one file is all.
    key_backup = (tmp_path / "subjects.db").read_bytes()
    erase_one(vault)
    erase_one(vault, Owner("order", "o-3"), "x-2")
    close(vault)
    for name in ("subjects.db-wal", "subjects.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    # Even with the keys of that day.
    (tmp_path / "subjects.db").write_bytes(key_backup)
    restored = open_vault(tmp_path, backup)
    assert not opens(restored, "d-1")
    assert found_by(restored, ADA) == ["v-0", "d-11", "d-1"]
    assert {p.code for p in verified(restored).problems} == {"erasure-unrecorded"}
    assert apply_ledger(restored, START) == 2
    assert apply_ledger(restored, START) == 0
    assert found_by(restored, ADA) == []
    assert restored.keys.find_owner(ADA.hashed(restored.sealer)) is None
    report = verified(restored)
    assert (report.problems, report.erased) == ((), 4)
    with restored.store.reading() as reading:
        facts = orjson.loads(reading.record("x-1").facts or b"")
    assert facts["records"] == {"decision": 2, "override": 1}
    close(restored)
    backup.close()


@both_databases
def test_an_erasure_that_broke_off_is_finished(vault: Vault) -> None:
    """Once the ledger has its line the subject is gone, whatever fails afterwards."""

    def fail(_entry: Entry) -> Appended:
        raise StoreUnavailableError("full")

    with pytest.raises(StoreUnavailableError):
        erase_one(replace(vault, record=fail))
    assert not opens(vault, "d-1")
    assert apply_ledger(vault, START) == 1
    assert found_by(vault, ADA) == []
    assert verified(vault).problems == ()


@both_databases
def test_another_process_may_finish_the_act_first(vault: Vault) -> None:
    def overtaken(entry: Entry) -> Appended:
        vault.record(entry)
        raise EntryExistsError("already there")

    assert erase_one(replace(vault, record=overtaken)).entry_id == "x-1"
    assert verified(vault).problems == ()


@both_databases
def test_a_ledger_older_than_the_log_is_refused(
    tmp_path: Path, database: SampleDatabase, vault: Vault
) -> None:
    erase_one(vault)
    (tmp_path / "erasures.jsonl").unlink()
    close(vault)
    reopened = open_vault(tmp_path, database)
    with pytest.raises(LedgerBehindError, match="1 act"):
        apply_ledger(reopened, START)
    # The log alone still says that nothing is wrong: its entry names the key.
    assert verified(reopened).problems == ()
    close(reopened)


@both_databases
def test_a_key_that_vanished_without_an_erasure_is_named(vault: Vault) -> None:
    vault.keys.destroy([find_key(vault, ADA)])
    report = verified(vault)
    assert {p.code for p in report.problems} == {"subject-key-missing"}
    assert {p.entry_id for p in report.problems} == {"d-1", "d-11", "v-0"}


@both_databases
def test_nothing_is_recorded_under_a_key_that_was_destroyed_meanwhile(vault: Vault) -> None:
    """A record that was sealed before the erasure and written after it is sealed anew."""
    key_id = find_key(vault, ADA)
    line = build_line(
        Act.ERASE, entry_id="x-1", key_id=key_id, now=START, actor="cli", reason="request"
    )
    sizes = iter([0, 1])

    class Overtaken:
        """The keys, with the erasure falling between sealing and writing."""

        def __init__(self) -> None:
            self.prepare, self.key_of = vault.keys.prepare, vault.keys.key_of
            self.find, self.owns = vault.keys.find, vault.keys.owns

        def generation(self) -> int:
            number = next(sizes)
            if number:
                vault.keys.ledger.append(line)
            return number

    entry = replace(make_decision_entry(1), entry_id="d-100")
    append(vault.store, [entry], SIGNER, Sealer(Overtaken(), LOOKUP_KEY))
    vault.keys.destroy([key_id])
    assert opens(vault, "d-100")
    assert not opens(vault, "d-1")


@both_databases
def test_only_an_erasure_may_empty_look_ups(database: SampleDatabase, vault: Vault) -> None:
    """The database lets hashes go while their entry is being erased, and nothing else."""
    raw = database.connect()
    emptied = "UPDATE entry_lookup SET order_hash = NULL, subject_hash = NULL"
    allowed = [f"{emptied} WHERE leaf_index = 1", "DELETE FROM idempotency WHERE leaf_index = 1"]
    zeros = database.zeros
    refused = [
        *[f"{emptied} WHERE leaf_index = 2", "DELETE FROM idempotency WHERE leaf_index = 2"],
        *[f"{emptied}, kind = 'x' WHERE leaf_index = 1", emptied],
        f"{emptied}, outcome = NULL WHERE leaf_index = 1",
        f"{emptied}, leaf_index = 99 WHERE leaf_index = 1",
        f"UPDATE entry_lookup SET order_hash = {zeros}, subject_hash = NULL WHERE leaf_index = 1",  # noqa: S608 - constants
        "UPDATE entry_lookup SET order_hash = NULL WHERE leaf_index = 1",
        "DELETE FROM entry_lookup WHERE leaf_index = 1",
        f"UPDATE idempotency SET body_hash = {zeros} WHERE leaf_index = 1",  # noqa: S608 - constants
    ]
    refusals = (pysqlite3.IntegrityError, psycopg.IntegrityError)
    for statement in [*allowed, *refused]:
        with pytest.raises(refusals, match="immutable"):
            raw.execute(statement)
    raw.execute("INSERT INTO erasing VALUES (1)")
    for statement in refused:
        with pytest.raises(refusals, match="immutable"):
            raw.execute(statement)
    for statement in allowed:
        assert raw.execute(statement).rowcount == 1
    raw.close()
    # Whoever does it without an erasure is found out: the seal still knows.
    assert {p.code for p in verified(vault).problems} == {"lookup", "idempotency", "erasing-left"}


def test_an_erased_entry_that_is_still_looked_up_is_found(
    database: SampleDatabase, vault: Vault
) -> None:
    row = ("SELECT order_hash FROM entry_lookup WHERE leaf_index = 1",)
    raw = database.connect()
    (order_hash,) = raw.execute(*row).fetchone()
    (key_row,) = raw.execute("SELECT * FROM idempotency WHERE leaf_index = 1").fetchall()
    erase_one(vault)
    raw.execute("DROP TRIGGER entry_lookup_no_update")
    raw.execute("UPDATE entry_lookup SET order_hash = ? WHERE leaf_index = 1", (order_hash,))
    raw.execute("INSERT INTO idempotency VALUES (?, ?, ?)", key_row)
    raw.close()
    problems = verified(vault).problems
    assert [(p.code, p.entry_id) for p in problems] == [
        ("lookup", "d-1"),
        ("idempotency-stray", "d-1"),
    ]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"keys": 3}', b'{"keys": [3]}'])
def test_an_altered_erasure_covers_nothing(
    database: SampleDatabase, vault: Vault, body: bytes
) -> None:
    place = erase_one(vault).leaf_index
    raw = database.connect()
    raw.execute("DROP TRIGGER facts_part_no_update")
    raw.execute("UPDATE facts_part SET body = ? WHERE leaf_index = ?", (body, place))
    raw.close()
    codes = {p.code for p in verified(vault).problems}
    assert {"erasure-unrecorded", "facts-hash"} <= codes


def test_a_store_of_the_former_form_is_named_not_read(
    database: SampleDatabase, vault: Vault
) -> None:
    raw = database.connect()
    raw.execute("DROP TRIGGER personal_part_no_update")
    raw.execute("UPDATE personal_part SET sealed = zeroblob(61) WHERE leaf_index = 1")
    raw.close()
    problems = verified(vault).problems
    assert ("seal-broken", 1) in {(p.code, p.leaf_index) for p in problems}
    assert any("form that this version reads" in p.detail for p in problems)


def test_the_entry_counts_and_does_not_name(vault: Vault) -> None:
    key_id = find_key(vault, ADA)
    line = build_line(
        Act.HOLD, entry_id="h-1", key_id=key_id, now=START, actor="cli", reason="court"
    )
    entry = build_entry(line, (), START)
    assert entry.personal is None
    assert entry.facts is not None
    assert "records" not in entry.facts
    assert key_id.hex() not in orjson.dumps(entry.facts).decode()


def test_the_store_folds_its_log(tmp_path: Path, database: SampleDatabase) -> None:
    store = database.open(busy_timeout_ms=10)
    vault = open_vault(tmp_path, database)
    with store.reading() as reading:
        reading.tree_size()
        append(store, [make_override_entry(0, "d")], SIGNER, vault.sealer)
        assert not store.fold()
    assert store.fold()
    assert database.path.with_name("log.db-wal").stat().st_size == 0
    store.close()
    close(vault)
