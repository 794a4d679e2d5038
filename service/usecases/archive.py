"""Archiving months that are over, and releasing them from the hot store as its owner."""

from collections.abc import Callable
from contextlib import nullcontext

from audit.archive import Archivist, MonthDone, archive_months, release_months
from audit.archive_purge import purge_archive
from models.domain import Json
from service.answers import JsonObject
from service.wiring import Platform, open_owned_store


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
    DatabaseUrlError, UnsafeStoreError
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
    with open_owned_store(platform) if is_releasing else nullcontext(platform.store) as owner:
        # What a purge could not finish comes first, so that it is not archived or released.
        purge_archive(archivist, platform.now())
        archived = archive_months(archivist, platform.now(), on_progress)
        if is_releasing:
            released = release_months(archivist, owner, platform.now(), on_progress)
    return {
        "archived": [_describe(month) for month in archived],
        "released": [_describe(month) for month in released],
    }


def _describe(done: MonthDone) -> Json:
    return {
        "month": done.month,
        "entries": done.entries,
        "files": done.files,
        "bytes": done.size_bytes,
        "entry_id": done.entry_id,
        "leaf_index": done.leaf_index,
    }
