"""Rotation and recovery as an operator does them, and what the service says meanwhile."""

import shutil
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr, ValidationError
from starlette.testclient import TestClient
from typer.testing import CliRunner

from audit.checkpoint import verify_checkpoint
from audit.errors import CheckpointLostError, StoreUnavailableError
from service.app import create_app
from service.auth import Role
from service.cli.application import application
from service.errors import KeyFileError
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.log_keys import read_ranges, rotate_key
from service.wiring import Platform, open_platform
from tests.audit.witness import Witness
from tests.conftest import publish_small_model
from tests.models import examples
from tests.service.conftest import Headers


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(application, [*arguments])
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture
def rolled_back(settings: Settings, tmp_path: Path) -> Settings:
    """Make a store whose database was put back to an earlier copy."""
    with open_platform(settings) as platform:
        publish_small_model(platform)
    shutil.copy(settings.var / "candor.db", tmp_path / "copy.db")
    with open_platform(settings) as platform:
        publish_small_model(platform, "2")
    for left in settings.var.glob("candor.db*"):
        left.unlink()
    shutil.copy(tmp_path / "copy.db", settings.var / "candor.db")
    return settings


def test_a_running_service_signs_with_the_rotated_key(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    """Another process rotates; the next decision is under the new key, the old stay valid."""
    old = client.get("/v1/log/key").text.strip()
    before = client.get("/v1/log/checkpoint").text
    answer = orjson.loads(run("log", "rotate-key", "--json", "--var", str(served.settings.var)))
    new = client.get("/v1/log/key").text.strip()
    assert new == answer["verifier_key"] != old
    reply = client.post("/v1/decisions/parcel", content=examples.order(), headers=headers())
    assert reply.status_code == 200
    head = verify_checkpoint(client.get("/v1/log/checkpoint").text, new)
    size = answer["leaf_index"] + 1
    assert head.tree_size == size + 1
    assert verify_checkpoint(before, old).tree_size < size
    keys = f"{old} 0 {size}\n{new} {size + 1} -\n"
    assert client.get("/v1/log/keys").text == keys
    assert run("log", "keys", "--var", str(served.settings.var)) == keys
    listed = orjson.loads(run("log", "keys", "--json", "--var", str(served.settings.var)))
    assert [one["verifier_key"] for one in listed["keys"]] == [old, new]
    for key in (old, new):
        run("verify", "--key", key, "--var", str(served.settings.var))
    assert "names the new key" in run("log", "rotate-key", "--var", str(served.settings.var))


def test_a_rotated_log_opens_again(settings: Settings) -> None:
    with open_platform(settings) as platform:
        publish_small_model(platform)
        first = platform.signer.verifier_key
        _, vkey = rotate_key(platform, "test")
        publish_small_model(platform, "2")
    with open_platform(settings) as platform:
        assert platform.signer.verifier_key == vkey
        assert [one.vkey for one in read_ranges(platform)] == [first, vkey]
    [path] = settings.keys.glob("log-signing-*.key")
    path.unlink()
    with open_platform(settings) as platform, pytest.raises(KeyFileError, match="missing"):
        publish_small_model(platform, "3")


@pytest.mark.sqlite("its file is copied back")
def test_a_rolled_back_service_is_unready_and_says_why(rolled_back: Settings) -> None:
    with TestClient(create_app(rolled_back)) as client:
        ready = client.get("/health/ready")
        assert ready.status_code == 503
        [store] = [check for check in ready.json()["checks"] if check["name"] == "store"]
        assert "holds 1 entries, but 2 were signed" in store["detail"]
        assert "candor recover" in store["detail"]
        assert client.get("/v1/log/key").status_code == 200
        assert client.get("/v1/log/checkpoint").status_code == 200
    problems = orjson.loads(run("verify", "--json", "--var", str(rolled_back.var), code=1))[
        "problems"
    ]
    assert [problem["code"] for problem in problems] == ["log-rolled-back"]


@pytest.mark.sqlite("its file is copied back")
def test_an_operator_recovers_it(rolled_back: Settings) -> None:
    var = str(rolled_back.var)
    with open_platform(rolled_back) as platform:
        old = platform.signer.verifier_key
    run("recover", "--var", var, code=2)
    answer = orjson.loads(run("recover", "--confirm", "--json", "--var", var))
    assert (answer["found_size"], answer["signed_size"]) == (1, 2)
    run("recover", "--confirm", "--var", var, code=1)
    with TestClient(create_app(rolled_back)) as client:
        assert client.get("/health/ready").status_code == 200
        keys = client.get("/v1/log/keys").text
        assert keys == f"{old} 0 2\n{answer['verifier_key']} 2 -\n"
    run("verify", "--key", answer["verifier_key"], "--var", var)
    run("verify", "--key", old, "--var", var, code=1)
    with open_platform(rolled_back) as platform:
        publish_small_model(platform, "3")


@pytest.mark.sqlite("its file is removed")
def test_a_database_that_is_gone_is_not_a_new_log(settings: Settings) -> None:
    with open_platform(settings) as platform:
        publish_small_model(platform)
    for left in settings.var.glob("candor.db*"):
        left.unlink()
    (settings.keys / "lookup.key").unlink()
    with pytest.raises(KeyFileError), open_platform(settings):
        pass
    said = run("recover", "--confirm", "--var", str(settings.var))
    assert "0 entries are left of 1 that were signed" in said
    run("verify", "--var", str(settings.var))


def test_the_checkpoint_is_kept_on_another_disk(settings: Settings, tmp_path: Path) -> None:
    with open_platform(settings) as platform:
        publish_small_model(platform)
    apart = settings.model_copy(update={"checkpoint_file": tmp_path / "disk" / "latest"})
    with open_platform(apart) as platform, pytest.raises(CheckpointLostError):
        publish_small_model(platform, "2")
    (tmp_path / "disk").mkdir()
    shutil.copy(settings.kept_checkpoint, apart.kept_checkpoint)
    with open_platform(apart) as platform:
        publish_small_model(platform, "2")
    assert apart.kept_checkpoint.read_bytes() != settings.kept_checkpoint.read_bytes()


def test_a_key_from_the_environment_is_found(settings: Settings) -> None:
    with open_platform(settings) as platform:
        publish_small_model(platform)
        rotate_key(platform, "test")
    [path] = settings.keys.glob("log-signing-*.key")
    secret = path.read_text(encoding="ascii").strip()
    path.unlink()
    with_secret = Settings(var=settings.var, log_signing_key=SecretStr(secret), log_level="error")
    with open_platform(with_secret) as platform:
        publish_small_model(platform, "2")


def test_a_key_that_cannot_be_stored_changes_nothing(settings: Settings) -> None:
    with open_platform(settings) as platform:
        publish_small_model(platform)
        vkey = platform.signer.verifier_key
        shutil.rmtree(settings.keys)
        settings.keys.write_text("in the way")
        with pytest.raises(StoreUnavailableError, match="cannot be written"):
            rotate_key(platform, "test")
        assert platform.signer.verifier_key == vkey


def test_a_witness_cosigns_over_http(settings: Settings) -> None:
    """What a configured witness sends is checked, kept, and served with checkpoint and receipt."""
    witness = Witness("witness.example/w1", 31)
    known = settings.model_copy(update={"witnesses": (witness.vkey,)})
    with open_platform(known) as platform:
        publish_small_model(platform)
        key = create_key(platform, "a", Role.OMS, "test")[1]
    with TestClient(create_app(known)) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        decision = client.post("/v1/decisions/parcel", content=examples.order()).json()
        proof = f"/v1/decisions/{decision['decision_id']}/proof"
        assert client.get("/v1/log/checkpoint?cosigned=true").status_code == 404
        assert client.get(f"{proof}?cosigned=true").status_code == 404
        note = client.get("/v1/log/checkpoint").text
        text = {"Content-Type": "text/plain; charset=utf-8"}
        sent = note + witness.line(note)
        answer = client.post("/v1/log/cosignatures", content=sent.encode(), headers=text)
        assert (answer.status_code, answer.text) == (200, witness.line(note))
        for query in ("", "?cosigned=true"):
            assert client.get(f"/v1/log/checkpoint{query}").text == sent
        assert client.get(f"{proof}?cosigned=true").text.endswith(sent)
        for wrong in (note.encode(), b"\xff", sent.replace("\n3\n", "\n4\n").encode()):
            refused = client.post("/v1/log/cosignatures", content=wrong, headers=text)
            assert (refused.status_code, refused.json()["code"]) == (422, "cosignature-invalid")


def test_a_witness_has_to_be_one() -> None:
    for wrong in ('["no key"]', "{", '["candor.local/log+00000000+AQ=="]'):
        with pytest.raises(ValidationError):
            Settings.model_validate({"witnesses": wrong})
    vkey = Witness("witness.example/w1", 31).vkey
    given = {"witnesses": orjson.dumps([vkey]).decode()}
    assert Settings.model_validate(given).witnesses == (vkey,)
