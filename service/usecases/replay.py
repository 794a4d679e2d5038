"""Deciding recorded decisions again, one or a sample."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from audit.canonical import parse_json
from audit.outside_facts import is_outside
from audit.outside_replay import replay_outside
from audit.records import EntryType
from audit.replay import LoadLookups, Replay, replay
from audit.split_facts import is_split
from audit.split_replay import replay_split
from audit.store import Record, Search
from models.domain import Json
from models.errors import PlatformError
from service.answers import JsonObject
from service.live import Shelf
from service.usecases.records import find_kept_decision, find_personal, is_erased
from service.wiring import Platform

ORDER_ERASED = "the order is gone: its data subject was erased; the recorded facts were replayed"
_PAGE = 500
_MOST_DIFFERENCES = 100


def replay_decision(platform: Platform, decision_id: str) -> JsonObject:
    """Decide a recorded decision again and compare everything.

    Raises
    ------
    DecisionNotFoundError
        When no decision has this id.
    RecordPurgedError
        When its retention has ended.
    BundleCorruptError, ScorerError, RecordMalformedError
        When what it needs is damaged.
    """
    return describe_replay(replay_record(platform, find_kept_decision(platform, decision_id)))


def replay_record(platform: Platform, record: Record) -> Replay:
    """Replay from the facts, and from the sealed order when it can be opened."""

    def open_order(stored: Record) -> bytes | None:
        personal = None if stored.sealed is None else find_personal(platform, stored)
        return None if personal is None else personal.order

    result = replay_from(record, platform.shelf, open_order, platform.references.pinned_if_kept)
    if is_erased(platform, record):
        notes = (result.note, ORDER_ERASED)
        return replace(result, note="; ".join(note for note in notes if note))
    return result


def replay_from(
    record: Record,
    shelf: Shelf,
    open_order: Callable[[Record], bytes | None],
    load_lookups: LoadLookups,
) -> Replay:
    """Replay a record of any form.

    Parameters
    ----------
    shelf
        Where models come from.
    open_order
        Returns the order, or None when it can no longer be opened.
    load_lookups
        Returns look-ups over the pinned tables, or None when they are not at hand.
    """
    facts = parse_json(record.facts or b"null")
    if is_split(facts):
        return replay_split(record, shelf.load_split, open_order)
    if is_outside(facts):
        return replay_outside(record, shelf.load_outside, open_order, load_lookups)
    return replay(record, shelf.load, open_order, load_lookups)


def replay_sample(
    platform: Platform,
    sample: int,
    seed: int,
    on_progress: Callable[[int, int], None],
    replay_one: Callable[[Platform, Record], Replay] = replay_record,
) -> JsonObject:
    """Replay some decisions, drawn evenly from the whole log.

    Parameters
    ----------
    sample
        How many; all when there are fewer.
    seed
        Of the draw.
    on_progress
        Told how many of how many are done.
    replay_one
        Replays one; by default just as it was recorded.

    Returns
    -------
    JsonObject
        `replayed`, `identical`, and at most 100 `differences`.
    """
    ids = _draw(platform, sample, seed)
    identical = 0
    differences: list[Json] = []
    for number, decision_id in enumerate(ids, start=1):
        found = _differences(platform, decision_id, replay_one)
        identical += not found
        differences += found
        on_progress(number, len(ids))
    shown = differences[:_MOST_DIFFERENCES]
    return {"replayed": len(ids), "identical": identical, "differences": shown}


def describe_replay(result: Replay) -> JsonObject:
    """Return a replay as the API shows it."""
    noted: JsonObject = {} if result.note is None else {"note": result.note}
    return {
        **noted,
        "match": result.match,
        "differences": [
            {"path": one.path, "recorded": one.recorded, "replayed": one.replayed}
            for one in result.differences
        ],
        "cause": result.cause,
        "recorded": result.recorded,
        "replayed": result.replayed,
    }


def _differences(
    platform: Platform, decision_id: str, replay_one: Callable[[Platform, Record], Replay]
) -> list[Json]:
    try:
        result = replay_one(platform, find_kept_decision(platform, decision_id))
    except PlatformError as error:
        failure: Json = {"decision_id": decision_id, "path": "", "cause": error.code}
        return [failure]
    return [
        {
            "decision_id": decision_id,
            "path": one.path,
            "recorded": one.recorded,
            "replayed": one.replayed,
            "cause": result.cause,
        }
        for one in result.differences
    ]


def _draw(platform: Platform, sample: int, seed: int) -> list[str]:
    # Reservoir sampling: memory is bounded by the sample, whatever the size of the log.
    chance = random.Random(seed)  # noqa: S311 - a draw, not a secret
    kept: list[str] = []
    for number, decision_id in enumerate(_decision_ids(platform)):
        if number < sample:
            kept.append(decision_id)
        elif (place := chance.randrange(number + 1)) < sample:
            kept[place] = decision_id
    return kept


def _decision_ids(platform: Platform) -> Iterator[str]:
    search: int | None = None
    while True:
        with platform.store.reading() as reading:
            found = reading.search(
                Search(entry_type=EntryType.DECISION, cursor=search, limit=_PAGE)
            )
        # Of a purged decision no outcome is left, and nothing to replay.
        yield from (one.entry_id for one in found if one.outcome is not None)
        if len(found) < _PAGE:
            return
        search = found[-1].leaf_index
