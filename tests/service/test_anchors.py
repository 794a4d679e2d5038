"""Checkpoints are stamped by a real authority, on demand and by the schedule, and served."""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient
from typer.testing import CliRunner

from audit.anchor import anchors_of
from audit.errors import AnchorInvalidError
from service.app import create_app
from service.auth import Role
from service.cli.application import application
from service.errors import CaFileError, NotConfiguredError, TimestampUnavailableError
from service.settings import Settings
from service.usecases.anchor import anchor_newest, load_vouchers, require_authorities
from service.usecases.keys import create_key
from service.usecases.log_keys import rotate_key
from service.wiring import Platform, open_platform
from tests.conftest import publish_small_model
from tests.models import examples
from tests.timestamps import Authority, accepts, running_authority

_PATIENCE_SECONDS = 30.0


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    with running_authority(tmp_path / "tsa") as running:
        yield running


def stamping(settings: Settings, *authorities: Authority, **changes: object) -> Settings:
    named = {one.url: str(one.ca_file) for one in authorities}
    given = {**settings.model_dump(), "timestamp_urls": named, **changes}
    return Settings.model_validate(given)


def run(monkeypatch: pytest.MonkeyPatch, settings: Settings, *arguments: str, code: int = 0) -> str:
    urls = {str(url): str(path) for url, path in settings.timestamp_urls.items()}
    monkeypatch.setenv("CANDOR_TIMESTAMP_URLS", orjson.dumps(urls).decode())
    done = CliRunner().invoke(application, [*arguments, "--var", str(settings.var)])
    assert done.exit_code == code, done.output
    return done.stdout


def test_an_operator_stamps_lists_serves_and_verifies(
    settings: Settings,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the command to a stranger's openssl, over what HTTP serves."""
    known = stamping(settings, authority)
    with open_platform(known) as platform:
        publish_small_model(platform)
    made = orjson.loads(run(monkeypatch, known, "log", "anchor", "--json"))
    [anchored] = made["anchored"]
    assert (made["failed"], anchored["tree_size"], anchored["authority"]) == ([], 1, authority.url)
    again = orjson.loads(run(monkeypatch, known, "log", "anchor", "--json"))
    assert again["anchored"] == [
        {"authority": authority.url, "tree_size": None, "stamped_at": None}
    ]
    assert "nothing new" in run(monkeypatch, known, "log", "anchor")
    listed = orjson.loads(run(monkeypatch, known, "log", "anchors", "--json"))["anchors"]
    assert listed == [anchored]
    assert authority.url in run(monkeypatch, known, "log", "anchors")
    report = orjson.loads(run(monkeypatch, known, "verify", "--json"))
    assert (report["ok"], report["anchors"], report["cosignatures"]) == (True, 1, 0)
    # The schedule stamps what is new once the service runs; here nothing is.
    with TestClient(create_app(known)) as client:
        assert client.get("/v1/log/anchors").json() == {"anchors": [anchored]}
        assert client.get("/v1/log/anchors?before=1").json() == {"anchors": []}
        whole = client.get("/v1/log/anchors/1").json()
        reply = client.get(
            "/v1/log/anchors/1",
            params={"authority": authority.url},
            headers={"Accept": "application/timestamp-reply"},
        )
        assert reply.headers["Content-Type"] == "application/timestamp-reply"
        assert b64decode(whole["anchors"][0]["reply"]) == reply.content
        assert accepts(authority, whole["checkpoint"].encode(), reply.content, tmp_path)
        for missing in ("/v1/log/anchors/9", "/v1/log/anchors/1?authority=http://nobody/"):
            assert client.get(missing).status_code == 404
        assert client.get("/v1/log/anchors/0").status_code == 422
        checks = client.get("/health/ready").json()["checks"]
        [told] = [check for check in checks if check["name"] == "anchors"]
        assert told["ok"]
        assert f"{authority.url}: 1 entries" in told["detail"]
        text = client.get("/metrics").text
        assert f'candor_anchor_age_seconds{{authority="{authority.url}"}}' in text


def test_an_authority_that_is_down_or_lies_disturbs_nothing(
    settings: Settings, authority: Authority, tmp_path: Path
) -> None:
    """Decisions go on and the service is ready; the other authority's stamps are kept."""
    with running_authority(tmp_path / "liar", "Liar") as liar:
        liar.change = lambda _reply: b"\x30\x00"
        known = stamping(settings, authority, liar, timestamp_seconds=0.05)
        with open_platform(known) as platform:
            publish_small_model(platform)
            publish_small_model(platform, "2")
            key = create_key(platform, "a", Role.OMS, "test")[1]
        with TestClient(create_app(known)) as client:
            client.headers["Authorization"] = f"Bearer {key}"
            for _ in range(3):
                reply = client.post("/v1/decisions/parcel", content=examples.order())
                assert reply.status_code == 200
            newest = client.get("/v1/log/checkpoint").text.split("\n")[1]
            wait_until(lambda: client.get(f"/v1/log/anchors/{newest}").status_code == 200)
            wait_until(lambda: len(liar.asked) >= 3)
            ready = client.get("/health/ready")
            assert ready.status_code == 200
            assert f"{liar.url}: none yet" in ready.text
            metrics = client.get("/metrics").text
            assert f'candor_vouching_total{{by="{liar.url}",result="failed"}}' in metrics
            assert f'candor_vouching_total{{by="{authority.url}",result="kept"}}' in metrics
            found = client.get("/v1/log/anchors").json()["anchors"]
            assert {one["authority"] for one in found} == {authority.url}


@pytest.fixture
def opened(settings: Settings, authority: Authority) -> Iterator[Platform]:
    with open_platform(stamping(settings, authority, timestamp_timeout_seconds=0.5)) as platform:
        yield platform


def anchor(platform: Platform) -> bool:
    [one] = require_authorities(platform.settings)
    return anchor_newest(platform, one) is not None


def test_every_bound_holds(opened: Platform, authority: Authority) -> None:
    """Time, size, redirects, statuses; nothing is kept of any of them."""
    assert not anchor(opened)
    assert authority.asked == []
    publish_small_model(opened)
    authority.delay_seconds = 2.0
    with pytest.raises(TimestampUnavailableError, match=r"within 0\.5 s"):
        anchor(opened)
    authority.delay_seconds = 0.0
    authority.change = lambda reply: reply + bytes(70_000)
    with pytest.raises(TimestampUnavailableError, match="larger than"):
        anchor(opened)
    authority.change, authority.status = lambda reply: reply, 500
    with pytest.raises(TimestampUnavailableError, match="answered 500"):
        anchor(opened)
    authority.status, authority.location = 302, "file:///etc/passwd"
    with pytest.raises(TimestampUnavailableError, match="not followed"):
        anchor(opened)
    authority.status = 200
    authority.change = lambda reply: reply[:-1]
    with pytest.raises(AnchorInvalidError):
        anchor(opened)
    with opened.store.reading() as reading:
        assert anchors_of(reading, 1) == []
    authority.change = lambda reply: reply
    assert anchor(opened)
    assert not anchor(opened)
    rotate_key(opened, "test")
    assert anchor(opened)


def test_who_stamps_has_to_be_configured_whole(
    settings: Settings, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotConfiguredError, match="CANDOR_TIMESTAMP_URLS"):
        require_authorities(settings)
    publish = stamping(settings)
    with open_platform(publish) as platform:
        publish_small_model(platform)
    run(monkeypatch, publish, "log", "anchor", code=1)
    gone = stamping(settings, timestamp_urls={authority.url: str(tmp_path / "gone.pem")})
    with pytest.raises(CaFileError, match="No such file"):
        load_vouchers(gone)
    (tmp_path / "empty.pem").write_text("")
    empty = stamping(settings, timestamp_urls={authority.url: str(tmp_path / "empty.pem")})
    with pytest.raises(CaFileError, match="PEM"), TestClient(create_app(empty)):
        pass
    run(monkeypatch, empty, "verify", code=1)
    bare = stamping(settings, timestamp_urls={authority.url: None})
    assert load_vouchers(bare).roots == {authority.url: ()}
    nobody = stamping(settings, timestamp_urls={"http://127.0.0.1:1/": None})
    with open_platform(nobody) as platform, pytest.raises(TimestampUnavailableError):
        anchor(platform)
    for wrong in ('["http://tsa"]', '{"file:///etc": null}', '{"http://u:p@tsa/": null}', "{"):
        with pytest.raises(ValidationError):
            Settings.model_validate({"timestamp_urls": wrong})
