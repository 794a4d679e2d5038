"""Purging what is older than its retention: an entry of the log, and what leaves with it.

The order is: plan, entry and removal in one transaction, then the keys that open nothing any more.
A crash in between leaves keys that open nothing, and no record half gone.
"""

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from audit.erasure import Vault
from audit.errors import PurgeOutdatedError
from audit.ledger import Act, LedgerLine
from audit.log import Appended
from audit.purge_plan import MOST_ENTRIES, Due, Plan, plan_purge
from audit.purge_rows import remove_rows, verify_unconcerned
from audit.records import NONCE_SIZE_BYTES, Entry, EntryType, format_time
from audit.retention import Retention, build_purge_facts
from audit.scan import count_entries


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did, or would do.

    Parameters
    ----------
    plan
        What went.
    entry
        Its entry in the log; None for a trial run.
    partitions
        Names of the partitions dropped.
    keys
        How many keys were destroyed, as nothing is sealed under them any more.
    """

    plan: Plan
    entry: Appended | None
    partitions: tuple[str, ...] = ()
    keys: int = 0


def purge_next(
    vault: Vault,
    retention: Retention,
    now: datetime,
    *,
    after: int = -1,
    most: int = MOST_ENTRIES,
    new_id: Callable[[], str],
    actor: str,
    is_trial: bool = False,
) -> Purged:
    """Purge what is due behind a place of the log, at most so many entries.

    Parameters
    ----------
    vault
        Where; on PostgreSQL its store and its `record` are the owner's. What the store reads from
        the archive is planned too, and `audit.archive_purge` removes it there afterwards.
    retention
        Days of each kind.
    now
        Aware time.
    after
        `Plan.end` of the purge before; -1 begins at the first entry.
    most
        Ends the plan after so many entries.
    new_id
        Makes the id of the purge's entry.
    actor
        Who purges.
    is_trial
        Only plan.

    Raises
    ------
    PurgeOutdatedError
        If a record of the plan was amended or put under a hold at the same moment; nothing is
        purged then.
    StoreUnavailableError, LogDamagedError
        If it could not be done; nothing is purged then. Keys may stay that open nothing.
    ArchiveUnavailableError, ArchiveDamagedError
        If what else is sealed under a key cannot be read; the keys stay then, though the records
        are purged.
    """
    # 1. Who is held, and what is due, as of one snapshot.
    ledger = vault.keys.ledger
    generation = ledger.size()
    due = Due(retention, now, ledger.held(), vault.sealer.key_id)
    with vault.store.raw() as connection:
        tree_size = count_entries(connection)
        plan = plan_purge(connection, due, after, most, vault.store.bodies)
    if is_trial or not plan.places:
        return Purged(plan, None)
    dropped: list[str] = []

    def remove(connection: Connection) -> None:
        # 2. It is this writer's turn: what was planned still has to be right.
        if ledger.size() != generation:
            raise PurgeOutdatedError("the erasure ledger has changed")
        verify_unconcerned(connection, plan, tree_size)
        dropped.extend(remove_rows(connection, plan))

    # 3. The entry, and in its transaction the rows.
    entry = vault.record(_build_entry(plan, now, entry_id=new_id(), actor=actor, remove=remove))
    # 4. Old pages leave the write-ahead log, and keys without anything to open the key store.
    vault.store.fold()
    keys = _expire_keys(vault, plan, entry, now, actor)
    return Purged(plan, entry, tuple(dropped), keys)


def _build_entry(
    plan: Plan,
    now: datetime,
    *,
    entry_id: str,
    actor: str,
    remove: Callable[[Connection], None],
) -> Entry:
    nonce = b64encode(os.urandom(NONCE_SIZE_BYTES)).decode("ascii")
    facts = build_purge_facts(plan.rules, plan.ranges(), plan.records, nonce=nonce, actor=actor)
    return Entry(
        entry_id=entry_id,
        entry_type=EntryType.PURGE,
        recorded_at=now,
        header={},
        facts=facts,
        removes=remove,
    )


def _expire_keys(vault: Vault, plan: Plan, entry: Appended, now: datetime, actor: str) -> int:
    # In the writer's turn: whoever sealed something meanwhile under such a key has to seal anew,
    # as the ledger grew, and whoever has written is seen here.
    with vault.store.writing() as writing:
        gone = []
        for key_id, (order_hash, subject_hash) in plan.owners.items():
            is_nobodys = order_hash is None and subject_hash is None
            left = (
                ()
                if is_nobodys
                else writing.sealed_by(order_hash=order_hash, subject_hash=subject_hash)
            )
            if all(vault.sealer.key_id(one.head) != key_id for one in left):
                gone.append(key_id)
        at = format_time(now)
        lines = [
            LedgerLine(Act.EXPIRE, entry.entry_id, key_id.hex(), at, actor, "retention")
            for key_id in gone
        ]
        vault.keys.ledger.append(*lines)
    vault.keys.destroy(gone)
    return len(gone)
