"""Archiving months that are over, and releasing them from the hot store as its owner."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.engine import make_url

from audit.archive import Archivist, MonthDone, archive_months, release_months
from audit.errors import DatabaseUrlError
from audit.store import POSTGRESQL, Store, open_engine
from models.domain import Json
from service.answers import JsonObject
from service.wiring import BUSY_TIMEOUT_MS, Platform


def archive_log(
    platform: Platform,
    *,
    actor: str,
    is_releasing: bool,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> JsonObject:
    """Archive what is due, then release what is archived, if that is asked for.

    Parameters
    ----------
    actor
        Who does it.
    is_releasing
        Whether archived parts leave the hot store too.
    on_progress
        Called with what is done and what there is to do, step by step.

    Returns
    -------
    JsonObject
        `archived` and `released`: for each month what was done.

    Raises
    ------
    DatabaseUrlError
        If a release is asked for and PostgreSQL's owner is not named.
    ArchiveUnavailableError, ArchiveDamagedError
        If files cannot be written, or what is to be released is not whole.
    RecordMalformedError
        If an entry is not as its header says.
    StoreUnavailableError, OverloadedError, DeadlineError
        If the log cannot be read or written.
    """
    archivist = Archivist(
        platform.store,
        platform.archive.place,
        platform.writer.record_one,
        platform.settings.var,
        actor,
    )
    released: list[MonthDone] = []
    with _owner_store(platform, is_needed=is_releasing) as owner:
        archived = archive_months(archivist, platform.now(), on_progress)
        if is_releasing:
            released = release_months(archivist, owner, platform.now(), on_progress)
    return {
        "archived": [_describe(month) for month in archived],
        "released": [_describe(month) for month in released],
    }


@contextmanager
def _owner_store(platform: Platform, *, is_needed: bool) -> Iterator[Store]:
    settings = platform.settings
    is_postgres = make_url(settings.store_url).get_backend_name() == POSTGRESQL
    if not is_needed or not is_postgres:
        yield platform.store
        return
    if settings.database_owner_url is None:
        raise DatabaseUrlError(
            "CANDOR_DATABASE_OWNER_URL is not set", "Set it: only the database's owner may release."
        )
    url = settings.database_owner_url.get_secret_value()
    engine = open_engine(url, busy_timeout_ms=BUSY_TIMEOUT_MS, wal_autocheckpoint_pages=0)
    owner = Store(engine)
    try:
        yield owner
    finally:
        owner.close()


def _describe(done: MonthDone) -> Json:
    return {
        "month": done.month,
        "entries": done.entries,
        "files": done.files,
        "bytes": done.size_bytes,
        "entry_id": done.entry_id,
        "leaf_index": done.leaf_index,
    }
