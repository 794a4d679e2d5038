"""Creating and revoking API keys; each is an entry of the log that names the actor."""

from dataclasses import replace
from datetime import datetime

from audit.canonical import facts_json
from audit.records import Entry, EntryType, parse_time
from models.domain import Json
from service.auth import Role
from service.state import ApiKey, hash_secret, make_secret
from service.usecases.records import build_nonce, new_id, read_header
from service.wiring import Platform


def create_key(platform: Platform, name: str, role: Role, actor: str) -> tuple[ApiKey, str]:
    """Create an API key and return it with its secret, which is shown only now.

    Parameters
    ----------
    name
        What people call it; sealed in the log.
    role
        What it is for.
    actor
        Who created it.

    Raises
    ------
    StoreUnavailableError
        When it was not recorded; there is no such key then.
    """
    key = ApiKey(new_id(), name, role, platform.now(), None)
    secret = make_secret()
    # The entry comes first: no key ever works without its entry. It names the secret's hash, so
    # that nobody can put another secret in its place.
    digest: dict[str, Json] = {"key_sha256": hash_secret(secret).hex()}
    entry = _entry(EntryType.KEY_CREATED, key, actor, key.created_at)
    recorded = platform.writer.record_one(replace(entry, facts={**(entry.facts or {}), **digest}))
    # The log's time: no entry is older than the one before it, whatever this clock says.
    key = replace(key, created_at=parse_time(str(read_header(recorded.leaf)["recorded_at"])))
    platform.api_keys.add(key, secret)
    return key, secret


def revoke_key(platform: Platform, key_id: str, actor: str) -> ApiKey:
    """Revoke an API key at once.

    Raises
    ------
    ApiKeyNotFoundError
        When there is no such key.
    StoreUnavailableError
        When the revocation or its entry could not be written; repeat it then.
    """
    # The key dies first: a crash in between leaves a dead key without its entry, never a live one.
    key = platform.api_keys.revoke(key_id, platform.now())
    platform.writer.record_one(_entry(EntryType.KEY_REVOKED, key, actor, platform.now()))
    return key


def _entry(entry_type: EntryType, key: ApiKey, actor: str, now: datetime) -> Entry:
    sealed: dict[str, Json] = {"name": key.name}
    return Entry(
        entry_id=new_id(),
        entry_type=entry_type,
        recorded_at=now,
        header={},
        facts={**build_nonce(), "key_id": key.id, "role": key.role.value, "actor": actor},
        personal=facts_json(sealed),
    )
