"""A version comes into force by its entry, over HTTP and by command, unless it would do harm."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from audit.errors import IdempotencyConflictError, StoreUnavailableError
from audit.records import EntryType
from models.errors import ReferenceTableError
from service.api import reference_schemas as schemas
from service.auth import Role
from service.cli.application import application
from service.errors import ReferenceRefusedError
from service.reference_versions import Origin
from service.settings import Settings
from service.usecases.records import build_idempotency
from service.usecases.references import list_references, load_version, read_table_file
from service.wiring import Platform, open_platform
from tests.service.conftest import Headers, unfit
from tests.service.listed import destinations, publish_listed, table, write

PATH = "/v1/references"
NAME = "sanctioned_destinations"


def tree_size(platform: Platform) -> int:
    with platform.store.reading() as reading:
        return reading.tree_size()


def load(platform: Platform, *countries: str, **changes: object) -> bool:
    made = table(*countries, **changes)
    return load_version(platform, made, actor="test", origin=Origin.FILE).is_new


def test_each_version_is_an_entry_that_names_it(platform: Platform) -> None:
    assert load(platform, "SG")
    with platform.store.reading() as reading:
        [record] = reading.latest(EntryType.REFERENCE)
    facts = orjson.loads(record.facts or b"")
    assert len(facts.pop("nonce")) == 44
    assert facts == {
        "version": 1,
        "name": NAME,
        "digest": table("SG").reference().digest,
        "as_of": "2026-02-01T00:00:00.000000Z",
        "source": "test",
        "staleness_days": 30.0,
        "rows": 1,
        "bootstrap": False,
        "actor": "test",
        "origin": "file",
    }
    assert platform.references.table(facts["digest"]) == table("SG")


def test_the_same_version_again_changes_nothing(platform: Platform) -> None:
    assert load(platform, "SG")
    size = tree_size(platform)
    assert not load(platform, "SG")
    assert tree_size(platform) == size
    assert load(platform, "US")
    assert load(platform, "SG")
    assert tree_size(platform) == size + 2


def test_an_older_version_must_be_forced(platform: Platform) -> None:
    load(platform, "SG")
    with pytest.raises(ReferenceRefusedError, match="older than the version in force") as refused:
        load(platform, "US", as_of="2026-01-31T23:59:59Z")
    assert "--force" in refused.value.remedy
    older = table("US", as_of="2026-01-31T23:59:59Z")
    forced = load_version(platform, older, actor="test", origin=Origin.FILE, is_forced=True)
    assert forced.is_new
    assert platform.references.version(NAME) == forced.loaded


def test_a_version_of_the_future_is_refused(platform: Platform) -> None:
    """It would never be stale, and no later version could follow it."""
    ahead = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    made = table("SG", as_of=ahead)
    for is_forced in (False, True):
        with pytest.raises(ReferenceRefusedError, match="yet to come"):
            load_version(platform, made, actor="t", origin=Origin.FILE, is_forced=is_forced)


def test_a_list_that_a_live_kind_cannot_read_never_comes_into_force(platform: Platform) -> None:
    kind = publish_listed(platform)
    size = tree_size(platform)
    with pytest.raises(ReferenceRefusedError, match="kind listed could not use it"):
        load(platform, columns=["nation"], rows=[{"id": "1", "values": {"nation": "SG"}}])
    assert tree_size(platform) == size
    assert platform.references.lookups(kind).find({"country": "XX"}).context["destination_matched"]


def test_a_kind_whose_model_is_damaged_does_not_hold_up_a_list(platform: Platform) -> None:
    publish_listed(platform)
    shutil.rmtree(platform.settings.bundles)
    platform.shelf._models.clear()
    assert load(platform, "SG")


def test_a_disk_that_takes_no_list_leaves_the_one_before_in_force(platform: Platform) -> None:
    load(platform, "SG")
    before = platform.references.in_force()
    folder = platform.settings.references
    folder.rename(folder.with_name("away"))
    folder.write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreUnavailableError, match="could not be written"):
        load(platform, "US")
    assert platform.references.in_force() == before


def test_staleness_and_who_asks_are_told(platform: Platform) -> None:
    publish_listed(platform)
    load(platform, "SG")
    load(platform, name="unasked", as_of=datetime.now(UTC).isoformat())
    listed = schemas.ReferenceList.model_validate(list_references(platform)).references
    told = {one.name: (one.is_stale, one.kinds, one.bootstrap) for one in listed}
    assert told == {
        NAME: (True, ["listed"], False),
        "sanctioned_parties": (False, ["listed"], True),
        "unasked": (False, [], False),
    }


def test_a_retry_gets_the_first_entry(platform: Platform) -> None:
    used = build_idempotency("k", "r", "1", b"body")

    def again(*countries: str) -> dict[str, object]:
        made = table(*countries)
        loading = load_version(platform, made, actor="k", origin=Origin.HTTP, idempotency=used)
        return {**loading.describe()}

    first = again("SG")
    load(platform, "US")
    assert again("SG") == first
    other = build_idempotency("k", "r", "1", b"another body")
    with pytest.raises(IdempotencyConflictError):
        load_version(platform, table(), actor="k", origin=Origin.HTTP, idempotency=other)


def test_a_file_is_bounded(platform: Platform, tmp_path: Path) -> None:
    path = write(tmp_path, destinations("SG"))
    assert read_table_file(platform, path) == table("SG")
    small = platform.settings.model_copy(update={"reference_max_bytes": 10})
    with (
        open_platform(small) as bounded,
        pytest.raises(ReferenceTableError, match="larger than 10 bytes"),
    ):
        read_table_file(bounded, path)


def test_over_http_an_admin_loads_and_others_read(client: TestClient, headers: Headers) -> None:
    admin = headers(Role.ADMIN)
    assert client.get(PATH, headers=admin).json() == {"references": []}
    first = client.post(PATH, json=destinations("SG"), headers=admin)
    loaded = schemas.ReferenceLoading.model_validate(first.json())
    assert (first.status_code, loaded.recorded, loaded.origin, loaded.rows) == (
        201,
        True,
        "http",
        1,
    )
    again = client.post(PATH, json=destinations("SG"), headers=admin)
    assert again.status_code == 200
    assert again.json() == {**first.json(), "recorded": False}
    auditor = headers(Role.AUDITOR)
    [listed] = client.get(PATH, headers=auditor).json()["references"]
    assert listed["digest"] == loaded.digest
    answer = client.get(f"{PATH}/{NAME}", headers=auditor)
    read = schemas.ReferenceRead.model_validate(answer.json())
    assert (read.in_force, read.is_stale, len(read.versions)) == (True, True, 1)
    # What is shown can be posted as it is, and is the same version.
    back = client.post(PATH, json=answer.json()["table"], headers=admin)
    assert (back.status_code, back.json()["digest"]) == (200, loaded.digest)


def test_over_http_an_older_version_is_forced(client: TestClient, headers: Headers) -> None:
    admin = headers(Role.ADMIN)
    client.post(PATH, json=destinations("SG"), headers=admin)
    older = destinations("US", as_of="2026-01-01T00:00:00Z")
    refused = client.post(PATH, json=older, headers=admin)
    assert (refused.status_code, refused.json()["code"]) == (409, "reference-refused")
    forced = client.post(f"{PATH}?force=true", json=older, headers=admin)
    assert forced.status_code == 201
    old = client.get(f"{PATH}/{NAME}", headers=admin).json()
    assert old["table"]["rows"][0]["id"] == "D-US"
    versions = [one["digest"] for one in old["versions"]]
    newer = client.get(f"{PATH}/{NAME}?digest={versions[1]}", headers=admin).json()
    assert (newer["in_force"], newer["table"]["rows"][0]["id"]) == (False, "D-SG")


def test_without_a_table_that_a_live_kind_asks_the_service_is_not_ready(
    client: TestClient, served: Platform
) -> None:
    publish_listed(served)
    assert client.get("/health/ready").status_code == 200
    shutil.rmtree(served.settings.references)
    served.references._lookups.clear()
    assert client.get("/health/ready").status_code == 503
    assert unfit(client) == ["model"]


@pytest.mark.parametrize(
    ("role", "method", "path", "body", "status", "code"),
    [
        (Role.OMS, "GET", PATH, b"", 403, "permission-denied"),
        (Role.AUDITOR, "POST", PATH, b"{}", 403, "permission-denied"),
        (Role.ADMIN, "GET", f"{PATH}/nothing", b"", 404, "reference-not-found"),
        (Role.ADMIN, "GET", f"{PATH}/x?digest=sha256:../keys", b"", 404, "reference-not-found"),
        (Role.ADMIN, "POST", PATH, b"{", 400, "malformed-json"),
        (Role.ADMIN, "POST", PATH, b"{}", 422, "request-invalid"),
        (Role.ADMIN, "POST", f"{PATH}?force=yes", b"{}", 422, "request-invalid"),
        (Role.ADMIN, "POST", PATH, b'"' + b"x" * 17_000_000 + b'"', 413, "body-too-large"),
        (
            Role.ADMIN,
            "POST",
            PATH,
            orjson.dumps(destinations(as_of="9999-12-31T23:59:59-23:59")),
            422,
            "request-invalid",
        ),
    ],
)
def test_what_cannot_be_done_over_http(
    *,
    client: TestClient,
    headers: Headers,
    role: Role,
    method: str,
    path: str,
    body: bytes,
    status: int,
    code: str,
) -> None:
    answer = client.request(method, path, content=body, headers=headers(role))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def run(settings: Settings, *arguments: str) -> Result:
    given = ["reference", *arguments, "--var", str(settings.var)]
    return CliRunner().invoke(application, given)


def test_by_command_a_version_is_loaded_listed_and_shown(
    settings: Settings, tmp_path: Path
) -> None:
    for command in (["list"], ["show", NAME]):
        assert "there is no store" in run(settings, *command).stderr
    path = str(write(tmp_path, destinations("SG")))
    loaded = run(settings, "load", path, "--json")
    answer = orjson.loads(loaded.stdout)
    assert (loaded.exit_code, answer["recorded"], answer["origin"]) == (0, True, "file")
    assert "was in force already: entry " in run(settings, "load", path).stdout
    older = str(write(tmp_path, destinations("US", as_of="2026-01-01T00:00:00Z")))
    refused = run(settings, "load", older)
    assert (refused.exit_code, "reference-refused" in refused.stderr) == (1, True)
    assert run(settings, "load", older, "--force").stdout.count("in force: entry ") == 1
    [listed] = orjson.loads(run(settings, "list", "--json").stdout)["references"]
    assert listed["rows"] == 1
    assert run(settings, "list").stdout.endswith(f"{listed['digest']}  stale\n")
    shown = run(settings, "show", NAME).stdout
    assert "  D-US   to   country US\n" in shown
    assert shown.count(NAME) == 3
    first = orjson.loads(run(settings, "show", NAME, "--digest", answer["digest"], "--json").stdout)
    assert (first["in_force"], first["table"]["rows"][0]["id"]) == (False, "D-SG")


def test_by_command_what_is_no_table_is_refused(settings: Settings, tmp_path: Path) -> None:
    path = str(write(tmp_path, {"name": "x"}))
    done = run(settings, "load", path)
    assert (done.exit_code, "reference-invalid" in done.stderr) == (1, True)
    assert run(settings, "load", "no such file").exit_code == 2
    assert run(settings, "show", NAME).exit_code == 1
