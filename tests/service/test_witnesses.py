"""Checkpoints are submitted to strict witnesses over HTTP, and what they answer is kept."""

from base64 import b64decode, b64encode
from collections.abc import Iterator

import orjson
import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient
from typer.testing import CliRunner

from audit.cosignature import newest_cosigned
from audit.errors import CheckpointInvalidError, CosignatureInvalidError, RecordNotFoundError
from audit.submission import build_submission, parse_seen_size
from service.app import create_app
from service.auth import Role
from service.cli.application import application
from service.errors import NotConfiguredError, WitnessRefusedError, WitnessUnavailableError
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.submit import require_witnesses, submit_newest
from service.wiring import Platform, open_platform
from tests.audit.sample import make_signer
from tests.conftest import publish_small_model
from tests.models import examples
from tests.service.test_anchors import wait_until
from tests.witness_server import RefusedError, WitnessServer, running_witness

NAME = "witness.example/w1"


@pytest.fixture
def witness(settings: Settings) -> Iterator[WitnessServer]:
    """Run a witness that knows the log; its key is made by the first entry."""
    with open_platform(settings) as platform:
        publish_small_model(platform)
        key = platform.signer.verifier_key
    with running_witness(NAME, 41, [key]) as running:
        yield running


def witnessed(settings: Settings, *witnesses: WitnessServer, **changes: object) -> Settings:
    given = {
        **settings.model_dump(),
        "witnesses": [one.vkey for one in witnesses],
        "witness_urls": {one.witness.name: one.url for one in witnesses},
        **changes,
    }
    return Settings.model_validate(given)


@pytest.fixture
def opened(settings: Settings, witness: WitnessServer) -> Iterator[Platform]:
    with open_platform(witnessed(settings, witness, witness_timeout_seconds=0.5)) as platform:
        yield platform


def submit(platform: Platform) -> int:
    [one] = require_witnesses(platform.settings)
    return len(submit_newest(platform, one))


def cosigned(platform: Platform) -> str:
    with platform.store.reading() as reading:
        return newest_cosigned(reading)


def test_a_witness_follows_the_log(opened: Platform, witness: WitnessServer) -> None:
    """From nothing, then from what it saw last, by proofs that it checks."""
    assert submit(opened) == 1
    assert witness.bodies[0].startswith(b"old 0\n\ncandor.local/log\n1\n")
    assert submit(opened) == 0
    for version in ("2", "3", "4"):
        publish_small_model(opened, version)
    assert submit(opened) == 1
    assert witness.bodies[1].startswith(b"old 1\n")
    assert cosigned(opened).split("\n")[1] == "4"
    assert [size for size, _ in witness.seen.values()] == [4]


def test_a_size_that_the_witness_did_not_see_is_corrected(
    opened: Platform, witness: WitnessServer
) -> None:
    """Whether it saw more than we know, or forgot what it saw: 409 says where to begin."""
    publish_small_model(opened, "2")
    with opened.store.reading() as reading:
        note = reading.checkpoint_at(1)
        witness.add_checkpoint(build_submission(reading, note, 0).body)
    assert submit(opened) == 1
    assert [body.split(b"\n")[0] for body in witness.bodies] == [b"old 0", b"old 1"]
    publish_small_model(opened, "3")
    witness.seen.clear()
    assert submit(opened) == 1
    assert [body.split(b"\n")[0] for body in witness.bodies[2:]] == [b"old 2", b"old 0"]


def test_a_rolled_back_or_forked_log_is_refused(opened: Platform, witness: WitnessServer) -> None:
    """Each says what the witness saw; nothing is kept."""
    publish_small_model(opened, "2")
    origin = opened.signer.origin
    witness.seen[origin] = (7, bytes(32))
    with pytest.raises(WitnessRefusedError, match="saw 7 entries, but the log holds 2"):
        submit(opened)
    witness.seen[origin] = (2, bytes(32))
    with pytest.raises(WitnessRefusedError, match="another history of 2 entries"):
        submit(opened)
    witness.seen[origin] = (1, bytes(32))
    with pytest.raises(WitnessRefusedError, match="consistency proof"):
        submit(opened)
    witness.logs = []
    with pytest.raises(WitnessRefusedError, match="does not know the log"):
        submit(opened)
    witness.logs = [make_signer(origin, 9).verifier_key]
    with pytest.raises(WitnessRefusedError, match="does not trust the key"):
        submit(opened)
    with pytest.raises(RecordNotFoundError):
        cosigned(opened)


ANSWERS: dict[str, tuple[tuple[int, bytes, str], type[Exception]]] = {
    "no cosignature": ((200, b"thanks\n", "text/plain"), CosignatureInvalidError),
    "not UTF-8": ((200, b"\xff\n", "text/plain"), CosignatureInvalidError),
    "no size": ((409, b"many\n", "text/x.tlog.size"), WitnessUnavailableError),
    "no line": ((409, b"1", "text/x.tlog.size"), WitnessUnavailableError),
    "too large": ((200, bytes(20_000), "text/plain"), WitnessUnavailableError),
    "redirect": ((302, b"", "text/plain"), WitnessUnavailableError),
    "malformed": ((400, b"", "text/plain"), WitnessRefusedError),
    "failing": ((500, b"", "text/plain"), WitnessUnavailableError),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_a_witness_may_not_give_is_named(
    opened: Platform, witness: WitnessServer, answer: str
) -> None:
    witness.overruled, expected = ANSWERS[answer]
    publish_small_model(opened, "2")
    with pytest.raises(expected):
        submit(opened)
    with pytest.raises(RecordNotFoundError):
        cosigned(opened)


def test_a_witness_that_moves_on_for_ever_or_is_slow_is_left(
    opened: Platform, witness: WitnessServer
) -> None:
    publish_small_model(opened, "2")
    publish_small_model(opened, "3")
    sizes = iter([b"1\n", b"2\n", b"1\n", b"2\n"])
    witness.add_checkpoint = lambda body: refuse(next(sizes), body)  # type: ignore[method-assign]  # what it says is the test
    with pytest.raises(WitnessUnavailableError, match="another size each time"):
        submit(opened)
    witness.delay_seconds = 2.0
    with pytest.raises(WitnessUnavailableError, match=r"within 0\.5 s"):
        submit(opened)


def refuse(size: bytes, _body: bytes) -> bytes:
    raise RefusedError(409, size)


def test_the_service_submits_by_itself_to_several(
    settings: Settings, witness: WitnessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is down disturbs neither the decisions nor the other; verification counts all."""
    with running_witness("witness.example/w2", 42, witness.logs) as second:
        second.overruled = (503, b"", "text/plain")
        known = witnessed(settings, witness, second, witness_seconds=0.05)
        with open_platform(known) as platform:
            key = create_key(platform, "a", Role.OMS, "test")[1]
        with TestClient(create_app(known)) as client:
            client.headers["Authorization"] = f"Bearer {key}"
            reply = client.post("/v1/decisions/parcel", content=examples.order())
            assert reply.status_code == 200
            proof = f"/v1/decisions/{reply.json()['decision_id']}/proof?cosigned=true"
            wait_until(lambda: client.get(proof).status_code == 200)
            wait_until(lambda: len(second.bodies) >= 2)
            assert client.get(proof).text.count("— witness.example/") == 1
            assert client.get("/health/ready").status_code == 200
            second.overruled = None
            wait_until(lambda: client.get(proof).text.count("— witness.example/") == 2)
        monkeypatch.setenv("CANDOR_WITNESSES", orjson.dumps([witness.vkey, second.vkey]).decode())
        monkeypatch.setenv("CANDOR_WITNESS_URLS", orjson.dumps({NAME: witness.url}).decode())
        var = ["--var", str(settings.var)]
        done = CliRunner().invoke(application, ["verify", "--json", *var])
        assert done.exit_code == 0, done.output
        assert orjson.loads(done.stdout)["cosignatures"] >= 2
        said = CliRunner().invoke(application, ["log", "submit", "--json", *var])
        assert orjson.loads(said.stdout) == {
            "submitted": [{"witness": NAME, "lines": []}],
            "failed": [],
        }
        with open_platform(known) as platform:
            publish_small_model(platform, "9")
        said = CliRunner().invoke(application, ["log", "submit", *var])
        assert (said.exit_code, said.stdout) == (0, f"{NAME}: cosigned\n")
        monkeypatch.setenv("CANDOR_WITNESS_URLS", orjson.dumps({NAME: second.url}).decode())
        with open_platform(known) as platform:
            publish_small_model(platform, "10")
        said = CliRunner().invoke(application, ["log", "submit", *var])
        assert (said.exit_code, "cosignature-invalid" in said.stderr) == (1, True)
        # A key that is taken out of the settings leaves lines of nobody that is known.
        monkeypatch.setenv("CANDOR_WITNESSES", orjson.dumps([witness.vkey]).decode())
        done = CliRunner().invoke(application, ["verify", "--json", *var])
        codes = {problem["code"] for problem in orjson.loads(done.stdout)["problems"]}
        assert (done.exit_code, codes) == (1, {"cosignature-invalid"})


def test_our_witness_refuses_what_the_text_refuses(
    opened: Platform, witness: WitnessServer
) -> None:
    """It is only worth something in these tests if it does: each altered submission by status."""
    for version in ("2", "3", "4", "5"):
        publish_small_model(opened, version)
    with opened.store.reading() as reading:
        first, last = reading.checkpoint_at(3), reading.checkpoint_at(5)
        witness.add_checkpoint(build_submission(reading, first, 0).body)
        good = build_submission(reading, last, 3).body
        with pytest.raises(RecordNotFoundError):
            build_submission(reading, first, 4)
    head, _, note = good.decode().partition("\n\n")
    lines = head.split("\n")
    hash_ = b64decode(lines[1])
    flipped = b64encode(bytes([hash_[0] ^ 1]) + hash_[1:]).decode()
    cases = {
        "flipped": (422, "\n".join([lines[0], flipped, *lines[2:]])),
        "shortened": (422, "\n".join(lines[:-1])),
        "lengthened": (422, "\n".join([*lines, lines[-1]])),
        "other size": (409, "\n".join(["old 2", *lines[1:]])),
        "beyond": (400, "\n".join(["old 6", *lines[1:]])),
        "zero led": (400, "\n".join(["old 03", *lines[1:]])),
        "no base64": (400, "\n".join([lines[0], "x" * 44])),
        "too many": (400, "\n".join([lines[0], *[lines[1]] * 64])),
    }
    for name, (status, altered) in cases.items():
        with pytest.raises(RefusedError) as refused:
            witness.add_checkpoint(f"{altered}\n\n{note}".encode())
        assert (name, refused.value.status) == (name, status)
    assert witness.add_checkpoint(good).startswith(b"\xe2\x80\x94 witness.example/w1 ")


def test_a_size_is_one_plain_line() -> None:
    assert parse_seen_size(b"0\n") == 0
    for wrong in (b"", b"1", b"01\n", b"-1\n", b"1\n1\n", b"9" * 30 + b"\n", b"\xff\n"):
        with pytest.raises(CheckpointInvalidError):
            parse_seen_size(wrong)


def test_who_is_asked_has_to_be_known(settings: Settings, witness: WitnessServer) -> None:
    with pytest.raises(NotConfiguredError, match="CANDOR_WITNESS_URLS"):
        require_witnesses(settings)
    for wrong in ({"nobody": witness.url}, {NAME: "file:///etc"}, {NAME: "http://u:p@w/"}):
        with pytest.raises(ValidationError):
            witnessed(settings, witness, witness_urls=wrong)
