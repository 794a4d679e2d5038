"""Drafts become records, and records answers: the end of every path that decides."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat

from audit.log import Appended
from audit.records import Entry, PersonalPart, parse_personal
from models.domain import Language
from models.errors import PlatformError
from service.answers import JsonObject, StoredDecision, build_answer
from service.usecases.records import find_personal
from service.wiring import Platform


def record_drafts(
    platform: Platform, drafts: Sequence[Entry | PlatformError]
) -> list[Appended | PlatformError]:
    """Record what could be decided; it is durable when this returns.

    Parameters
    ----------
    drafts
        Entries, and why there is none.

    Returns
    -------
    list
        For each draft, in order: where it is in the log, or why it is not.
    """
    whole = [draft for draft in drafts if isinstance(draft, Entry)]
    recorded: Iterator[Appended | PlatformError]
    try:
        recorded = iter(platform.writer.record(whole))
    except PlatformError as error:
        recorded = repeat(error)
    return [next(recorded) if isinstance(draft, Entry) else draft for draft in drafts]


def answer_recorded(
    platform: Platform, place: Appended, language: Language, personal: Mapping[str, bytes]
) -> JsonObject:
    """Return the answer of a recorded decision, made from what was stored.

    Parameters
    ----------
    place
        Where it is in the log.
    personal
        Entry id to personal part, of those just recorded; that of others is opened.
    """
    known = personal.get(place.entry_id)
    stored = StoredDecision(
        leaf_index=place.leaf_index,
        tree_size=place.tree_size,
        leaf=place.leaf,
        facts=place.facts or b"null",
        personal=_stored_personal(platform, place) if known is None else parse_personal(known),
        receipt=place.receipt,
    )
    answer = build_answer(stored, language)
    if not place.repeated:
        platform.metrics.count_decision(str(answer["kind"]), str(answer["outcome"]))
    return answer


def _stored_personal(platform: Platform, place: Appended) -> PersonalPart | None:
    with platform.store.reading() as reading:
        return find_personal(platform, reading.record_at(place.leaf_index))
