"""Erased people: nothing of them is found afterwards, in whatever form, wherever it could stand."""

import contextlib
import gzip
import io
import shutil
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from audit.receipt import verify_receipt
from reports.evidence import EvidenceRequest
from service.app import create_app
from service.auth import Role
from service.cli.application import application
from service.settings import Settings
from service.usecases.check_store import verify_everything
from service.usecases.export import export_evidence
from service.usecases.keys import create_key
from service.usecases.replay import replay_sample
from service.wiring import Platform, open_platform
from tests.attacks.canaries import GONE, STAYS, found_in, order, search
from tests.databases import SQLITE, SampleDatabase
from tests.journeys.small_models import publish_built_in

pytestmark = pytest.mark.xdist_group("attacks")
KINDS = ("admission", "risk")


@pytest.fixture
def database(
    request: pytest.FixtureRequest, tmp_path: Path, database_kind: str
) -> Iterator[SampleDatabase]:
    """Return the database that the settings name."""
    server = None if database_kind == SQLITE else request.getfixturevalue("postgres_server")
    (tmp_path / "var").mkdir()
    made = SampleDatabase(tmp_path / "var", server, file="candor.db")
    yield made
    made.close()


class Erasures:
    """A service that people order from, and are erased in."""

    def __init__(self, settings: Settings, database: SampleDatabase, count: int) -> None:
        self.settings, self.database = settings, database
        self.outside = settings.var.parent / "outside"
        self.outside.mkdir()
        self.log = io.StringIO()
        self.marks = [GONE if number % 3 else STAYS for number in range(count * 3 // 2)]
        with open_platform(settings) as platform:
            for kind in KINDS:
                publish_built_in(platform, kind)
            self.keys = {role: create_key(platform, role.value, role, "test")[1] for role in Role}
        self.answers: list[dict[str, Any]] = []
        self.erased: list[dict[str, Any]] = []

    def headers(self, role: Role, **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {self.keys[role]}", **named}

    def order(self, client: TestClient) -> None:
        """Everybody orders; of some more is said later, with free text."""
        for number, mark in enumerate(self.marks):
            for kind in KINDS:
                # A header's value has to be ASCII.
                given = self.headers(Role.OMS, Idempotency_Key=f"{mark[:6]}-{number}-{kind}")
                body = order(kind, number, mark)
                answer = client.post(f"/v1/decisions/{kind}", json=body, headers=given)
                assert answer.status_code == 200, answer.text
                self.answers.append(answer.json())
            if number % 2:
                self._amend(client, self.answers[-1]["decision_id"], f"{mark}-{number}")

    def _amend(self, client: TestClient, decision_id: str, name: str) -> None:
        path = f"/v1/decisions/{decision_id}"
        said = {"outcome": "pass", "reason_code": "CALLED", "comment": f"{name} called"}
        answer = client.post(f"{path}/override", json=said, headers=self.headers(Role.OPERATOR))
        assert answer.status_code == 201, answer.text
        told = {"label": "x", "observed_at": "2026-02-01T00:00:00Z", "details": {name: [name]}}
        answer = client.post(f"{path}/outcome", json=told, headers=self.headers(Role.OMS))
        assert answer.status_code == 201, answer.text

    def refuse(self, client: TestClient) -> None:
        """Malformed orders, unknown paths and searches leave nothing in the log lines either."""
        bad = {**order("admission", 0, GONE), "placed_at": GONE}
        for method, path, body in (
            ("POST", "/v1/decisions/admission", bad),
            ("POST", f"/v1/decisions/{GONE}", bad),
            ("GET", f"/v1/decisions/{GONE}", None),
            ("GET", f"/v1/decisions?order_id={GONE}", None),
        ):
            client.request(method, path, json=body, headers=self.headers(Role.OMS))

    def export(self, client: TestClient, platform: Platform) -> dict[str, Any]:
        """Export over HTTP and by command, opened and closed."""
        form = {"reason": "court order"}
        answer = client.post("/v1/exports", json=form, headers=self.headers(Role.AUDITOR))
        assert answer.status_code == 202, answer.text
        state = answer.json()
        while state["status"] in {"queued", "running"}:
            path = f"/v1/exports/{state['export_id']}"
            state = client.get(path, headers=self.headers(Role.AUDITOR)).json()
        assert state["status"] == "done", state
        for name, reason in (("closed", None), ("opened", "court order")):
            out = self.outside / f"{name}.zip"
            export_evidence(platform, EvidenceRequest(reason=reason), out, actor="test")
        return dict(state)

    def erase(self, client: TestClient) -> None:
        """Erase those who are to be forgotten, by either way."""
        for number, mark in enumerate(self.marks):
            name = f"{mark}-{number}-C"
            if mark != GONE:
                continue
            # The command opens the platform each time.
            if number % 8 != 2:
                answer = client.delete(f"/v1/subjects/{name}", headers=self.headers(Role.ADMIN))
                assert answer.status_code == 200, answer.text
                self.erased.append(answer.json())
            else:
                done = self._erase_by_command(name)
                self.erased.append(done)

    def _erase_by_command(self, name: str) -> dict[str, Any]:
        environment = {"CANDOR_DATABASE_URL": self.settings.database_url}
        arguments = ["erase", "--subject", name, "--json", "--var", str(self.settings.var)]
        done = CliRunner().invoke(application, arguments, env=environment)
        assert done.exit_code == 0, done.output
        said: dict[str, Any] = orjson.loads(done.stdout)
        return said

    def verify(self) -> None:
        """Every proof holds, and what stays can be replayed."""
        report = verify_everything(self.settings)
        assert report.problems == ()
        assert report.erased == sum(sum(one["records"].values()) for one in self.erased)
        with open_platform(self.settings) as platform:
            vkey = platform.signer.verifier_key
            replayed = replay_sample(platform, 10_000, 1, lambda _done, _total: None)
        assert replayed["replayed"] == replayed["identical"] == len(self.answers)
        for answer in self.answers:
            receipt = answer["receipt"]
            verify_receipt(receipt["proof"], b64decode(receipt["leaf"]), vkey)


def forget(settings: Settings, database: SampleDatabase, count: int) -> Erasures:
    """Erase `count` people of a service and search for them everywhere."""
    made = Erasures(settings, database, count)
    with contextlib.redirect_stderr(made.log), TestClient(create_app(settings)) as client:
        platform: Platform = client.app.state.platform  # type: ignore[attr-defined]  # typed as ASGI
        # 1. They order, and are exported; but for the opened exports nothing shows them.
        made.order(client)
        made.refuse(client)
        exported = made.export(client, platform)
        own = f"{exported['export_id']}.zip"
        assert set(search(settings.var)) == {own}
        assert set(search(made.outside)) == {"opened.zip"}
        platform.store.fold()
        keep_backup(made)
        # 2. They are erased; each erasure names both opened exports, and ours is gone.
        made.erase(client)
        opened = {one["bundle_sha256"]: one["removed"] for one in made.erased[-1]["exports"]}
        assert len(opened) == 2
        assert opened[exported["result"]["sha256"]]
        path = f"/v1/exports/{exported['export_id']}/file"
        assert client.get(path, headers=made.headers(Role.AUDITOR)).status_code == 404
        (made.outside / "opened.zip").unlink()
        # 3. Nothing is left while the service runs, nor in what is exported now.
        request = EvidenceRequest(reason="court order")
        export_evidence(platform, request, made.outside / "after.zip", actor="test")
        gone = made.answers[-2 if made.marks[-1] == GONE else 0]["decision_id"]
        replay = client.post(
            f"/v1/decisions/{gone}/replay", headers=made.headers(Role.AUDITOR)
        ).json()
        assert (replay["match"], "order is gone" in replay["note"]) == (True, True)
        assert search(settings.var, made.outside) == {}
    # 4. Nor after it stopped, nor in what it told on the way.
    assert search(settings.var, made.outside) == {}
    assert '"route"' in made.log.getvalue()
    assert found_in(made.log.getvalue().encode()) == set()
    made.verify()
    return made


def keep_backup(made: Erasures) -> None:
    backup = made.settings.var.parent / "backup"
    shutil.copytree(made.settings.var / "checkpoints", backup / "checkpoints")
    if made.database.server is None:
        shutil.copy(made.database.path, backup)


def restore(made: Erasures) -> None:
    """Put the database of before the erasures back."""
    backup = made.settings.var.parent / "backup"
    for path in made.settings.var.glob("candor.db*"):
        path.unlink()
    shutil.copy(backup / "candor.db", made.settings.var)
    shutil.copytree(backup / "checkpoints", made.settings.var / "checkpoints", dirs_exist_ok=True)


def settings_of(database: SampleDatabase, tmp_path: Path) -> Settings:
    set_up = Settings(var=tmp_path / "var", model_refresh_seconds=0, log_level="debug")
    if database.server is None:
        return set_up
    return set_up.model_copy(update={"database_url": database.url})


def hashes_of(made: Erasures) -> list[bytes]:
    """Return the keyed hashes of everybody erased."""
    with open_platform(made.settings) as platform:
        return [
            platform.sealer.keyed_hash(domain, f"{mark}-{number}-{end}")
            for number, mark in enumerate(made.marks)
            if mark == GONE
            for domain, end in (("subject", "C"), ("order", "risk"), ("order", "admission"))
        ]


def forget_and_restore(database: SampleDatabase, tmp_path: Path, count: int) -> None:
    made = forget(settings_of(database, tmp_path), database, count)
    restore(made)
    made.verify()
    assert search(made.settings.var) == {}
    files = b"".join(path.read_bytes() for path in made.settings.var.glob("candor.db*"))
    assert not any(one in files for one in hashes_of(made))


def test_nothing_is_left_of_the_erased(database: SampleDatabase, tmp_path: Path) -> None:
    """Not of six, in any file, log line, later export, or backup that was put back."""
    forget_and_restore(database, tmp_path, 6)


@pytest.mark.trial
def test_nothing_is_left_of_three_hundred(database: SampleDatabase, tmp_path: Path) -> None:
    """Not of three hundred."""
    forget_and_restore(database, tmp_path, 300)


def forget_on_server(database: SampleDatabase, tmp_path: Path, count: int) -> None:
    """On PostgreSQL: nothing readable anywhere; keyed hashes go with VACUUM FULL."""
    made = forget(settings_of(database, tmp_path), database, count)
    server = database.server
    assert server is not None
    with server.admin(database.name) as connection:
        # As docs/databases.md says: ANALYZE keeps samples of values in the statistics.
        connection.execute("VACUUM FULL entry_lookup, idempotency")
        connection.execute("ANALYZE entry_lookup, idempotency")
        connection.execute("VACUUM FULL pg_catalog.pg_statistic")
        connection.execute("CHECKPOINT")
        connection.execute("SELECT pg_switch_wal()")
    assert search(server.data, server.folder / "log") == {}
    tables = [path for path in (server.data / "base").rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in tables)
    assert not any(one in content for one in hashes_of(made))


@pytest.mark.trial
@pytest.mark.both_databases
def test_nothing_is_left_on_the_server(database: SampleDatabase, tmp_path: Path) -> None:
    """The data directory with its write-ahead log, of six people."""
    if database.server is not None:
        forget_on_server(database, tmp_path, 6)


def test_the_search_opens_every_container(tmp_path: Path) -> None:
    """Without it an empty result would say nothing."""
    text = orjson.dumps(order("risk", 1, GONE))
    for content in (
        *(text, text.hex().encode(), gzip.compress(text), zlib.compress(text)),
        *(b64encode(bytes(skip) + text) for skip in range(3)),
        *(GONE.encode("utf-16-le"), GONE.encode("utf-16-be"), GONE.lower().encode()),
        orjson.dumps(GONE).decode().encode("ascii", "backslashreplace"),
        pa.Codec("zstd").compress(text, asbytes=True),
    ):
        assert found_in(b"\x00" + content if content[:1] == b"{" else content), content[:40]
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("b", gzip.compress(text))
    pq.write_table(pa.table({"facts": [text]}), tmp_path / "c.parquet", compression="zstd")
    assert set(search(tmp_path)) == {"a.zip", "c.parquet"}
    assert found_in(orjson.dumps(order("risk", 1, STAYS))) == set()
