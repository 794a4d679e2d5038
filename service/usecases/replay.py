"""Deciding recorded decisions again, one or a sample."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from audit.canonical import parse_json
from audit.facts import parse_decision, verdict_json
from audit.outside_facts import is_outside, outside_verdict_json, parse_outside
from audit.outside_replay import replay_outside
from audit.records import EntryType
from audit.replay import Difference, LoadLookups, Replay, as_stored, replay
from audit.split_facts import is_split, parse_split
from audit.split_replay import replay_split
from audit.store import Record, Search
from models.domain import Json, Language
from models.errors import BundleCorruptError, PlatformError, ReferenceCorruptError
from service.answers import JsonObject
from service.artefacts import PLACES, Artefacts
from service.live import Shelf
from service.usecases.records import find_kept_decision, find_personal, is_erased
from service.wiring import Platform

ORDER_ERASED = "the order is gone: its data subject was erased; the recorded facts were replayed"
NOT_MADE_AGAIN = "not decided again: what it needs is no longer what was recorded"
_PAGE = 500
MOST_DIFFERENCES = 100
# A split that differs does so in hundreds of places, and would leave no room for others.
_MOST_OF_ONE = 10


def replay_decision(platform: Platform, decision_id: str, language: Language = "en") -> JsonObject:
    """Decide a recorded decision again and compare everything.

    Raises
    ------
    DecisionNotFoundError
        When no decision has this id.
    RecordPurgedError
        When its retention has ended.
    BundleCorruptError, ScorerError, RecordMalformedError
        When what it needs is missing or damaged.
    """
    record = find_kept_decision(platform, decision_id)
    return describe_replay(replay_record(platform, record), language)


def replay_record(platform: Platform, record: Record) -> Replay:
    """Replay from the facts, and from the sealed order when it can be opened."""

    def open_order(stored: Record) -> bytes | None:
        personal = None if stored.sealed is None else find_personal(platform, stored)
        return None if personal is None else personal.order

    settings = platform.settings
    folders = Artefacts(settings.bundles, settings.policies, settings.kinds, settings.references)
    lookups = platform.references.pinned_if_kept
    result = replay_from(record, platform.shelf, folders, open_order, lookups)
    if is_erased(platform, record):
        notes = (result.note, ORDER_ERASED)
        return replace(result, note="; ".join(note for note in notes if note))
    return result


def replay_from(
    record: Record,
    shelf: Shelf,
    artefacts: Artefacts,
    open_order: Callable[[Record], bytes | None],
    load_lookups: LoadLookups,
) -> Replay:
    """Replay a record of any form.

    Parameters
    ----------
    shelf
        Where models come from.
    artefacts
        Where their files lie: what of them was altered is named, and nothing is made from it.
    open_order
        Returns the order, or None when it can no longer be opened.
    load_lookups
        Returns look-ups over the pinned tables, or None when they are not at hand.

    Raises
    ------
    BundleCorruptError, ReferenceCorruptError
        When a file is missing.
    ScorerError, RecordMalformedError
        When what it needs is damaged otherwise.
    """
    try:
        return _replay(record, shelf, open_order, load_lookups)
    except (BundleCorruptError, ReferenceCorruptError) as error:
        altered = artefacts.find_altered(record.facts or b"")
        if not altered:
            raise
        paths = dict.fromkeys(PLACES[cause.factor] for cause in altered)
        return Replay(
            match=False,
            differences=tuple(Difference(path, _named(record, path), None) for path in paths),
            causes=altered,
            recorded=_recorded(record.facts or b""),
            replayed={},
            note=f"{NOT_MADE_AGAIN} ({error.code})",
        )


def _replay(
    record: Record,
    shelf: Shelf,
    open_order: Callable[[Record], bytes | None],
    load_lookups: LoadLookups,
) -> Replay:
    facts = parse_json(record.facts or b"null")
    if is_split(facts):
        return replay_split(record, shelf.load_split, open_order)
    if is_outside(facts):
        return replay_outside(record, shelf.load_outside, open_order, load_lookups)
    return replay(record, shelf.load, open_order, load_lookups)


def _recorded(facts: bytes) -> JsonObject:
    body = parse_json(facts)
    if is_split(body):
        return parse_split(facts).conclusion
    if is_outside(body):
        return as_stored(outside_verdict_json(parse_outside(facts).verdict))
    return as_stored(verdict_json(parse_decision(facts).verdict))


def _named(record: Record, path: str) -> Json:
    value = parse_json(record.facts or b"null")
    for step in path.split("/")[1:]:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def replay_sample(
    platform: Platform,
    sample: int,
    seed: int,
    on_progress: Callable[[int, int], None],
    replay_one: Callable[[Platform, Record], Replay] = replay_record,
    *,
    language: Language = "en",
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
    language
        Of the causes.

    Returns
    -------
    JsonObject
        `replayed`, `identical`, and at most 100 `differences`, ten of one decision.
    """

    def replay_named(decision_id: str) -> Replay:
        return replay_one(platform, find_kept_decision(platform, decision_id))

    ids = _draw(platform, sample, seed)
    identical = 0
    differences: list[Json] = []
    for number, decision_id in enumerate(ids, start=1):
        found = list_differences(decision_id, partial(replay_named, decision_id), language)
        identical += not found
        differences += found
        on_progress(number, len(ids))
    shown = differences[:MOST_DIFFERENCES]
    return {"replayed": len(ids), "identical": identical, "differences": shown}


def describe_replay(result: Replay, language: Language) -> JsonObject:
    """Return a replay as the API shows it, its cause in `language`."""
    noted: JsonObject = {} if result.note is None else {"note": result.note}
    return {
        **noted,
        "match": result.match,
        "differences": [
            {"path": one.path, "recorded": one.recorded, "replayed": one.replayed}
            for one in result.differences
        ],
        **_causes(result, language),
        "recorded": result.recorded,
        "replayed": result.replayed,
    }


def _causes(result: Replay, language: Language) -> JsonObject:
    cause = result.cause
    return {
        "cause": None if cause is None else cause.in_language(language),
        "causes": [one.describe() for one in result.causes],
    }


def list_differences(
    decision_id: str, replay_one: Callable[[], Replay], language: Language
) -> list[Json]:
    """Return where a decision comes out otherwise: one object for each place, at most ten.

    Parameters
    ----------
    replay_one
        Replays it; what cannot be replayed is one difference, with the error's code as its cause.
    """
    try:
        result = replay_one()
    except PlatformError as error:
        failure: Json = {"decision_id": decision_id, "path": "", "cause": error.code, "causes": []}
        return [failure]
    named = _causes(result, language)
    return [
        {
            "decision_id": decision_id,
            "path": one.path,
            "recorded": one.recorded,
            "replayed": one.replayed,
            **named,
        }
        for one in result.differences[:_MOST_OF_ONE]
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
