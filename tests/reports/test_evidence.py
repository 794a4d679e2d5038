"""Evidence bundles: what is in them, and that every alteration is found at its step."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from audit.records import EntryType
from audit.store import Search
from reports.errors import EvidenceRequestError, EvidenceTooLargeError, EvidenceWriteError
from reports.evidence import EvidenceRequest
from service.settings import Settings
from service.usecases.export import export_evidence
from service.wiring import open_platform
from tests.reports import bundles
from tests.reports.bundles import Altered, failed_steps, run_alone

Alter = Callable[[Altered], object]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, str, Path]:
    """Return the settings and key of a log of a week, and a bundle of three days of it."""
    folder = tmp_path_factory.mktemp("week")
    settings = Settings(var=folder / "var", model_refresh_seconds=0, log_level="error")
    key = bundles.record_week(settings, bundles.Clock())
    bundles.export(settings, folder / "bundle.zip")
    return settings, key, folder / "bundle.zip"


def said(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as packed:
        return dict(orjson.loads(packed.read("manifest.json")))


def test_a_bundle_passes_alone_in_an_empty_directory(
    week: tuple[Settings, str, Path], tmp_path: Path
) -> None:
    """Unpacked, packed, and without a key, by the bundle's own verify.py and nothing else."""
    _, key, path = week
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder)
    code, printed = run_alone(folder, "--key", key)
    assert (code, "完整" in printed, "FAIL" in printed) == (0, True, False), printed
    code, printed = run_alone(folder)
    assert (code, "signer not authenticated" in printed) == (3, True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code, printed = run_alone(elsewhere, "--key", key, "--json", str(path))
    steps = {step["step"]: step["checked"] for step in orjson.loads(printed)["steps"]}
    # Nobody outside vouched for this log; tests/reports/test_evidence_vouched.py has one.
    vouched = (steps.pop("timestamps"), steps.pop("cosignatures"))
    assert (code, vouched, all(steps.values())) == (0, (0, 0), True), steps
    assert run_alone(elsewhere, "nothing.zip")[0] == 2


def test_it_holds_what_was_asked_for_and_no_gap(week: tuple[Settings, str, Path]) -> None:
    _, _, path = week
    manifest, files = said(path), Altered(path).files
    covered = manifest["range"]
    assert covered["end"] - covered["begin"] == len(files["headers.jsonl"].splitlines())
    assert (manifest["counts"]["matched"], covered["begin"] > 0) == (3, True)
    assert manifest["counts"]["orders"] == {"supplied": 4, "found": 2}
    # The override of day 6, the publication and two tables stand outside the range.
    annex = [orjson.loads(line) for line in files["annex.jsonl"].splitlines()]
    types = sorted(orjson.loads(one["header"])["type"] for one in annex)
    assert types == ["override", "publication", "reference", "reference"]
    names = {name.partition("/")[0] for name in files}
    assert {"bundles", "policies", "references", "personal.jsonl"} <= names
    assert manifest["missing"] == {"artefacts": [], "facts": [], "personal": []}


def test_without_a_reason_no_identifier_leaves(
    week: tuple[Settings, str, Path], tmp_path: Path
) -> None:
    settings, key, _ = week
    path = tmp_path / "sealed.zip"
    bundles.export(settings, path, replace(bundles.PERIOD, reason=None))
    whole = b"".join(Altered(path).files.values())
    for canary in (b"P-2", b"P-3", b"Xiaoming", b"no-such-order"):
        assert canary not in whole
    assert failed_steps(path, key) == set()
    assert "personal.jsonl" not in Altered(path).files


def test_each_export_is_an_entry_with_actor_filter_and_digest(
    week: tuple[Settings, str, Path], tmp_path: Path
) -> None:
    settings, _, _ = week
    path = tmp_path / "logged.zip"
    exported = bundles.export(settings, path)
    with open_platform(settings) as platform, platform.store.reading() as reading:
        record = reading.record(exported["entry_id"])
        opened = platform.sealer.open(record.entry_id, record.sealed or b"")
    facts = orjson.loads(record.facts or b"")
    assert (facts["actor"], facts["asked"]["personal"], facts["asked"]["orders"]) == (
        "test",
        True,
        4,
    )
    assert facts["bundle_sha256"] == sha256(path.read_bytes()).hexdigest()
    assert orjson.loads(opened) == {"reason": bundles.REASON}
    assert bundles.REASON.encode() not in (record.facts or b"") + record.leaf


@pytest.mark.parametrize(
    "request_",
    [
        EvidenceRequest(),
        EvidenceRequest(kind="listed"),
        EvidenceRequest(kind="nobody"),
        EvidenceRequest(to_at=bundles.START),
        EvidenceRequest(from_at=bundles.START + timedelta(days=900)),
        EvidenceRequest(bundles.START + timedelta(days=2), bundles.START + timedelta(days=2.02)),
        EvidenceRequest(from_at=bundles.START + timedelta(days=4)),
        EvidenceRequest(to_at=bundles.START + timedelta(days=1.5), order_ids=()),
    ],
    ids=["all", "kind", "no such", "before", "after", "between", "from", "to"],
)
def test_every_filter_gives_a_bundle_that_passes(
    week: tuple[Settings, str, Path], tmp_path: Path, request_: EvidenceRequest
) -> None:
    settings, key, _ = week
    bundles.export(settings, tmp_path / "one.zip", request_)
    assert failed_steps(tmp_path / "one.zip", key) == set()


def test_some_decisions_alone(week: tuple[Settings, str, Path], tmp_path: Path) -> None:
    settings, key, _ = week
    with open_platform(settings) as platform, platform.store.reading() as reading:
        found = reading.search(Search(entry_type=EntryType.DECISION))
        other = reading.latest(EntryType.PUBLICATION)[0].entry_id
    asked = (found[2].entry_id, found[4].entry_id)
    path = tmp_path / "two.zip"
    exported = bundles.export(settings, path, EvidenceRequest(decision_ids=asked))
    assert (exported["decisions"], failed_steps(path, key)) == (2, set())
    altered = Altered(path)
    altered.lines("selection.jsonl", lambda lines: lines.pop())
    altered.sign_again(bundles.log_signer(settings))
    assert failed_steps(altered.pack(tmp_path / "fewer.zip"), key) != set()
    for wrong in ((), ("nothing",), (other,)):
        with pytest.raises(EvidenceRequestError):
            bundles.export(settings, path, EvidenceRequest(decision_ids=wrong))


def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    week: tuple[Settings, str, Path], tmp_path: Path
) -> None:
    settings, _, _ = week
    out = tmp_path / "out" / "no.zip"
    out.parent.mkdir()
    backwards = EvidenceRequest(bundles.START + timedelta(days=1), bundles.START)
    with pytest.raises(EvidenceRequestError, match="before it begins"):
        bundles.export(settings, out, backwards)
    with pytest.raises(EvidenceRequestError, match="reason"):
        bundles.export(settings, out, EvidenceRequest(reason=" "))
    with open_platform(settings) as platform:
        with pytest.raises(EvidenceTooLargeError):
            export_evidence(platform, EvidenceRequest(), out, actor="test", most_entries=3)
        gone = tmp_path / "nowhere" / "no.zip"
        with pytest.raises(EvidenceWriteError):
            export_evidence(platform, EvidenceRequest(), gone, actor="test")
    assert list(out.parent.iterdir()) == []
    with (
        open_platform(Settings(var=tmp_path / "empty")) as empty,
        pytest.raises(EvidenceRequestError, match="empty"),
    ):
        export_evidence(empty, EvidenceRequest(), out, actor="test")


def test_what_is_gone_is_listed_and_told(week: tuple[Settings, str, Path], tmp_path: Path) -> None:
    """A model or table that is missing or altered on disk hinders no bundle; it is named."""
    settings, key, _ = week
    kept = {}
    for folder in (settings.bundles, settings.policies, settings.references):
        for file in folder.rglob("*.json"):
            kept[file] = file.read_bytes()
            file.write_bytes(b"{}")
    try:
        bundles.export(settings, tmp_path / "bare.zip")
    finally:
        for file, content in kept.items():
            file.write_bytes(content)
    assert len(said(tmp_path / "bare.zip")["missing"]["artefacts"]) == 4
    assert failed_steps(tmp_path / "bare.zip", key) == set()
    code, printed = run_alone(tmp_path, "--key", key, "bare.zip")
    assert (code, "4 were gone" in printed) == (0, True)


def test_a_seal_that_does_not_open_is_listed(settings: Settings, tmp_path: Path) -> None:
    key = bundles.record_week(settings, bundles.Clock())
    with open_platform(settings) as platform, platform.store.writing() as writing:
        writing._connection.exec_driver_sql("DROP TRIGGER personal_part_no_update")
        writing._connection.exec_driver_sql("UPDATE personal_part SET sealed = x'00'")
    path = tmp_path / "broken.zip"
    bundles.export(settings, path, EvidenceRequest(reason="audit"))
    assert len(said(path)["missing"]["personal"]) == 8
    assert failed_steps(path, key) == {"personal"}
    (tmp_path / "folder").mkdir()
    with pytest.raises(EvidenceWriteError):
        bundles.export(settings, tmp_path / "folder", EvidenceRequest())


# What each alteration changes, whether the log's own key signs it again, and where it is found.
def _swap(lines: list[Any]) -> None:
    lines[1], lines[2] = lines[2], lines[1]


def _repeat(lines: list[Any]) -> None:
    lines.insert(1, lines[1])


def _other_receipt(rows: list[dict[str, Any]]) -> None:
    rows[0]["receipt"] = rows[1]["receipt"]


def _flip(rows: list[dict[str, Any]]) -> None:
    proof = next(row["consistency"] for row in rows if row["consistency"])
    proof[0] = ("A" if proof[0][0] != "A" else "B") + proof[0][1:]


def _recount(manifest: dict[str, Any]) -> None:
    manifest["counts"]["by_type"]["decision"] -= 1


def _drop_order(rows: list[dict[str, Any]]) -> None:
    rows[0]["leaf_indexes"] = []


def _shift(manifest: dict[str, Any]) -> None:
    manifest["range"]["begin"] += 1


def _widen(manifest: dict[str, Any]) -> None:
    manifest["period"]["from"] = "2026-02-01T00:00:00.000000Z"


def _other_name(rows: list[dict[str, Any]]) -> None:
    rows[0]["order_id"] = "P-99"


def _erase(rows: list[dict[str, Any]]) -> None:
    rows[0] = {"leaf_index": rows[0]["leaf_index"], "erased_by": rows[-1]["leaf_index"]}


def _miss(bundle: Altered) -> None:
    index = orjson.loads(bundle.files["personal.jsonl"].splitlines()[0])["leaf_index"]
    bundle.lines("personal.jsonl", lambda lines: lines.pop(0))
    bundle.manifest(lambda said: said["missing"]["personal"].append(index))


def _last_model(bundle: Altered) -> None:
    for name in [name for name in bundle.files if name.startswith("bundles/")]:
        del bundle.files[name]


INSIDER: dict[str, tuple[Alter, set[str]]] = {
    "header swapped": (lambda b: b.lines("headers.jsonl", _swap), {"tree"}),
    "header removed": (lambda b: b.lines("headers.jsonl", lambda ls: ls.pop(2)), {"tree"}),
    "header inserted": (lambda b: b.lines("headers.jsonl", _repeat), {"tree"}),
    "header altered": (
        lambda b: b.edit("headers.jsonl", b'"confidence":', b'"confidense":'),
        {"tree"},
    ),
    "last header removed": (lambda b: b.lines("headers.jsonl", lambda ls: ls.pop()), {"tree"}),
    "index gap": (lambda b: b.manifest(_shift), {"tree"}),
    "tree before it altered": (
        lambda b: b.edit("tree.json", b'"edge":["', b'"edge":["A'),
        {"tree"},
    ),
    "facts byte": (lambda b: b.edit("facts.jsonl", b'"outcome":"', b'"outcome":"x'), {"facts"}),
    "facts removed": (lambda b: b.lines("facts.jsonl", lambda ls: ls.pop(0)), {"facts"}),
    "receipt of another entry": (
        lambda b: b.objects("receipts.jsonl", _other_receipt),
        {"receipts"},
    ),
    "receipt removed": (lambda b: b.lines("receipts.jsonl", lambda ls: ls.pop()), {"receipts"}),
    "consistency proof altered": (lambda b: b.objects("checkpoints.jsonl", _flip), {"consistency"}),
    "checkpoint removed": (
        lambda b: b.lines("checkpoints.jsonl", lambda ls: ls.pop(0)),
        {"checkpoints"},
    ),
    "model altered": (
        lambda b: b.edit(b.first("bundles/", "model.txt"), b"tree", b"treE"),
        {"artefacts"},
    ),
    "model removed": (_last_model, {"artefacts"}),
    "policy altered": (lambda b: b.edit(b.first("policies/"), b"{", b"{ "), {"artefacts"}),
    "policy removed": (lambda b: b.files.pop(b.first("policies/")), {"artefacts"}),
    "reference altered": (lambda b: b.edit(b.first("references/"), b"{", b"{ "), {"artefacts"}),
    "amendment altered": (lambda b: b.edit("annex.jsonl", b"KNOWN", b"KNEWN"), {"annex"}),
    "amendment removed": (lambda b: b.lines("annex.jsonl", lambda ls: ls.pop()), {"annex"}),
    "publication removed": (
        lambda b: b.lines("annex.jsonl", lambda ls: ls.pop(2)),
        {"annex", "artefacts"},
    ),
    "personal altered": (
        lambda b: b.edit("personal.jsonl", b"Xiaoming", b"Xiaomeng"),
        {"personal"},
    ),
    "personal removed": (lambda b: b.lines("personal.jsonl", lambda ls: ls.pop(0)), {"personal"}),
    "salt altered": (
        lambda b: b.objects("personal.jsonl", lambda rows: rows[0].update(salt="AQ==")),
        {"personal"},
    ),
    "identifiers altered": (
        lambda b: b.edit("personal.jsonl", b"P-2", b"P-3"),
        {"personal"},
    ),
    "said to be erased": (lambda b: b.objects("personal.jsonl", _erase), {"personal"}),
    "said to be missing": (_miss, {"personal"}),
    "count altered": (lambda b: b.manifest(_recount), {"completeness"}),
    "period widened": (
        lambda b: b.manifest(_widen),
        {"facts", "receipts", "personal", "completeness"},
    ),
    "order reconciliation altered": (lambda b: b.objects("orders.jsonl", _drop_order), {"orders"}),
    "order named otherwise": (lambda b: b.objects("orders.jsonl", _other_name), {"orders"}),
    "no reason": (lambda b: b.manifest(lambda m: m.update(reason="")), {"manifest"}),
    "other format": (lambda b: b.manifest(lambda m: m.update(format="x")), {"manifest"}),
}


@pytest.mark.parametrize("name", INSIDER)
def test_an_insider_with_the_logs_key_cannot_alter_it(
    week: tuple[Settings, str, Path], tmp_path: Path, name: str
) -> None:
    """Though every digest and the signature fit again, the step that must find it does."""
    settings, key, path = week
    alter, expected = INSIDER[name]
    altered = Altered(path)
    alter(altered)
    altered.sign_again(bundles.log_signer(settings))
    packed = altered.pack(tmp_path / "altered.zip")
    found = failed_steps(packed, key)
    assert expected <= found, found
    assert not found & {"container", "files"}
    code, printed = run_alone(tmp_path, "--key", key, "--json", str(packed))
    assert (code, {p["code"] for p in orjson.loads(printed)["problems"]}) == (1, found)


OUTSIDER: dict[str, tuple[Alter, set[str]]] = {
    "manifest byte": (
        lambda b: b.edit("manifest.json", b'"kind":null', b'"kind":nulL'),
        {"manifest"},
    ),
    "manifest spaced": (
        lambda b: b.edit("manifest.json", b'"kind":null', b'"kind": null'),
        {"manifest"},
    ),
    "manifest says otherwise": (lambda b: b.edit("manifest.json", b"court", b"curt"), {"manifest"}),
    "signature removed": (lambda b: b.files.pop("manifest.note"), {"manifest"}),
    "facts byte": (
        lambda b: b.edit("facts.jsonl", b'"outcome":"', b'"outcome":"x'),
        {"files", "facts"},
    ),
    "verify.py altered": (
        lambda b: b.edit("verify.py", b"return findings", b"return 0 and findings"),
        {"files"},
    ),
    "file removed": (lambda b: b.files.pop("README.md"), {"files"}),
    "extra file": (lambda b: b.files.update({"notes.txt": b"x"}), {"container"}),
    "extra file of a known name": (lambda b: b.files.update({"selection.jsonl": b""}), {"files"}),
    "path that leads elsewhere": (lambda b: b.files.update({"../verify.py": b"x"}), {"container"}),
    "absolute path": (lambda b: b.files.update({"/etc/passwd": b"x"}), {"container"}),
    "too great a growth": (lambda b: b.files.update({"tree.json": bytes(1 << 24)}), {"container"}),
}


@pytest.mark.parametrize("name", OUTSIDER)
def test_nobody_else_can_alter_it(
    week: tuple[Settings, str, Path], tmp_path: Path, name: str
) -> None:
    _, key, path = week
    alter, expected = OUTSIDER[name]
    altered = Altered(path)
    alter(altered)
    packed = altered.pack(tmp_path / "altered.zip")
    assert failed_steps(packed, key) == expected
    code, printed = run_alone(tmp_path, "--key", key, str(packed))
    assert (code, "FAIL" in printed) == (1, True)


@pytest.mark.sqlite("a second log needs a second file")
def test_a_forgery_under_another_key_does_not_pass_as_ours(
    week: tuple[Settings, str, Path], tmp_path: Path
) -> None:
    """Signed again by another: refused under our key, unauthenticated at best without one."""
    _, key, path = week
    altered, forger = Altered(path), bundles.other_signer("candor.local/log")
    altered.sign_again(forger)
    packed = altered.pack(tmp_path / "forged.zip")
    assert failed_steps(packed, key) == {"manifest"}
    # A whole log of the forger's own is consistent, and no more than that.
    forged = Settings(var=tmp_path / "var", model_refresh_seconds=0, log_level="error")
    theirs = bundles.record_week(forged, bundles.Clock())
    bundles.export(forged, tmp_path / "own.zip")
    assert run_alone(tmp_path, "own.zip")[0] == 3
    assert run_alone(tmp_path, "own.zip", "--key", theirs)[0] == 0
    assert failed_steps(tmp_path / "own.zip", key) == {"manifest", "checkpoints"}
    assert failed_steps(packed, "no+key") == {"signer", "manifest"}


def test_a_checkpoint_of_a_forked_log_is_found(
    week: tuple[Settings, str, Path], tmp_path: Path
) -> None:
    """Two histories signed by one key: within the range the tree shows it, behind it the proof."""
    settings, key, path = week
    signer = bundles.log_signer(settings)
    for place, expected in ((1, {"tree", "consistency"}), (-1, {"consistency", "annex"})):
        altered = Altered(path)

        def fork(rows: list[dict[str, Any]], place: int = place) -> None:
            rows[place]["note"] = signer.sign(rows[place]["tree_size"], sha256(b"other").digest())

        altered.objects("checkpoints.jsonl", fork)
        altered.sign_again(signer)
        found = failed_steps(altered.pack(tmp_path / "forked.zip"), key)
        assert expected <= found, found
        altered.objects("checkpoints.jsonl", lambda rows: rows[1].update(note="unsigned\n"))
        altered.sign_again(signer)
        assert "checkpoints" in failed_steps(altered.pack(tmp_path / "forked.zip"), key)


def test_a_damaged_zip_is_refused(week: tuple[Settings, str, Path], tmp_path: Path) -> None:
    _, key, path = week
    cut = tmp_path / "cut.zip"
    cut.write_bytes(path.read_bytes()[:-200])
    assert failed_steps(cut, key) == {"container"}
    twice = tmp_path / "twice.zip"
    twice.write_bytes(path.read_bytes())
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(twice, "a") as packed,
    ):
        packed.writestr("README.md", b"other")
    assert failed_steps(twice, key) == {"container"}
    packed_otherwise = tmp_path / "bz2.zip"
    with zipfile.ZipFile(packed_otherwise, "w", zipfile.ZIP_BZIP2) as packed:
        packed.writestr("manifest.json", b"{}")
    assert failed_steps(packed_otherwise, key) == {"container"}
    damaged = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as opened:
        begin = opened.getinfo("headers.jsonl").header_offset
    damaged[begin + 60 : begin + 90] = bytes(30)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    assert "files" in failed_steps(tmp_path / "damaged.zip", key)


def test_a_folder_may_hold_nothing_else(week: tuple[Settings, str, Path], tmp_path: Path) -> None:
    _, key, path = week
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder)
    assert failed_steps(folder, key) == set()
    (folder / "more.txt").write_text("x")
    assert failed_steps(folder, key) == {"container"}
    (folder / "more.txt").unlink()
    (folder / "verify.py").unlink()
    (folder / "verify.py").symlink_to("/etc/hostname")
    assert failed_steps(folder, key) == {"container"}
