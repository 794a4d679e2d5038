"""Whether a log that something failed in comes back by itself with all that was answered."""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from audit.checkpoint import parse_checkpoint, parse_verifier_key
from audit.errors import RecordNotFoundError
from audit.log import read_receipt
from audit.records import EntryType
from audit.store import Store
from audit.verify import verify_store
from models.errors import PlatformError
from tests.faults.scenario import ERASED_NUMBER, WAL, Log, describe, make_entry, open_log

Message = dict[str, Any]
_DECISIONS = (EntryType.DECISION,)


def find_lost(store: Store, messages: Iterable[Message]) -> list[str]:
    """Return what was answered and is not there as it was answered, a sentence for each."""
    answers = [message for message in messages if message["did"] == "answer"]
    return [said for answer in answers if (said := _lost(store, answer))]


def _lost(store: Store, answer: Message) -> str:
    entry_id = answer["entry_id"]
    try:
        with store.reading() as reading:
            found = reading.record(entry_id)
        receipt = sha256(read_receipt(store, entry_id).encode()).hexdigest()
    except RecordNotFoundError:
        return f"{entry_id} was answered and is lost"
    if found.facts is None or (found.leaf_index, receipt) != (
        answer["leaf_index"],
        answer["receipt"],
    ):
        return f"{entry_id} is not what was answered"
    return ""


def find_problems(
    folder: Path, messages: Sequence[Message], numbers: Iterable[int], journal: str = WAL
) -> list[str]:
    """Open a log again without any fault, send everything again, and check all of it.

    Parameters
    ----------
    folder, journal
        The log.
    messages
        What a writer said before.
    numbers
        Every order that was ever sent; each is sent once more with its Idempotency-Key.

    Returns
    -------
    list of str
        What is wrong; empty when all is well.
    """
    try:
        with open_log(folder, journal) as log:
            problems = (
                _check_kept(log, messages)
                + find_lost(log.store, messages)
                + _check_erasure(log, messages)
            )
            problems += _check_keys(log, messages, numbers)
            report = verify_store(log.store, [_vkey(log)], log.sealer)
            return problems + [f"{one.code}: {one.detail}" for one in report.problems]
    except PlatformError as error:
        return [f"does not come back: {error.code}: {error.detail}"]


def _vkey(log: Log) -> str:
    with log.store.reading() as reading:
        return log.notary.keyring.present_key(reading)


def _check_kept(log: Log, messages: Iterable[Message]) -> list[str]:
    """Whoever was answered must find the checkpoint that covers it outside the database too."""
    last = max((said["leaf_index"] for said in messages if said["did"] == "answer"), default=-1)
    note = log.notary.kept.read(parse_verifier_key(_vkey(log)).name)
    kept_size = 0 if note is None else parse_checkpoint(note).tree_size
    return [] if kept_size > last else [f"{kept_size} entries are kept, but {last + 1} answered"]


def _check_erasure(log: Log, messages: Iterable[Message]) -> list[str]:
    erased = [bytes.fromhex(said["key_id"]) for said in messages if said["did"] == "erased"]
    known = [key_id for key_id in erased if not log.keys.ledger.is_erased(key_id)]
    return ["an erasure was answered and is lost"] * len(known)


def _check_keys(log: Log, messages: Iterable[Message], numbers: Iterable[int]) -> list[str]:
    first = {said["number"]: said for said in messages if said["did"] == "answer"}
    # A retry with the key of an erased order is decided anew, so it is left out.
    sent = sorted(set(numbers) - {ERASED_NUMBER})
    answers = log.append([make_entry(number, "again") for number in sent])
    problems = [
        f"the key of order {number} was answered with another record"
        for number, appended in zip(sent, answers, strict=True)
        if number in first and describe(number, appended) != first[number]
    ]
    with log.store.reading() as reading:
        recorded = Counter(int(name.split("-")[1]) for name in reading.records_of(_DECISIONS))
        tree_size = reading.tree_size()
        if len(reading.leaves(0, tree_size)) != tree_size:
            problems.append("the index has a gap")
    several = [number for number, found in recorded.items() if found > 1]
    missing = [number for number in sent if number not in recorded]
    problems += [f"order {number} has {recorded[number]} records" for number in several]
    return problems + [f"order {number} has no record" for number in missing]
