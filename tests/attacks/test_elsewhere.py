"""Attacks beyond rows: whole databases, forks, receipts, bundles, files beside the database."""

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import orjson
import pysqlite3
import pytest

from audit.checkpoint import parse_checkpoint
from audit.cosignature import add_cosignatures, parse_witness_key
from audit.errors import (
    AuditError,
    CheckpointInvalidError,
    CosignatureInvalidError,
    LogDamagedError,
    LogRolledBackError,
    ProofInvalidError,
)
from audit.receipt import verify_receipt
from service.auth import Role
from service.keyfiles import load_signer
from service.usecases.erase import erase_subject
from service.usecases.keys import create_key
from service.wiring import open_platform
from tests.attacks.history import WITNESS, Copy, Scene, edit_key_store
from tests.reports import bundles
from tests.reports.bundles import Altered, failed_steps

pytestmark = pytest.mark.xdist_group("attacks")

SLOT = 4096


def rolled_back(scene: Scene, copy: Copy) -> None:
    """Put the backup's database in the place of the copy's."""
    assert scene.backup is not None
    shutil.copy(scene.backup.database.path, copy.database.path)


def test_a_database_rolled_back_to_a_backup_is_found(scene: Scene, target: Copy) -> None:
    """An older copy verifies by itself; the checkpoint kept outside says that there was more."""
    rolled_back(scene, target)
    assert target.codes() == {"log-rolled-back"}
    with (
        open_platform(target.settings) as platform,
        pytest.raises(LogRolledBackError, match="were signed"),
    ):
        create_key(platform, "more", Role.OMS, "test")


def fork(scene: Scene, target: Copy) -> str:
    """Let somebody who has every key write another history from the backup on."""
    rolled_back(scene, target)
    shutil.rmtree(target.settings.kept_checkpoint.parent)
    with open_platform(target.settings) as platform:
        for number in range(9):
            create_key(platform, f"forged {number}", Role.OMS, "test")
        with platform.store.reading() as reading:
            return reading.head() or ""


def test_a_fork_by_whoever_has_the_logs_key_is_found(scene: Scene, target: Copy) -> None:
    """Two histories under good signatures: the checkpoint kept by the other one shows it."""
    fork(scene, target)
    kept = scene.settings.kept_checkpoint
    shutil.copy(kept, target.settings.kept_checkpoint)
    assert target.codes() == {"log-rolled-back"}


def test_a_fork_with_the_kept_checkpoint_is_found_by_a_witness(scene: Scene, target: Copy) -> None:
    """Whoever rewrites that too cannot show what a witness saw: its line is over another root."""
    with open_platform(scene.settings) as platform, platform.store.reading() as reading:
        seen = reading.head() or ""
    forged = fork(scene, target)
    assert target.codes() == set()
    assert parse_checkpoint(forged).tree_size > parse_checkpoint(seen).tree_size
    witnesses = [parse_witness_key(WITNESS.vkey)]
    with (
        open_platform(target.settings) as platform,
        pytest.raises(CosignatureInvalidError, match="not the log's"),
    ):
        add_cosignatures(platform.store, seen + WITNESS.line(seen), witnesses)


def test_a_receipt_substituted_is_refused(scene: Scene) -> None:
    """Another entry's receipt, another header, another key, or any byte of it changed."""
    (first, leaf), (second, other) = (
        scene.receipts[scene.decisions[name]] for name in ("P-7", "P-8")
    )
    verify_receipt(first, leaf, scene.vkey)
    refused = (ProofInvalidError, CheckpointInvalidError)
    for receipt, header, key in (
        (second, leaf, scene.vkey),
        (first, other, scene.vkey),
        (first, leaf, scene.first_vkey),
        (first, leaf.replace(b'"parcel"', b'"percel"'), scene.vkey),
    ):
        with pytest.raises(refused):
            verify_receipt(receipt, header, key)


def edit_kept(change: Callable[[str], str]) -> Callable[[Copy], None]:
    """Change both slots of the kept checkpoint, checksums and all."""

    def do(copy: Copy) -> None:
        path = copy.settings.kept_checkpoint
        note = path.read_bytes()[: SLOT - 65].rstrip(b"\n").decode() + "\n"
        raw = change(note).encode()
        slot = raw.ljust(SLOT - 65, b"\n") + sha256(raw).hexdigest().encode() + b"\n"
        path.write_bytes(slot * 2)

    return do


def _grow(note: str) -> str:
    origin, size, rest = note.split("\n", 2)
    return f"{origin}\n{int(size) + 1_000}\n{rest}"


def _other_root(note: str) -> str:
    origin, size, root, rest = note.split("\n", 3)
    return f"{origin}\n{size}\n{root[::-1].replace('=', '')}=\n{rest}"


def _overwrite(copy: Copy) -> None:
    copy.settings.kept_checkpoint.write_bytes(b"x" * 2 * SLOT)


def _cut(copy: Copy) -> None:
    path = copy.settings.kept_checkpoint
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (edit_kept(_grow), "log-rolled-back"),
        (edit_kept(lambda note: note.replace("candor.local", "candor.lokal")), "log-rolled-back"),
        (_overwrite, "checkpoint-lost"),
        (_cut, "checkpoint-lost"),
    ],
    ids=["larger", "other origin", "overwritten", "cut off"],
)
def test_an_edited_kept_checkpoint_is_found(
    target: Copy, edit: Callable[[Copy], None], code: str
) -> None:
    edit(target)
    assert target.codes() == {code}


def _swap_column(copy: Copy, column: str) -> None:
    """Exchange a column of the keys of C-1 and C-3."""
    with open_platform(copy.settings) as platform:
        hashed = [platform.sealer.keyed_hash("owner/subject", name) for name in ("C-1", "C-3")]
        ids = [platform.subject_keys.find_owner(one) for one in hashed]
        platform.subject_keys.destroy([])
    update = f"UPDATE subject_key SET {column} = ? WHERE key_id = ?"  # noqa: S608 - names below
    first, second = _read_keys(copy, column, ids)
    edit_key_store(
        copy.settings.var,
        (update, (b"room" * 8, ids[0])),
        (update, (first, ids[1])),
        (update, (second, ids[0])),
    )


def _read_keys(copy: Copy, column: str, ids: list[bytes | None]) -> list[bytes]:
    connection = pysqlite3.connect(copy.settings.keys / "subjects.db")
    query = f"SELECT {column} FROM subject_key WHERE key_id = ?"  # noqa: S608 - names below
    found = [connection.execute(query, (one,)).fetchone()[0] for one in ids]
    connection.close()
    return found


def _swap_owners(copy: Copy) -> None:
    _swap_column(copy, "owner")


def _swap_wrapped(copy: Copy) -> None:
    _swap_column(copy, "wrapped")


def _drop_keys(copy: Copy) -> None:
    edit_key_store(copy.settings.var, ("DELETE FROM subject_key", ()))


def _edit_ledger(change: Callable[[list[dict[str, str]]], object]) -> Callable[[Copy], None]:
    def do(copy: Copy) -> None:
        path = copy.settings.keys / "erasures.jsonl"
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        change(lines)
        path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))

    return do


def _name_another(copy: Copy) -> None:
    """Have the ledger say that another subject was erased: its key would be destroyed next."""
    with open_platform(copy.settings) as platform:
        owner = platform.sealer.keyed_hash("owner/subject", "C-1")
        key_id = (platform.subject_keys.find_owner(owner) or b"").hex()
    _edit_ledger(lambda lines: lines[0].update(key_id=key_id))(copy)


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (_swap_owners, "subject-key-owner"),
        (_swap_wrapped, "key-encryption-wrong"),
        (_drop_keys, "subject-key-missing"),
        (_name_another, "ledger-damaged"),
        (_edit_ledger(lambda lines: lines[0].update(actor="somebody")), "ledger-damaged"),
        (_edit_ledger(lambda lines: lines[0].update(act="hold")), "ledger-damaged"),
        (_edit_ledger(lambda lines: lines.pop(0)), "ledger-behind"),
    ],
    ids=[
        *("owners exchanged", "keys exchanged", "keys deleted", "another erased"),
        *("actor altered", "erasure made a hold", "line removed"),
    ],
)
def test_the_key_store_and_the_ledger_are_compared_with_the_log(
    target: Copy, attack: Callable[[Copy], None], code: str
) -> None:
    """And no key of a subject who asked for nothing is destroyed on the way."""
    keys = _count_keys(target)
    attack(target)
    assert code in target.codes()
    if attack is not _drop_keys:
        assert _count_keys(target) == keys


def _count_keys(copy: Copy) -> int:
    connection = pysqlite3.connect(copy.settings.keys / "subjects.db")
    count = int(connection.execute("SELECT count(*) FROM subject_key").fetchone()[0])
    connection.close()
    return count


def test_an_altered_bundle_names_each_file(scene: Scene, tmp_path: Path) -> None:
    """One byte of any file: the step that reads it fails; without a key it is no better."""
    # Of the models and tables one file each.
    names = {name.split("/")[0]: name for name in sorted(Altered(scene.bundle).files)}
    assert len(names) >= 14
    for name in names.values():
        altered = Altered(scene.bundle)
        content = bytearray(altered.files[name] or b"\n")
        content[len(content) // 2] ^= 1
        altered.files[name] = bytes(content)
        path = altered.pack(tmp_path / "altered.zip")
        found = failed_steps(path, scene.vkey)
        assert found & {"files", "manifest"}, name


def test_a_bundle_signed_by_somebody_else_is_not_ours(scene: Scene, tmp_path: Path) -> None:
    """An alteration with digests and signature of a foreign key: consistent, and refused."""
    altered = Altered(scene.bundle)
    altered.edit("personal.jsonl", b"P-0", b"P-X")
    altered.sign_again(bundles.other_signer("candor.local/log"))
    assert "manifest" in failed_steps(altered.pack(tmp_path / "altered.zip"), scene.vkey)


def test_a_bundle_altered_with_the_logs_own_key_is_found(scene: Scene, tmp_path: Path) -> None:
    """Not even the signer can alter what the tree holds."""
    with open_platform(scene.settings) as platform:
        signer = load_signer(scene.settings, platform.signer.verifier_key)
    for name, old, new, step in (
        ("headers.jsonl", b'"confidence":', b'"confidense":', "tree"),
        ("facts.jsonl", b'"outcome":"', b'"outcome":"x', "facts"),
        ("receipts.jsonl", b"index 1", b"index 2", "receipts"),
        ("personal.jsonl", b"P-0", b"P-X", "personal"),
        ("orders.jsonl", b'"row":1', b'"row":3', "orders"),
        ("checkpoints.jsonl", b'"consistency":["', b'"consistency":["A', "consistency"),
    ):
        altered = Altered(scene.bundle)
        altered.edit(name, old, new)
        altered.sign_again(signer)
        assert step in failed_steps(altered.pack(tmp_path / "altered.zip"), scene.vkey), name


def test_a_tree_that_was_rewritten_is_not_signed_again(target: Copy) -> None:
    """The next append would make the tampering true; it refuses, and says why."""
    target.execute(
        "UPDATE tree_node SET hash = (SELECT leaf_hash FROM log_entry WHERE leaf_index = 0)"
    )
    with open_platform(target.settings) as platform, pytest.raises(LogDamagedError):
        create_key(platform, "more", Role.OMS, "test")
    assert "tree-node" in target.codes()
    with pytest.raises(AuditError), open_platform(target.settings) as platform:
        erase_subject(platform, "C-9", kind="subject", actor="test", reason="DSR-2")
