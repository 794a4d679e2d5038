"""A key service's hook: wraps on disk, unwraps into memory, and when it fails nothing is sealed."""

import base64
import time
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr, ValidationError
from starlette.testclient import TestClient

from audit.errors import KeyUnavailableError
from service.app import create_app
from service.auth import Role
from service.errors import KeyFileError
from service.keyfiles import load_key_encryption, rotate_key_encryption
from service.kms import MOST_ANSWER_BYTES, KeyService
from service.settings import Settings
from service.usecases.keys import create_key
from service.wiring import Platform, open_platform
from tests.conftest import publish_small_model
from tests.key_service import SampleKeyService
from tests.models import examples

PATH = "/v1/decisions/parcel"


@pytest.fixture
def program(tmp_path: Path) -> SampleKeyService:
    return SampleKeyService(tmp_path / "kms")


@pytest.fixture
def guarded(settings: Settings, program: SampleKeyService) -> Settings:
    return settings.model_copy(update={"kms_command": program.command})


def test_what_it_wraps_it_unwraps_by_name(program: SampleKeyService) -> None:
    service = KeyService(program.command, 30)
    wrapped = service.wrap("key-encryption", bytes(range(32)))
    assert bytes(range(32)) not in wrapped
    assert service.unwrap("key-encryption", wrapped) == bytes(range(32))
    with pytest.raises(KeyUnavailableError, match="refused to unwrap key-encryption-2"):
        service.unwrap("key-encryption-2", wrapped)
    assert program.calls()[0] == "wrap key-encryption"


@pytest.mark.parametrize(
    ("mode", "seconds", "said"),
    [
        ("refuse", 30, r"refused to wrap x \(status 7\)"),
        ("hang", 0.5, "did not answer in 0.5 seconds"),
        ("chatter", 30, "too long"),
        ("nonsense", 30, "not base64"),
    ],
)
def test_whatever_it_does_wrong_is_named(
    program: SampleKeyService, mode: str, seconds: float, said: str
) -> None:
    """A program that refuses, hangs with a child, never ends or says something else."""
    program.say(mode)
    with pytest.raises(KeyUnavailableError, match=said):
        KeyService(program.command, seconds).wrap("x", bytes(32))
    assert MOST_ANSWER_BYTES < 100_000


def test_a_program_that_is_not_there_or_reads_nothing_is_named() -> None:
    with pytest.raises(KeyUnavailableError, match="cannot be run"):
        KeyService(("/nowhere/kms",), 5).wrap("x", bytes(32))
    with pytest.raises(KeyUnavailableError, match="status 1"):
        KeyService(("/bin/false",), 5).wrap("x", bytes(100_000))


def test_the_key_lies_wrapped_and_is_unwrapped_once(
    guarded: Settings, program: SampleKeyService
) -> None:
    with open_platform(guarded) as platform:
        publish_small_model(platform)
        create_key(platform, "somebody", Role.OMS, "test")
        asked = len(program.calls())
        create_key(platform, "somebody else", Role.OMS, "test")
        assert len(program.calls()) == asked
    assert [path.name for path in guarded.keys.glob("key-encryption*")] == [
        "key-encryption.wrapped"
    ]
    key = load_key_encryption(guarded, may_create=False)[1]
    for path in guarded.var.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert key not in content
            assert base64.b64encode(key) not in content


def test_a_wrapped_key_needs_its_service(guarded: Settings, program: SampleKeyService) -> None:
    with open_platform(guarded) as platform:
        publish_small_model(platform)
    without = guarded.model_copy(update={"kms_command": ()})
    with pytest.raises(KeyFileError, match=r"key-encryption\.wrapped") as told:
        load_key_encryption(without, may_create=False)
    assert "CANDOR_KMS_COMMAND" in told.value.remedy
    program.say("refuse")
    with pytest.raises(KeyUnavailableError), open_platform(guarded):
        pass
    (guarded.keys / "key-encryption.wrapped").unlink()
    with pytest.raises(KeyFileError, match="missing"):
        load_key_encryption(guarded, may_create=False)


@pytest.mark.parametrize("was_given", [True, False])
def test_a_rotation_moves_to_the_service(
    settings: Settings,
    program: SampleKeyService,
    was_given: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """From a file or from the environment; afterwards the former key is needed no more."""
    if was_given:
        secret = SecretStr(base64.b64encode(bytes(32)).decode())
        settings = settings.model_copy(update={"key_encryption_key": secret})
    with open_platform(settings) as platform:
        create_key(platform, "before", Role.OMS, "test")
    moving = settings.model_copy(update={"kms_command": program.command})
    with open_platform(moving) as platform:
        assert rotate_key_encryption(moving, platform.subject_keys) == (2, 1)
    names = [path.name for path in moving.keys.glob("key-encryption*")]
    assert names == ["key-encryption-2.wrapped"]
    moved = moving.model_copy(update={"key_encryption_key": None})
    with open_platform(moved) as platform:
        assert platform.subject_keys.verify_usable() == 2
        assert rotate_key_encryption(moved, platform.subject_keys) == (3, 1)


def test_a_key_that_is_refused_stops_sealing_until_it_is_back(
    guarded: Settings, program: SampleKeyService
) -> None:
    """After the lease: 503 with the reason, unready; then all goes on without anybody's help."""
    short = guarded.model_copy(update={"kms_lease_seconds": 0.01})
    with open_platform(short) as platform:
        publish_small_model(platform)
        key = create_key(platform, "oms", Role.OMS, "test")[1]
    given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with TestClient(create_app(short), raise_server_exceptions=False) as client:
        platform = client.app.state.platform  # type: ignore[attr-defined]  # typed as ASGI
        assert client.post(PATH, content=examples.order(), headers=given).status_code == 200
        program.say("refuse")
        before = tree_size(platform)
        for order in (examples.order(), examples.order(order_id="P-2")):
            answer = client.post(PATH, content=order, headers=given)
            assert (answer.status_code, answer.json()["code"]) == (503, "key-unavailable")
            assert answer.headers["Retry-After"]
        batch = examples.order() + b"\n" + examples.order(order_id="P-3")
        ndjson = {**given, "Content-Type": "application/x-ndjson"}
        lines = client.post(f"{PATH}/batch", content=batch, headers=ndjson).text.splitlines()
        assert [orjson.loads(line)["code"] for line in lines] == ["key-unavailable"] * 2
        ready = client.get("/health/ready")
        told = {check["name"]: check for check in ready.json()["checks"]}
        assert (ready.status_code, told["keys"]["ok"]) == (503, False)
        assert "refused to unwrap" in told["keys"]["detail"]
        assert platform.subject_keys._keys == {}
        assert tree_size(platform) == before
        program.say("")
        while client.post(PATH, content=examples.order(), headers=given).status_code == 503:
            time.sleep(0.05)
        assert client.get("/health/ready").status_code == 200
        assert tree_size(platform) == before + 1


def tree_size(platform: Platform) -> int:
    with platform.store.reading() as reading:
        return reading.tree_size()


def test_the_command_is_a_json_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_KMS_COMMAND", '["kms", "--key", "a b"]')
    assert Settings().kms_command == ("kms", "--key", "a b")
    monkeypatch.setenv("CANDOR_KMS_COMMAND", "kms --key")
    with pytest.raises(ValidationError, match="not JSON"):
        Settings()
