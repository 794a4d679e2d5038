"""Timestamps and cosignatures in evidence bundles: what is there, checked, and found if altered."""

import subprocess
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from audit.anchor import Anchor, add_anchor, build_query, verify_reply
from audit.cosignature import add_cosignatures, parse_witness_key
from reports.verifier.command import verify_bundle
from reports.verifier.findings import CheckError
from reports.verifier.vouching import read_der, read_stamp
from service.settings import Settings
from service.wiring import open_platform
from tests.audit.witness import Witness
from tests.reports import bundles
from tests.reports.bundles import Altered, failed_steps, run_alone
from tests.timestamps import Authority, run_openssl

WITNESS = Witness("witness.example/w1", 61)
STRANGER = Witness("witness.example/w2", 62)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    made = Authority(tmp_path_factory.mktemp("tsa") / "a")
    yield made
    made.server.server_close()


@pytest.fixture(scope="module")
def week(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> tuple[Settings, str, Path]:
    """Return a bundle of days 2 to 5; vouched for are a checkpoint in it and one behind it."""
    folder = tmp_path_factory.mktemp("week")
    settings = Settings(var=folder / "var", model_refresh_seconds=0, log_level="error")
    key = bundles.record_week(settings, bundles.Clock())
    bundles.export(settings, folder / "before.zip")
    covered = orjson.loads(Altered(folder / "before.zip").files["manifest.json"])["range"]
    with open_platform(settings) as platform:
        for size in (covered["end"] - 1, covered["end"] + 1):
            with platform.store.reading() as reading:
                note = reading.checkpoint_at(size)
            stamp = verify_reply(authority.stamp(build_query(note).content), note, ())
            for url in ("http://tsa.example/a", "http://tsa.example/b")[: 1 + size % 2]:
                assert add_anchor(platform.store, note, Anchor(size, url, stamp))
            witnesses = [parse_witness_key(one.vkey) for one in (WITNESS, STRANGER)]
            signed = note + WITNESS.line(note) + STRANGER.line(note)
            add_cosignatures(platform.store, signed, witnesses)
    bundles.export(settings, folder / "bundle.zip")
    return settings, key, folder / "bundle.zip"


def stamps(bundle: Altered) -> list[str]:
    return sorted(name for name in bundle.files if name.startswith("timestamps/"))


def test_they_are_checked_alone_and_openssl_agrees(
    week: tuple[Settings, str, Path], authority: Authority, tmp_path: Path
) -> None:
    """The command that verify.py prints is run as it stands, with the authority's CA put in."""
    _, key, path = week
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder)
    code, printed = run_alone(folder, "--key", key, "--witness", WITNESS.vkey)
    assert code == 0, printed
    commands = [
        line.partition("openssl ")[2] for line in printed.splitlines() if " openssl ts" in line
    ]
    assert len(commands) >= 2
    assert "2 are of witnesses whose key is not given" in printed
    for command in commands:
        given = command.replace("AUTHORITY.pem", str(authority.ca_file)).split()
        done = run_openssl(folder, *given)
        assert b"Verification: OK" in done.stdout, done.stderr
    code, printed = run_alone(folder, "--key", key, "--json", "--witness", STRANGER.vkey)
    steps = {step["step"]: step["checked"] for step in orjson.loads(printed)["steps"]}
    assert (code, steps["timestamps"], steps["cosignatures"]) == (0, len(stamps(Altered(path))), 4)


def test_the_first_behind_the_range_is_there(week: tuple[Settings, str, Path]) -> None:
    """Checkpoints are stamped now and then, so a short range may hold none of its own."""
    _, key, path = week
    bundle = Altered(path)
    covered = orjson.loads(bundle.files["manifest.json"])["range"]
    sizes = {int(name.split("/")[1].split("-")[0]) for name in stamps(bundle)}
    assert sizes == {covered["end"] - 1, covered["end"] + 1}
    assert covered["head"] > covered["end"] + 1
    assert failed_steps(path, key) == set()


def flip(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


def other_stamp(bundle: Altered) -> None:
    first, *_, last = stamps(bundle)
    bundle.files[first] = bundle.files[last]


def renamed(bundle: Altered) -> None:
    bundle.files["timestamps/999-1.tsr"] = bundle.files.pop(stamps(bundle)[0])


def altered_imprint(bundle: Altered) -> None:
    name = stamps(bundle)[0]
    imprint, _ = read_stamp(bundle.files[name])
    at = bundle.files[name].index(imprint)
    bundle.files[name] = flip(bundle.files[name], at)


def denied(bundle: Altered) -> None:
    name = stamps(bundle)[0]
    raw = bundle.files[name]
    at = raw.index(b"\x30\x03\x02\x01\x00")
    bundle.files[name] = raw[: at + 4] + b"\x02" + raw[at + 5 :]


def cosignatures(change: Callable[[dict[str, Any]], None]) -> Callable[[Altered], None]:
    def alter(bundle: Altered) -> None:
        def first(rows: list[dict[str, Any]]) -> None:
            change(next(row for row in rows if "cosignatures" in row))

        bundle.objects("checkpoints.jsonl", first)

    return alter


def _flip_line(row: dict[str, Any]) -> None:
    start, _, encoded = row["cosignatures"][0].rpartition(" ")
    row["cosignatures"][0] = f"{start} {b64encode(flip(b64decode(encoded), 9)).decode()}"


def _of_another(row: dict[str, Any]) -> None:
    row["cosignatures"] = [WITNESS.line(bundles.other_signer("o").sign(1, bytes(32))).strip()]


def _malform(row: dict[str, Any]) -> None:
    row["cosignatures"] = ["witness.example/w1 AAAA"]


def _shorten(row: dict[str, Any]) -> None:
    row["cosignatures"] = ["— witness.example/w1 AAAA"]


ALTERATIONS: dict[str, tuple[Callable[[Altered], object], str]] = {
    "stamp of another checkpoint": (other_stamp, "timestamps"),
    "stamp of no checkpoint": (renamed, "timestamps"),
    "imprint altered": (altered_imprint, "timestamps"),
    "stamp not granted": (denied, "timestamps"),
    "stamp cut": (
        lambda b: b.files.update({stamps(b)[0]: b.files[stamps(b)[0]][:-1]}),
        "timestamps",
    ),
    "stamp lengthened": (
        lambda b: b.files.update({stamps(b)[0]: b.files[stamps(b)[0]] + b"\x00"}),
        "timestamps",
    ),
    "cosignature altered": (cosignatures(_flip_line), "cosignatures"),
    "cosignature of another": (cosignatures(_of_another), "cosignatures"),
    "cosignature malformed": (cosignatures(_malform), "cosignatures"),
    "cosignature too short": (cosignatures(_shorten), "cosignatures"),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_is_found_at_its_step(
    week: tuple[Settings, str, Path], tmp_path: Path, name: str
) -> None:
    """Though the log's own key signed the altered bundle again."""
    settings, key, path = week
    alter, step = ALTERATIONS[name]
    altered = Altered(path)
    alter(altered)
    altered.sign_again(bundles.log_signer(settings))
    verdicts = verify_bundle(altered.pack(tmp_path / "a.zip"), [key], (WITNESS.vkey,)).verdicts
    assert {one for one, verdict in verdicts.items() if verdict.faults} == {step}


def test_a_witness_key_has_to_be_one(week: tuple[Settings, str, Path]) -> None:
    _, key, path = week
    verdicts = verify_bundle(path, [key], (key,)).verdicts
    assert {one for one, verdict in verdicts.items() if verdict.faults} == {"cosignatures"}


def test_more_than_a_few_commands_are_not_printed(
    week: tuple[Settings, str, Path], tmp_path: Path
) -> None:
    settings, key, path = week
    altered = Altered(path)
    name = stamps(altered)[0]
    for number in range(3, 9):
        altered.files[f"{name.rpartition('-')[0]}-{number}.tsr"] = altered.files[name]
    altered.sign_again(bundles.log_signer(settings))
    verdict = verify_bundle(altered.pack(tmp_path / "a.zip"), [key]).verdicts["timestamps"]
    assert (verdict.faults, len(verdict.notes)) == ([], 4)
    assert "more are checked in the same way" in verdict.notes[-1][1]


MALFORMED = {
    "no length": b"\x30",
    "indefinite": b"\x30\x80\x00\x00",
    "long form where short does": b"\x30\x81\x01\x00",
    "leading zero": b"\x30\x82\x00\x80" + bytes(128),
    "too many length bytes": b"\x30\x84\x01\x00\x00\x00",
    "length cut": b"\x30\x82\x01",
    "beyond the end": b"\x30\x05\x00",
    "long tag": b"\x3f\x81\x01\x00",
}


@pytest.mark.parametrize("desc", MALFORMED)
def test_only_der_is_read(desc: str) -> None:
    with pytest.raises(CheckError):
        read_der(MALFORMED[desc])


def test_openssl_reads_what_we_read(authority: Authority, tmp_path: Path) -> None:
    """Imprint and time as openssl prints them; every cut is refused, and no byte makes it fail."""
    reply = authority.stamp(build_query("some note\n").content)
    imprint, moment = read_stamp(reply)
    (tmp_path / "reply.tsr").write_bytes(reply)
    said = subprocess.run(
        ["openssl", "ts", "-reply", "-in", "reply.tsr", "-text"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout.decode()
    dumped = "".join(line.split(" - ")[1][:48] for line in said.splitlines() if " - " in line)
    assert imprint.hex() in dumped.replace(" ", "").replace("-", "")
    assert moment[11:19] in said
    for cut in range(len(reply)):
        with pytest.raises(CheckError):
            read_stamp(reply[:cut])
    for place in range(len(reply)):
        try:
            read_stamp(flip(reply, place))
        except CheckError:
            continue
    with pytest.raises(CheckError):
        read_stamp(bytes(65_537))
