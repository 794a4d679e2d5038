"""API keys and their entries in the log."""

from datetime import UTC, datetime, timedelta

from service.auth import Role
from service.settings import Settings
from service.usecases.check_store import verify_platform
from service.usecases.keys import create_key, revoke_key
from service.wiring import open_platform

LATER = datetime(2026, 10, 1, tzinfo=UTC)


def test_a_key_made_while_the_clock_is_behind_verifies(settings: Settings) -> None:
    """The table and the log name one time, also when the log put the entry's off."""
    with open_platform(settings, now=lambda: LATER) as platform:
        create_key(platform, "first", Role.OMS, "test")
    with open_platform(settings, now=lambda: LATER - timedelta(minutes=5)) as platform:
        key, _secret = create_key(platform, "second", Role.OMS, "test")
        assert key.created_at == LATER
        assert verify_platform(platform).problems == ()
        revoke_key(platform, key.id, "test")
        assert verify_platform(platform).problems == ()
