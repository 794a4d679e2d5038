"""API keys: only their hashes are kept; revoked means unknown."""

import pytest

from audit.canonical import parse_json
from audit.errors import StoreUnavailableError
from audit.records import EntryType
from service.auth import Principal, Role
from service.errors import ApiKeyNotFoundError
from service.settings import Settings
from service.usecases.keys import create_key, revoke_key
from service.usecases.records import read_object
from service.wiring import Platform
from tests.databases import SampleDatabase

pytestmark = pytest.mark.both_databases


def test_a_key_works_until_it_is_revoked(platform: Platform) -> None:
    key, secret = create_key(platform, "shop", Role.OMS, "test")
    assert platform.api_keys.find_principal(secret) == Principal(key.id, Role.OMS)
    assert platform.api_keys.find_principal(secret + "x") is None
    revoked = revoke_key(platform, key.id, "test")
    assert platform.api_keys.find_principal(secret) is None
    assert revoke_key(platform, key.id, "test").revoked_at == revoked.revoked_at
    assert [one.id for one in platform.api_keys.list_all()] == [key.id]


def test_each_act_is_an_entry_that_names_the_actor(platform: Platform) -> None:
    key, secret = create_key(platform, "shop", Role.OMS, "somebody")
    revoke_key(platform, key.id, "somebody else")
    with platform.store.reading() as reading:
        created = reading.latest(EntryType.KEY_CREATED)[0]
        revoked = reading.latest(EntryType.KEY_REVOKED)[0]
    said = read_object(parse_json(created.facts or b""))
    assert (said["key_id"], said["role"], said["actor"]) == (key.id, "oms", "somebody")
    assert read_object(parse_json(revoked.facts or b""))["actor"] == "somebody else"
    assert b"shop" not in (created.facts or b"") + created.leaf
    assert secret.encode() not in (created.facts or b"") + created.leaf


def test_the_database_does_not_hold_the_secret(platform: Platform, settings: Settings) -> None:
    _key, secret = create_key(platform, "shop", Role.OMS, "test")
    for path in settings.var.glob("candor.db*"):
        assert secret.encode() not in path.read_bytes()


def test_an_unknown_key_cannot_be_revoked(platform: Platform) -> None:
    with pytest.raises(ApiKeyNotFoundError):
        revoke_key(platform, "nobody", "test")


def test_a_lost_table_is_an_unavailable_store(platform: Platform, database: SampleDatabase) -> None:
    key, _secret = create_key(platform, "shop", Role.OMS, "test")
    database.tamper("DROP TABLE api_key")
    for act in (
        lambda: platform.api_keys.find_principal("x"),
        lambda: platform.api_keys.add(key, "x"),
        lambda: platform.api_keys.revoke(key.id, key.created_at),
        platform.api_keys.list_all,
    ):
        with pytest.raises(StoreUnavailableError):
            act()
