"""Purging records whose retention has ended; each purge is an entry that names the actor.

What is archived goes too: an earlier run's rest first, then what this run purged.
"""

from collections import Counter
from datetime import datetime
from functools import partial

from audit.archive import Archivist
from audit.archive_purge import ArchivePurged, purge_archive
from audit.erasure import Vault, apply_ledger
from audit.purge import Purged, purge_next
from models.domain import Json
from service.answers import JsonObject
from service.usecases.records import new_id
from service.wiring import Platform, append_one, open_owned_store


def purge_records(platform: Platform, *, actor: str, is_trial: bool) -> JsonObject:
    """Purge everything that is due; each part of it is durable when the next begins.

    Parameters
    ----------
    actor
        Who purges.
    is_trial
        Only say what would go.

    Returns
    -------
    JsonObject
        Number of records of each type and of decisions of each kind, how many decisions a legal
        hold keeps, of how many a part cannot be read, keys destroyed, partitions dropped, the ids
        of the entries, and how many archive files were replaced and removed; with the paths of
        those that had to be left, as they are not those of the log.

    Raises
    ------
    PurgeOutdatedError
        When a record was amended or held at the same moment; what was purged before stays so.
    DatabaseUrlError, UnsafeStoreError
        When PostgreSQL's owner is not named.
    ArchiveUnavailableError
        When an archive file cannot be written or removed; the next run goes on.
    StoreUnavailableError, LogDamagedError
        When it could not be finished.
    """
    done: list[Purged] = []
    thinned: list[ArchivePurged] = []
    with open_owned_store(platform) as store:
        record = partial(append_one, store, platform.notary, platform.sealer)
        vault = Vault(store, platform.subject_keys, platform.sealer, record)
        if not is_trial:
            # An erasure or a hold that an earlier process could not finish comes first.
            apply_ledger(vault, platform.now())
        archivist = Archivist(store, platform.archive.place, record, platform.settings.var, actor)
        if not is_trial:
            thinned.append(purge_archive(archivist, platform.now()))
        while not done or not done[-1].plan.is_whole:
            done.append(_purge(vault, platform, platform.now(), done, actor, is_trial=is_trial))
        if any(one.entry is not None for one in done):
            thinned.append(purge_archive(archivist, platform.now()))
    return _describe(done, is_trial=is_trial) | {"archive": _describe_archive(thinned)}


def _purge(
    vault: Vault,
    platform: Platform,
    now: datetime,
    done: list[Purged],
    actor: str,
    *,
    is_trial: bool,
) -> Purged:
    return purge_next(
        vault,
        platform.settings.retention,
        now,
        after=done[-1].plan.end if done else -1,
        new_id=new_id,
        actor=actor,
        is_trial=is_trial,
    )


def _describe(done: list[Purged], *, is_trial: bool) -> JsonObject:
    records: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    cut_offs: dict[str, Json] = {}
    for one in done:
        records.update(one.plan.records)
        kinds.update(one.plan.kinds)
        cut_offs.update({kind: rule.before for kind, rule in one.plan.rules.items()})
    entries: list[Json] = [one.entry.entry_id for one in done if one.entry is not None]
    partitions: list[Json] = [name for one in done for name in one.partitions]
    return {
        "trial": is_trial,
        "records": {**records},
        "decisions": {**kinds},
        "before": cut_offs,
        "held": sum(one.plan.held for one in done),
        "away": sum(one.plan.away for one in done),
        "keys": sum(one.keys for one in done),
        "partitions": partitions,
        "entries": entries,
    }


def _describe_archive(thinned: list[ArchivePurged]) -> Json:
    left: list[Json] = list(dict.fromkeys(path for one in thinned for path in one.left))
    return {
        "replaced": sum(one.replaced for one in thinned),
        "removed": sum(one.removed for one in thinned),
        "left": left,
    }
