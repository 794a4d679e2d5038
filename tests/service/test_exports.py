"""Evidence over HTTP: asked for, watched, fetched, by role; one at a time and bounded."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from audit.errors import StoreUnavailableError
from audit.records import Idempotency, hash_idempotency_key
from reports.evidence import EvidenceRequest
from service.api import export_schemas as schemas
from service.auth import Role
from service.errors import ExportInterruptedError, OverloadedError
from service.logs import open_log
from service.settings import Settings
from service.usecases.erase import erase_subject
from service.usecases.export_jobs import ExportJobs, running_exports
from service.usecases.lines import Ask, Line
from service.usecases.split import decide_any
from service.wiring import Platform, open_platform
from tests.conftest import publish_small_model
from tests.models import examples
from tests.reports.bundles import Altered, failed_steps
from tests.service.conftest import Headers

PATH = "/v1/exports"
USED = Idempotency("auditor", "POST /v1/exports", "once", bytes(32))


@pytest.fixture
def decided(client: TestClient, headers: Headers) -> None:
    for number in range(3):
        order = examples.order(order_id=f"ORD-771{number}")
        given = headers(Content_Type="application/json")
        answer = client.post("/v1/decisions/parcel", content=order, headers=given)
        assert answer.status_code == 200


def wait(client: TestClient, headers: Headers, state: dict[str, Any]) -> dict[str, Any]:
    for _ in range(600):
        told: dict[str, Any] = client.get(
            f"{PATH}/{state['export_id']}", headers=headers(Role.AUDITOR)
        ).json()
        schemas.Export.model_validate(told)
        if told["status"] in {"done", "failed"}:
            return told
        time.sleep(0.05)
    raise AssertionError(told)


@pytest.mark.usefixtures("decided")
def test_an_auditor_exports_and_fetches(
    client: TestClient, headers: Headers, tmp_path: Path, served: Platform
) -> None:
    """202 with a place to ask; then a file that verifies, and its entry in the log."""
    form = {"from": "2020-01-01T00:00:00Z", "kind": "parcel", "orders": ["ORD-7711", "ORD-7718"]}
    auditor = headers(Role.AUDITOR)
    answer = client.post(PATH, json=form, headers=auditor)
    assert (answer.status_code, answer.headers["location"]) == (
        202,
        f"{PATH}/{answer.json()['export_id']}",
    )
    done = wait(client, headers, answer.json())
    assert (done["status"], done["result"]["decisions"]) == ("done", 3)
    assert done["result"]["orders"] == {"supplied": 2, "found": 1}
    file = client.get(done["download"], headers=auditor)
    assert file.headers["content-type"] == "application/zip"
    path = tmp_path / "one.zip"
    path.write_bytes(file.content)
    assert failed_steps(path, served.signer.verifier_key) == set()
    assert b"ORD-7711" not in b"".join(Altered(path).files.values())
    with served.store.reading() as reading:
        facts = reading.record(done["result"]["entry_id"]).facts or b""
    assert auditor["Authorization"].encode() not in facts
    assert done["actor"].encode() in facts


@pytest.mark.usefixtures("decided")
def test_personal_parts_need_a_reason(client: TestClient, headers: Headers, tmp_path: Path) -> None:
    auditor = headers(Role.AUDITOR)
    for reason in ("", "  "):
        refused = client.post(PATH, json={"reason": reason}, headers=auditor)
        assert refused.status_code == 422
    answer = client.post(PATH, json={"reason": "court order"}, headers=auditor)
    done = wait(client, headers, answer.json())
    assert done["is_personal"] is True
    path = tmp_path / "one.zip"
    path.write_bytes(client.get(done["download"], headers=auditor).content)
    assert b"ORD-7711" in Altered(path).files["personal.jsonl"]


def test_only_auditors_may(client: TestClient, headers: Headers) -> None:
    for role in set(Role) - {Role.AUDITOR}:
        given = headers(role)
        for answer in (
            client.post(PATH, json={}, headers=given),
            client.get(f"{PATH}/{'0' * 32}", headers=given),
            client.get(f"{PATH}/{'0' * 32}/file", headers=given),
        ):
            assert answer.status_code == 403
    assert client.post(PATH, json={}).status_code == 401


def test_what_is_not_there_is_not_found(client: TestClient, headers: Headers) -> None:
    for name in ("0" * 32, "x", "..%2f..%2fkeys"):
        answer = client.get(f"{PATH}/{name}", headers=headers(Role.AUDITOR))
        assert answer.status_code == 404


def test_what_cannot_be_exported_fails_and_says_why(client: TestClient, headers: Headers) -> None:
    auditor = headers(Role.AUDITOR)
    answer = client.post(PATH, json={"decisions": ["nothing"]}, headers=auditor)
    failed = wait(client, headers, answer.json())
    assert (failed["status"], failed["problem"]["code"]) == ("failed", "evidence-request-invalid")
    assert failed["download"] is None
    fetched = client.get(f"{PATH}/{failed['export_id']}/file", headers=auditor)
    assert (fetched.status_code, fetched.json()["code"]) == (409, "export-unfinished")
    wrong: list[dict[str, Any]] = [{"from": "2026-01-01T00:00"}, {"more": 1}, {"decisions": []}]
    for form in wrong:
        assert client.post(PATH, json=form, headers=auditor).status_code == 422


def test_a_retry_gets_the_same_export(client: TestClient, headers: Headers) -> None:
    auditor = headers(Role.AUDITOR, Idempotency_Key="once")
    first = client.post(PATH, json={"kind": "parcel"}, headers=auditor).json()
    again = client.post(PATH, json={"kind": "parcel"}, headers=auditor)
    assert (again.status_code, again.json()["export_id"]) == (202, first["export_id"])
    other = client.post(PATH, json={"kind": "risk"}, headers=auditor)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
    wait(client, headers, first)


def test_the_queue_is_bounded_and_a_stop_leaves_nothing(platform: Platform) -> None:
    """Full: refused at once. Stopped: what is begun is given up, and its state says so."""
    jobs = ExportJobs(platform, open_log("error"))
    most = platform.settings.export_queue_max
    # The thread is not running yet, so all of them wait.
    states = [jobs.submit(EvidenceRequest(), "a", None)[0] for _ in range(most)]
    assert {state["status"] for state in states} == {"queued"}
    with pytest.raises(OverloadedError, match="wait or run"):
        jobs.submit(EvidenceRequest(), "a", None)
    jobs._closing.set()
    jobs.start()
    jobs.close()
    for state in states:
        told = jobs.read(str(state["export_id"]))
        problem = told["problem"]
        assert isinstance(problem, dict)
        assert (told["status"], problem["code"]) == ("failed", ExportInterruptedError.code)
    with pytest.raises(OverloadedError, match="stopping"):
        jobs.submit(EvidenceRequest(), "a", None)
    assert {path.suffix for path in platform.settings.exports.iterdir()} == {".json", ".lock"}


_WORKING = """
import sys
from pathlib import Path
from reports.evidence import EvidenceRequest
from service.logs import open_log
from service.settings import Settings
from service.usecases.export_jobs import ExportJobs
from service.wiring import open_platform
from tests.service.test_exports import USED

with open_platform(Settings(var=Path(sys.argv[1]), log_level="error")) as platform:
    jobs = ExportJobs(platform, open_log("error"))
    state, _ = jobs.submit(EvidenceRequest(), "a", USED)
    (platform.settings.exports / f".{state['export_id']}.zip.x.part").write_bytes(b"personal")
    print(state["export_id"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def elsewhere(platform: Platform) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Return a job that another process has taken and not begun, and that process."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKING, str(platform.settings.var)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "CANDOR_DATABASE_URL": platform.settings.database_url},
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip(), process
    process.kill()
    process.communicate()


def test_every_replica_tells_a_job_until_its_process_dies(
    platform: Platform, elsewhere: tuple[str, "subprocess.Popen[str]"]
) -> None:
    """In work elsewhere: told as it is, taken once; after a kill: failed, nothing left, again."""
    export_id, process = elsewhere
    jobs = ExportJobs(platform, open_log("error"))
    assert jobs.read(export_id)["status"] == "queued"
    assert jobs.submit(EvidenceRequest(), "a", USED)[1] is False
    left = list(platform.settings.exports.glob(".*.part"))
    assert len(left) == 1
    process.kill()
    process.wait()
    jobs.start()
    jobs.close()
    assert not left[0].exists()
    stored = orjson.loads((platform.settings.exports / f"{export_id}.json").read_bytes())
    assert (stored["status"], stored["problem"]["code"]) == ("failed", "export-interrupted")
    with running_exports(platform, open_log("error")) as again:
        state, is_new = again.submit(EvidenceRequest(), "a", USED)
        assert (state["export_id"], is_new) == (export_id, True)
        while again._active:
            time.sleep(0.01)
        assert again.file(export_id).is_file()
        assert again.submit(EvidenceRequest(), "a", USED)[1] is False


def test_a_job_that_ended_while_it_was_looked_at_is_told_as_it_ended(platform: Platform) -> None:
    jobs = ExportJobs(platform, open_log("error"))
    state, _ = jobs.submit(EvidenceRequest(), "a", None)
    export_id = str(state["export_id"])
    jobs._save({**state, "status": "done"})
    jobs._release(export_id)
    assert jobs._settle(state)["status"] == "done"


def test_a_folder_that_cannot_be_written_refuses_and_does_not_hinder_a_start(
    platform: Platform,
) -> None:
    jobs = ExportJobs(platform, open_log("error"))
    state, _ = jobs.submit(EvidenceRequest(), "a", None)
    jobs._release(str(state["export_id"]))
    # A folder in the place of the file that a state is written to first.
    (platform.settings.exports / f"{state['export_id']}.part").mkdir()
    with running_exports(platform, open_log("error")) as others:
        with pytest.raises(StoreUnavailableError, match="state of the export"):
            others.read(str(state["export_id"]))
        digest = hash_idempotency_key(USED.caller, USED.route, USED.key, platform.sealer)
        (platform.settings.exports / f"{digest.hex()[:32]}.part").mkdir()
        with pytest.raises(StoreUnavailableError, match="state of the export"):
            others.submit(EvidenceRequest(), "a", USED)
        assert others._active == {}
    shutil.rmtree(platform.settings.exports)
    platform.settings.exports.write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match="state of the export"):
        ExportJobs(platform, open_log("error")).submit(EvidenceRequest(), "a", None)


def test_only_the_newest_are_kept(settings: Settings, platform: Platform) -> None:
    few = Settings(var=settings.var, export_keep=2, model_refresh_seconds=0)
    object.__setattr__(platform, "settings", few)
    with running_exports(platform, open_log("error")) as jobs:
        for _ in range(4):
            state, _is_new = jobs.submit(EvidenceRequest(), "a", None)
            while jobs._active:
                time.sleep(0.01)
            assert jobs.file(str(state["export_id"])).is_file()
    assert len(list(settings.exports.glob("*.zip"))) == 2


def test_an_unforeseen_failure_is_told_without_its_text(platform: Platform) -> None:
    """The thread outlives it, and the next export is made."""
    with running_exports(platform, open_log("error")) as jobs:
        wrong: Any = {"reason": None}
        state, _is_new = jobs.submit(EvidenceRequest(from_at=wrong), "a", None)
        while jobs._active:
            time.sleep(0.01)
        told = jobs.read(str(state["export_id"]))
        assert told["problem"]["code"] == "internal-error"  # type: ignore[index,call-overload]  # JSON
        after, _is_new = jobs.submit(EvidenceRequest(), "a", None)
        while jobs._active:
            time.sleep(0.01)
        path = jobs.file(str(after["export_id"]))
        path.unlink()
        with pytest.raises(Exception, match="removed"):
            jobs.file(str(after["export_id"]))


def test_an_erasure_that_falls_into_an_export_leaves_no_file(settings: Settings) -> None:
    """The bundle was made with the part opened, its entry comes after the erasure: it goes."""
    calls = count()
    opened: list[Platform] = []

    def now() -> datetime:
        # Asked when the export is submitted, begun, and recorded: the bundle is made by then.
        if opened and next(calls) == 2:
            [platform] = opened
            erase_subject(platform, "C-1", kind="subject", actor="test", reason="DSR-1")
        return datetime.now(UTC)

    with open_platform(settings, now=now) as platform:
        publish_small_model(platform)
        order = examples.order(order_id="P-1", customer={"customer_id": "C-1"})
        decide_any(platform, Ask("parcel", "test", "test", "en"), Line(order, None))
        with running_exports(platform, open_log("error")) as jobs:
            opened.append(platform)
            state, _ = jobs.submit(EvidenceRequest(reason="court order"), "test", None)
            export_id = str(state["export_id"])
            while (told := jobs.read(export_id))["status"] in {"queued", "running"}:
                time.sleep(0.01)
        problem = told["problem"]
        assert isinstance(problem, dict)
        assert (told["status"], problem["code"]) == ("failed", "export-interrupted")
        assert list(settings.exports.glob("*.zip")) == []
