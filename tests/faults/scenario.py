"""What a writer does while something fails, and the log that it does it with.

The log is wired as the service wires it. A writer answers over a socket, so that every write,
sync and unlink system call that it makes is one of the store.
"""

import resource
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import event

from audit.erasure import Vault, apply_ledger, build_line, erase, find_key
from audit.identifiers import Owner
from audit.ledger import Act
from audit.log import Appended, append
from audit.records import Entry
from audit.seal import Sealer
from audit.store import Store, open_store
from audit.subject_keys import SubjectKeyStore
from audit.witnessed import Notary
from models.errors import PlatformError
from service.keyfiles import load_keys, open_subject_key_store
from service.settings import Settings
from service.wiring import _make_folder, build_notary, open_platform
from tests.audit.sample import START, make_decision_entry

WAL, DELETE = "wal", "delete"
# Small, so that the write-ahead log is folded back several times in a short run.
_FOLD_PAGES: Final = 24
_ATTEMPTS: Final = 3
ERASED_SUBJECT: Final = "s-1"
ERASED_NUMBER: Final = 1

Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What a writer is to do.

    Parameters
    ----------
    folder
        Where the log lies.
    batches
        Numbers of the orders to record; each batch is one append.
    erase_after
        After which batch a data subject is erased; None for never.
    journal
        SQLite's journal mode.
    variant
        "sound", or a writer that is broken on purpose: "early" answers before the append,
        "unsynced" runs SQLite at synchronous=NORMAL.
    tag
        Distinguishes the entries of this writer from those of others for the same orders.
    file_limit_bytes
        Limit on the size of a file, set after the log is open and lifted before the last batch.
    """

    folder: str
    batches: tuple[tuple[int, ...], ...]
    erase_after: int | None = None
    journal: str = WAL
    variant: str = "sound"
    tag: str = "w"
    file_limit_bytes: int | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return all orders."""
        return tuple(number for batch in self.batches for number in batch)

    def to_json(self) -> bytes:
        """Return it as one line."""
        return orjson.dumps(asdict(self)) + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> "Job":
        """Return what `to_json` wrote."""
        said = orjson.loads(line)
        return cls(**{**said, "batches": tuple(map(tuple, said["batches"]))})


@dataclass(frozen=True, slots=True)
class Log:
    """An open log."""

    store: Store
    notary: Notary
    sealer: Sealer
    keys: SubjectKeyStore

    def append(self, entries: Sequence[Entry]) -> list[Appended]:
        """Append one batch."""
        done = append(self.store, entries, self.notary, self.sealer)
        assert all(isinstance(one, Appended) for one in done)
        return [one for one in done if isinstance(one, Appended)]

    def record(self, entry: Entry) -> Appended:
        """Append one entry."""
        return self.append([entry])[0]

    @property
    def vault(self) -> Vault:
        """Return it as an erasure needs it."""
        return Vault(self.store, self.keys, self.sealer, self.record)


def make_settings(folder: Path) -> Settings:
    """Return the settings of a log in a folder."""
    return Settings(var=folder, sqlite_wal_autocheckpoint_pages=_FOLD_PAGES, log_level="error")


@contextmanager
def open_log(folder: Path, journal: str = WAL) -> Iterator[Log]:
    """Open a log as the service does; with a rollback journal as `open_store` allows."""
    settings = make_settings(folder)
    if journal == WAL:
        with open_platform(settings) as platform:
            yield Log(platform.store, platform.notary, platform.sealer, platform.subject_keys)
        return
    _make_folder(settings)
    store = open_store(settings.store_url, journal_mode=DELETE, synchronous="extra")
    with store.reading() as reading:
        is_new = reading.tree_size() == 0 and not settings.kept_checkpoint.exists()
    keys = load_keys(settings, may_create=is_new)
    subject_keys = open_subject_key_store(settings, may_create=is_new)
    log = Log(store, build_notary(settings, keys), Sealer(subject_keys, keys.lookup), subject_keys)
    apply_ledger(log.vault, START)
    yield log
    subject_keys.close()
    store.close()


def make_entry(number: int, tag: str) -> Entry:
    """Return a decision about an order; each try has an id of its own, all have one key."""
    return replace(make_decision_entry(number, key=f"k{number}"), entry_id=f"d-{number}-{tag}")


def describe(number: int, appended: Appended) -> dict[str, Any]:
    """Return an answer as a caller gets it."""
    return {
        "did": "answer",
        "number": number,
        "entry_id": appended.entry_id,
        "leaf_index": appended.leaf_index,
        "receipt": sha256(appended.receipt.encode()).hexdigest(),
    }


def write(job: Job, tell: Tell) -> None:
    """Do a job and tell what was answered; failures are told and tried again."""
    opened = _insist(partial(_write_all, job, tell), tell)
    tell({"did": "end", "complete": opened})


def _write_all(job: Job, tell: Tell) -> None:
    with open_log(Path(job.folder), job.journal) as log:
        if job.variant == "unsynced":
            _stop_syncing(log.store)
        for place, batch in enumerate(job.batches):
            _limit_files(job, place)
            tries = count()

            def one(batch: tuple[int, ...] = batch, tries: "count[int]" = tries) -> None:
                _append(log, batch, f"{job.tag}{next(tries)}", tell, job.variant)

            _insist(one, tell)
            if place == job.erase_after:
                _insist(partial(_erase, log, tell), tell)


def _limit_files(job: Job, place: int) -> None:
    if job.file_limit_bytes is None:
        return
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    is_last = place == len(job.batches) - 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if is_last else job.file_limit_bytes, hard))


def _append(log: Log, batch: Sequence[int], tag: str, tell: Tell, variant: str) -> None:
    entries = [make_entry(number, tag) for number in batch]
    if variant == "early":
        for at, (number, entry) in enumerate(zip(batch, entries, strict=True)):
            said = {"did": "answer", "number": number, "entry_id": entry.entry_id}
            tell({**said, "leaf_index": at, "receipt": ""})
    answers = log.append(entries)
    if variant != "early":
        for number, appended in zip(batch, answers, strict=True):
            tell(describe(number, appended))


def _erase(log: Log, tell: Tell) -> None:
    owner = Owner("subject", ERASED_SUBJECT)
    key_id = find_key(log.vault, owner)
    line = build_line(
        Act.ERASE, entry_id="e-1", key_id=key_id, now=START, actor="test", reason="T-1"
    )
    done = erase(log.vault, owner, line, START)
    tell({"did": "erased", "key_id": key_id.hex(), "entry_id": done.entry.entry_id})


def _insist(act: Callable[[], None], tell: Tell) -> bool:
    """Try something a few times, as a caller and a supervisor do."""
    for _ in range(_ATTEMPTS):
        try:
            act()
        except PlatformError as error:
            tell({"did": "refuse", "code": error.code, "detail": error.detail})
        except Exception as error:  # noqa: BLE001 - an error that is not ours is what is looked for
            tell({"did": "unclear", "error": repr(error)})
        else:
            return True
    return False


def _stop_syncing(store: Store) -> None:
    def prepare(connection: Any, _: Any) -> None:  # noqa: ANN401 - a DBAPI connection has no type
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(store._engine, "connect", prepare)
    # The connections made so far are durable ones.
    store._engine.dispose()


def tell_to(connection: socket.socket) -> Tell:
    """Return what sends each message as one line."""
    return lambda message: connection.sendall(orjson.dumps(message) + b"\n")
