"""The store's keys: made once, private, never replaced."""

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr

from audit.errors import StoreUnavailableError
from service.errors import KeyFileError
from service.keyfiles import _create, load_keys, open_subject_key_store
from service.settings import Settings
from service.wiring import open_platform
from tests.conftest import publish_small_model


def test_they_are_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(var=tmp_path)
    first = load_keys(settings, may_create=True)
    assert load_keys(settings, may_create=False) == first
    assert len({first.log_signing, *first.key_encryption.values(), first.lookup}) == 3
    files = list(settings.keys.iterdir())
    assert len(files) == 3
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)


def test_a_key_that_another_process_made_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "lookup.key"
    _create(path, bytes(32))
    before = path.read_bytes()
    _create(path, bytes(32))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_keys_that_cannot_be_written_are_an_error_of_the_store(tmp_path: Path) -> None:
    settings = Settings(var=tmp_path)
    settings.keys.write_text("in the way")
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        load_keys(settings, may_create=True)
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        open_subject_key_store(settings, may_create=True)


def test_settings_win_over_files(tmp_path: Path) -> None:
    secret = base64.b64encode(bytes(range(32))).decode()
    settings = Settings(var=tmp_path, lookup_key=SecretStr(secret))
    assert load_keys(settings, may_create=True).lookup == bytes(range(32))
    assert not (settings.keys / "lookup.key").exists()
    assert secret not in repr(settings)


@pytest.mark.parametrize("content", [b"!!!\n", b"AAAA\n", b"\xff\xfe"])
def test_a_malformed_file_is_refused(tmp_path: Path, content: bytes) -> None:
    settings = Settings(var=tmp_path)
    load_keys(settings, may_create=True)
    (settings.keys / "lookup.key").write_bytes(content)
    with pytest.raises(KeyFileError):
        load_keys(settings, may_create=True)


def test_a_log_with_entries_does_not_go_on_under_new_keys(settings: Settings) -> None:
    with open_platform(settings) as platform:
        publish_small_model(platform)
    (settings.keys / "log-signing.key").unlink()
    with pytest.raises(KeyFileError, match="missing"), open_platform(settings):
        pass
    assert not (settings.keys / "log-signing.key").exists()
