"""Anchors are timestamps of our own checkpoints; openssl agrees on what is one."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from audit.anchor import (
    Anchor,
    Stamp,
    add_anchor,
    anchors_between,
    anchors_of,
    build_query,
    first_anchored_size,
    last_anchor,
    newest_anchors,
    parse_roots,
    verify_reply,
)
from audit.errors import AnchorInvalidError, RecordNotFoundError
from audit.log import append
from audit.store import Store
from audit.verify import Report, verify_store
from audit.vouched import Vouchers
from tests.audit.sample import SEALER, SIGNER, VKEY, make_decision_entry, open_sample_store
from tests.databases import SampleDatabase
from tests.timestamps import Authority, accepts

URL = "http://tsa.example/tsr"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    made = Authority(tmp_path_factory.mktemp("tsa") / "a")
    yield made
    made.server.server_close()


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    made = Authority(tmp_path_factory.mktemp("tsa") / "b", "Other")
    yield made
    made.server.server_close()


def fill(store: Store) -> Store:
    append(store, [make_decision_entry(n) for n in (1, 2)], SIGNER, SEALER)
    append(store, [make_decision_entry(3)], SIGNER, SEALER)
    return store


def head(store: Store, size: int = 3) -> str:
    with store.reading() as reading:
        return reading.checkpoint_at(size)


def stamped(authority: Authority, note: str) -> Stamp:
    query = build_query(note)
    roots = parse_roots(authority.ca_file.read_bytes())
    return verify_reply(authority.stamp(query.content), note, roots, query.nonce)


def vouchers(authority: Authority) -> Vouchers:
    return Vouchers(roots={URL: parse_roots(authority.ca_file.read_bytes())})


def test_openssl_accepts_what_we_keep_and_nothing_altered(
    authority: Authority, other: Authority, tmp_path: Path
) -> None:
    """The kept reply over the note's very bytes; not over others, nor by another authority."""
    note = SIGNER.sign(7, bytes(32))
    stamp = stamped(authority, note)
    data, reply = note.encode(), stamp.reply
    assert accepts(authority, data, reply, tmp_path)
    assert abs(stamp.stamped_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert not accepts(other, data, reply, tmp_path)
    assert not accepts(authority, data + b"\n", reply, tmp_path)
    roots = parse_roots(authority.ca_file.read_bytes())
    # What was stamped, and what stands around it, is under the signature.
    imprint = reply.index(sha256(data).digest())
    for place in range(imprint - 12, imprint + 32, 3):
        altered = reply[:place] + bytes([reply[place] ^ 1]) + reply[place + 1 :]
        assert not accepts(authority, data, altered, tmp_path), place
        with pytest.raises(AnchorInvalidError):
            verify_reply(altered, note, roots)


def test_a_query_is_what_openssl_reads(tmp_path: Path) -> None:
    query = build_query("note\n")
    (tmp_path / "query.tsq").write_bytes(query.content)
    said = subprocess.run(
        ["openssl", "ts", "-query", "-in", "query.tsq", "-text"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert "Hash Algorithm: sha256" in said
    assert "Certificate required: yes" in said
    assert f"{query.nonce:X}" in said.upper()
    assert build_query("note\n").nonce != query.nonce


def test_what_is_no_timestamp_of_the_note_is_refused(
    authority: Authority, other: Authority
) -> None:
    note = SIGNER.sign(7, bytes(32))
    query = build_query(note)
    whole = authority.stamp(query.content)
    roots = parse_roots(authority.ca_file.read_bytes())
    elsewhere = authority.stamp(build_query("another note\n").content)
    denied = b"\x30\x05\x30\x03\x02\x01\x02"
    cases = {
        "something else": (elsewhere, None),
        "nonce": (authority.stamp(build_query(note).content), query.nonce),
        "under the CA": (other.stamp(query.content), query.nonce),
        "no RFC 3161": (b"<html>not here</html>", None),
        "no RFC 3161 ": (whole[:-1], query.nonce),
        "status 2": (denied, None),
        "longer than": (bytes(65_537), None),
    }
    for why, (content, nonce) in cases.items():
        with pytest.raises(AnchorInvalidError, match=why.strip()):
            verify_reply(content, note, roots, nonce)
    # Without a CA the imprint and nonce count, and the signature stays unchecked.
    assert verify_reply(other.stamp(query.content), note, (), query.nonce).reply
    with pytest.raises(AnchorInvalidError, match="something else"):
        verify_reply(elsewhere, note, ())
    for wrong in (b"", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"):
        with pytest.raises(AnchorInvalidError, match="PEM"):
            parse_roots(wrong)


@pytest.mark.both_databases
def test_an_anchor_is_kept_once_and_found(database: SampleDatabase, authority: Authority) -> None:
    """Beside the tree, guarded like a checkpoint, on both databases; verification counts it."""
    store = fill(database.open())
    note = head(store)
    stamp = stamped(authority, note)
    assert add_anchor(store, note, Anchor(3, URL, stamp))
    assert not add_anchor(store, note, Anchor(3, URL, stamped(authority, note)))
    assert add_anchor(store, head(store, 2), Anchor(2, URL, stamped(authority, head(store, 2))))
    with pytest.raises(AnchorInvalidError, match="not the log's"):
        add_anchor(store, SIGNER.sign(3, bytes(32)), Anchor(3, URL, stamp))
    with pytest.raises(RecordNotFoundError):
        add_anchor(store, note, Anchor(9, URL, stamp))
    with store.reading() as reading:
        assert anchors_of(reading, 3) == [Anchor(3, URL, stamp)]
        assert [one.tree_size for one in newest_anchors(reading, 10, 10)] == [3, 2]
        assert [one.tree_size for one in newest_anchors(reading, 3, 10)] == [2]
        assert [one.tree_size for one in anchors_between(reading, 1, 9, 9)] == [2, 3]
        assert last_anchor(reading, URL) == Anchor(3, URL, stamp)
        assert last_anchor(reading, "http://nobody") is None
        assert [first_anchored_size(reading, least) for least in (1, 3, 4)] == [2, 3, None]
    report = verify_store(store, [VKEY], SEALER, vouchers=vouchers(authority))
    assert (report.ok, report.anchors, report.cosignatures) == (True, 2, 0), report.problems
    store.close()
    connection = database.connect()
    for statement in ("DELETE FROM anchor", "UPDATE anchor SET tree_size = 2"):
        with pytest.raises(Exception, match="immutable: anchor"):
            connection.execute(statement)
    connection.close()


CHANGES = {
    "size": "tree_size = 2",
    "no checkpoint": "tree_size = 5",
    "authority": "authority = 'http://nobody/'",
    "time": "stamped_at = '2020-01-01T00:00:00.000000Z'",
    "digest": "row_sha256 = zeroblob(32)",
    "type": "reply = 'text'",
    "longer": "reply = CAST(reply || x'00' AS BLOB)",
    "not UTF-8": "authority = CAST(x'ff' AS TEXT)",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_to_any_value_is_found(tmp_path: Path, authority: Authority, change: str) -> None:
    assert change_row(tmp_path, authority, CHANGES[change]) == ["anchor-altered"]


def test_every_byte_of_a_reply_counts(tmp_path: Path, authority: Authority) -> None:
    """Also those that no signature covers, such as version numbers inside of the token."""
    store, database = anchored(tmp_path, authority)
    with store.reading() as reading:
        reply = anchors_of(reading, 3)[0].stamp.reply
    database.tamper("PRAGMA journal_mode")
    connection = database.connect()
    for place in (0, 34, 36, *range(40, len(reply), 29), -80, -1):
        altered = bytearray(reply)
        altered[place] ^= 1
        connection.execute("UPDATE anchor SET reply = ?", (bytes(altered),))
        [problem] = check(store, authority).problems
        assert (problem.code, problem.leaf_index) == ("anchor-altered", 2)
    connection.execute("UPDATE anchor SET reply = ?", (reply,))
    assert check(store, authority).ok
    connection.close()


def test_another_authoritys_stamp_does_not_pass_for_ours(
    tmp_path: Path, authority: Authority, other: Authority
) -> None:
    """Whoever can write the database and fit the row's digest still needs the authority's key."""
    store = fill(open_sample_store(tmp_path))
    assert add_anchor(store, head(store), Anchor(3, URL, stamped(other, head(store))))
    [problem] = check(store, authority).problems
    assert problem.code == "anchor-altered"
    assert "under the CA" in problem.detail
    assert verify_store(store, [VKEY], SEALER).ok


def check(store: Store, authority: Authority) -> Report:
    return verify_store(store, [VKEY], SEALER, vouchers=vouchers(authority))


def anchored(folder: Path, authority: Authority) -> tuple[Store, SampleDatabase]:
    database = SampleDatabase(folder, None)
    store = fill(database.open(journal_mode="delete", synchronous="extra"))
    assert add_anchor(store, head(store), Anchor(3, URL, stamped(authority, head(store))))
    return store, database


def change_row(folder: Path, authority: Authority, change: str) -> list[str]:
    store, database = anchored(folder, authority)
    database.tamper(f"UPDATE anchor SET {change}")  # noqa: S608 - constants above
    return [problem.code for problem in check(store, authority).problems]
