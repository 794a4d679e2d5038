"""Searching decisions, newest first, page by page."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from audit.errors import SearchInvalidError
from audit.records import EntryType, format_time
from audit.store import Found, Record, Search
from models.domain import Json
from models.errors import FieldFault
from service.answers import JsonObject
from service.errors import RequestInvalidError
from service.usecases.read import list_amendments
from service.usecases.records import find_personal, read_object
from service.wiring import Platform

_MOST_PAGES = 20
_LARGEST_CURSOR = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for; None means any.

    Parameters
    ----------
    kind, order_id, outcome
        Exact values.
    from_at, to_at
        Times of decision; from is included, to is not; without zone they are UTC.
    awaits_review
        True: only decisions that a person has still to make; False: only the others.
    cursor
        `next_cursor` of the page before.
    limit
        Decisions on a page.
    """

    kind: str | None = None
    order_id: str | None = None
    outcome: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    awaits_review: bool | None = None
    cursor: str | None = None
    limit: int = 50


def search_decisions(platform: Platform, query: Query) -> JsonObject:
    """Return a page: `decisions`, and `next_cursor` (None on the last page).

    Raises
    ------
    SearchInvalidError, RequestInvalidError
        When the cursor, the limit or a time cannot be searched for.
    """
    order_hash = None
    if query.order_id is not None:
        order_hash = platform.sealer.keyed_hash("order", query.order_id)
    search = Search(
        entry_type=EntryType.DECISION,
        kind=query.kind,
        outcome=query.outcome,
        order_hash=order_hash,
        from_at=_aware(query.from_at, "from"),
        to_at=_aware(query.to_at, "to"),
        cursor=_parse_cursor(query.cursor),
        limit=query.limit,
    )
    shown: list[Json] = []
    for _ in range(_MOST_PAGES):
        with platform.store.reading() as reading:
            found = reading.search(search)
            rows = [
                (one, reading.record_at(one.leaf_index), reading.records_about(one.entry_id))
                for one in found
            ]
        for one, record, later in rows:
            line = _describe(platform, one, record, later)
            search = replace(search, cursor=one.leaf_index)
            if query.awaits_review in (None, line["awaits_review"]):
                shown.append(line)
            if len(shown) == query.limit:
                return {"decisions": shown, "next_cursor": str(one.leaf_index)}
        if len(found) < query.limit:
            return {"decisions": shown, "next_cursor": None}
    # A page may be short: what was scanned for it is bounded.
    return {"decisions": shown, "next_cursor": str(search.cursor)}


def _describe(platform: Platform, found: Found, record: Record, later: list[Record]) -> JsonObject:
    overrides = list_amendments(platform, later, EntryType.OVERRIDE, opened=False)
    personal = find_personal(platform, record)
    in_force = read_object(overrides[-1]).get("outcome") if overrides else found.outcome
    is_purged = record.facts is None
    return {
        "decision_id": found.entry_id,
        "kind": found.kind,
        "order_id": None if personal is None else personal.order_id,
        "erased": personal is None and not is_purged,
        "purged": is_purged,
        "decided_at": format_time(found.recorded_at),
        "chain_id": found.chain_id,
        "outcome": found.outcome,
        "automated": found.automated,
        "outcome_in_force": in_force,
        "awaits_review": not (found.automated or overrides or is_purged),
        "leaf_index": found.leaf_index,
    }


def _aware(moment: datetime | None, name: str) -> datetime | None:
    if moment is None:
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        fault = FieldFault(f"/query/{name}", "the time is out of range")
        raise RequestInvalidError((fault,)) from error


def _parse_cursor(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    digits = cursor.isascii() and cursor.isdigit() and len(cursor) <= len(str(_LARGEST_CURSOR))
    if not digits or int(cursor) > _LARGEST_CURSOR:
        raise SearchInvalidError("the cursor is not one that a search gave")
    return int(cursor)
