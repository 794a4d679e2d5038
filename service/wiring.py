"""Settings become a running platform: store, keys, live models and the one writer.

`open_platform` is the only place that joins them; it is opened by the service and by each
command, and closed in the reverse order.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import make_url

from audit.archive_place import open_place
from audit.archive_source import ArchivedBodies
from audit.checkpoint import LogSigner
from audit.erasure import Vault, apply_ledger
from audit.errors import DatabaseUrlError, IdempotencyConflictError, StoreUnavailableError
from audit.folders import make_folder
from audit.kept import KeptCheckpoint
from audit.log import Appended, append
from audit.ownership import open_owner_engine
from audit.records import Entry
from audit.rotation import Keyring
from audit.seal import Sealer
from audit.store import Store, open_engine, open_store
from audit.subject_keys import SubjectKeyStore
from audit.witnessed import Notary
from service.adaptation import Adaptation
from service.batching import Writer
from service.keyfiles import StoreKeys, load_keys, load_signer, open_subject_key_store
from service.live import LiveModels, Shelf
from service.metrics import Metrics
from service.references import References
from service.settings import Settings
from service.state import ApiKeys

BUSY_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything that a use case needs.

    Parameters
    ----------
    settings, store, archive, notary, sealer, subject_keys, api_keys, shelf, live, references,
    adaptation, writer, metrics
        See their classes.
    now
        Aware UTC.
    clock
        Seconds, rising.
    """

    settings: Settings
    store: Store
    archive: ArchivedBodies
    notary: Notary
    sealer: Sealer
    subject_keys: SubjectKeyStore
    api_keys: ApiKeys
    shelf: Shelf
    live: LiveModels
    references: References
    adaptation: Adaptation
    writer: Writer
    metrics: Metrics
    now: Callable[[], datetime]
    clock: Callable[[], float]

    @property
    def signer(self) -> LogSigner:
        """The log's signer of the moment; another process may have rotated the key."""
        with self.store.reading() as reading:
            return self.notary.keyring.present(reading)


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@contextmanager
def open_platform(
    settings: Settings,
    *,
    metrics: Metrics | None = None,
    now: Callable[[], datetime] = utc_now,
    clock: Callable[[], float] = time.perf_counter,
    applies_ledger: bool = True,
) -> Iterator[Platform]:
    """Open everything, and close it again.

    Parameters
    ----------
    settings
        What to open.
    metrics
        Where to count; None for counters of its own.
    now, clock
        See `Platform`.
    applies_ledger
        Whether erasures that the database does not know are done first; without that nothing but
        a verification may be made of the platform.

    Raises
    ------
    UnsafeStoreError, StoreUnavailableError, SchemaOutdatedError, DatabaseUrlError
        When the store cannot be opened safely.
    KeyFileError, KeyEncryptionError
        When the log has entries and its keys are not whole.
    LedgerBehindError, LedgerDamagedError
        When the erasure ledger is not whole.
    """
    with ExitStack() as stack:
        # 1. The store, and its keys, which may be made only while the log is empty.
        _make_folder(settings)
        archive = ArchivedBodies(open_place(settings.archive))
        store = open_store(
            settings.store_url,
            busy_timeout_ms=BUSY_TIMEOUT_MS,
            wal_autocheckpoint_pages=settings.sqlite_wal_autocheckpoint_pages,
            bodies=archive,
        )
        stack.callback(store.close)
        with store.reading() as reading:
            # Empty, but not new: something was signed that the database has lost.
            is_new = reading.tree_size() == 0 and not settings.kept_checkpoint.exists()
        keys = load_keys(settings, may_create=is_new)
        notary = build_notary(settings, keys)
        subject_keys = open_subject_key_store(settings, may_create=is_new)
        stack.callback(subject_keys.close)
        sealer = Sealer(subject_keys, keys.lookup)
        # A restored backup forgets who was erased; the ledger does not.
        record = partial(append_one, store, notary, sealer)
        if applies_ledger:
            apply_ledger(Vault(store, subject_keys, sealer, record), now())
        # 2. Who may ask.
        api_keys = ApiKeys(
            open_engine(
                settings.store_url,
                busy_timeout_ms=BUSY_TIMEOUT_MS,
                wal_autocheckpoint_pages=settings.sqlite_wal_autocheckpoint_pages,
            )
        )
        stack.callback(api_keys.close)
        # 3. What decides.
        shelf = Shelf(settings.bundles, settings.policies, settings.kinds)
        live = LiveModels(store, shelf, settings.model_refresh_seconds, clock)
        references = References(store, settings.references, settings.model_refresh_seconds, clock)
        adaptation = Adaptation(store, settings.model_refresh_seconds, clock)
        # 4. What records.
        counters = metrics or Metrics()

        def append_batch(entries: Sequence[Entry]) -> "list[Appended | IdempotencyConflictError]":
            appended = append(store, entries, notary, sealer)
            sizes = [item.tree_size for item in appended if isinstance(item, Appended)]
            counters.set_tree_size(max(sizes, default=0))
            return appended

        writer = Writer(
            append_batch,
            commit_max_entries=settings.commit_max_entries,
            queue_max_entries=settings.queue_max_entries,
            deadline_seconds=settings.request_deadline_seconds,
            on_commit=counters.count_commit,
        )
        counters.watch_queue(lambda: writer.depth)
        writer.start()
        stack.callback(writer.close)
        yield Platform(
            settings=settings,
            store=store,
            archive=archive,
            notary=notary,
            sealer=sealer,
            subject_keys=subject_keys,
            api_keys=api_keys,
            shelf=shelf,
            live=live,
            references=references,
            adaptation=adaptation,
            writer=writer,
            metrics=counters,
            now=now,
            clock=clock,
        )


def find_owner(settings: Settings) -> tuple[str, str]:
    """Return the URL of PostgreSQL's owner, and the service's database user.

    Raises
    ------
    DatabaseUrlError
        If one of them is not named.
    """
    if settings.database_owner_url is None:
        raise DatabaseUrlError("CANDOR_DATABASE_OWNER_URL is not set")
    username = make_url(settings.store_url).username
    if username is None:
        raise DatabaseUrlError("CANDOR_DATABASE_URL names no database user for the service")
    return settings.database_owner_url.get_secret_value(), username


@contextmanager
def open_owned_store(platform: Platform) -> Iterator[Store]:
    """Open the log as whoever may remove rows: PostgreSQL's owner; SQLite has no other user.

    Raises
    ------
    DatabaseUrlError, UnsafeStoreError
        If PostgreSQL's owner is not named, or is the service.
    """
    if make_url(platform.settings.store_url).get_backend_name() == "sqlite":
        yield platform.store
        return
    store = Store(open_owner_engine(*find_owner(platform.settings)), platform.archive)
    try:
        yield store
    finally:
        store.close()


def append_one(store: Store, notary: Notary, sealer: Sealer, entry: Entry) -> Appended:
    """Append an entry past the platform's writer.

    Raises
    ------
    PlatformError
        See `audit.log.append`.
    """
    [appended] = append(store, [entry], notary, sealer)
    if isinstance(appended, IdempotencyConflictError):
        raise appended
    return appended


def build_notary(settings: Settings, keys: StoreKeys) -> Notary:
    """Return who may sign: the log's keys, and its checkpoint kept outside the database."""
    first = LogSigner(settings.log_origin, Ed25519PrivateKey.from_private_bytes(keys.log_signing))
    # In `var` it comes and goes with the database; at a place of its own it has to be there.
    is_apart = settings.checkpoint_file is not None
    return Notary(
        Keyring(first, partial(load_signer, settings)),
        KeptCheckpoint(settings.kept_checkpoint, must_exist=is_apart),
    )


def _make_folder(settings: Settings) -> None:
    try:
        make_folder(settings.var)
    except OSError as error:
        raise StoreUnavailableError(f"the folder {settings.var} cannot be made") from error
