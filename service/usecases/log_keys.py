"""Changing the key that signs the log: by rotation, or by recovery after a loss."""

from contextlib import ExitStack
from dataclasses import dataclass

from audit.log import Appended
from audit.recovery import Loss, assess_loss, recover
from audit.rotation import KeyRange, build_rotation_entry
from audit.seal import Sealer
from audit.store import open_store
from service.keyfiles import create_signer, load_keys, open_subject_key_store
from service.settings import Settings
from service.usecases.records import build_nonce, new_id
from service.wiring import BUSY_TIMEOUT_MS, Platform, build_notary, utc_now


@dataclass(frozen=True, slots=True)
class Recovered:
    """A log that goes on.

    Parameters
    ----------
    loss
        What is lost.
    appended
        The entry that says so.
    verifier_key
        The key from here on.
    """

    loss: Loss
    appended: Appended
    verifier_key: str


def rotate_key(platform: Platform, actor: str) -> tuple[Appended, str]:
    """Make a new key sign the log from the next checkpoint on; return its entry and the key.

    Raises
    ------
    KeyFileError
        When the new key cannot be stored; the old one stays in use.
    LogKeyChangedError
        When somebody else rotated the key at the same moment.
    StoreUnavailableError, LogDamagedError
        When the entry was not recorded; the old key stays in use.
    """
    old = platform.signer
    # The key comes first: the log never names one that could be lost in a crash.
    new = create_signer(platform.settings, old.origin)
    entry = build_rotation_entry(
        new_id(),
        platform.now(),
        old.verifier_key,
        new.verifier_key,
        {**build_nonce(), "actor": actor},
    )
    return platform.writer.record_one(entry), new.verifier_key


def read_ranges(platform: Platform) -> list[KeyRange]:
    """Return all keys of the log with the sizes that they signed, oldest first."""
    with platform.store.reading() as reading:
        return platform.notary.ranges(reading)


def recover_log(settings: Settings, actor: str) -> Recovered:
    """Begin a new origin and key on what is left of the log.

    Nothing else may use the store meanwhile: stop the service first.

    Raises
    ------
    NothingToRecoverError
        When nothing is lost.
    LogDamagedError, CheckpointInvalidError, StoreUnavailableError
        When the database is damaged otherwise.
    KeyFileError
        When a key is missing though entries are left, or the new one cannot be stored.
    """
    store = open_store(
        settings.store_url,
        busy_timeout_ms=BUSY_TIMEOUT_MS,
        wal_autocheckpoint_pages=settings.sqlite_wal_autocheckpoint_pages,
    )
    with ExitStack() as stack:
        stack.callback(store.close)
        with store.reading() as reading:
            is_empty = reading.tree_size() == 0
        keys = load_keys(settings, may_create=is_empty)
        subject_keys = open_subject_key_store(settings, may_create=is_empty)
        stack.callback(subject_keys.close)
        notary = build_notary(settings, keys)
        assess_loss(store, notary)
        signer = create_signer(settings, settings.log_origin, is_new_origin=True)
        loss, appended = recover(
            store,
            notary,
            signer,
            Sealer(subject_keys, keys.lookup),
            entry_id=new_id(),
            recorded_at=utc_now(),
            facts={**build_nonce(), "actor": actor},
        )
    return Recovered(loss, appended, signer.verifier_key)
