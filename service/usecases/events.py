"""What callers must learn after the answer: overrides, publications, new reference data.

Events are entries of the log, so nothing is lost and their order is the log's; a caller asks for
those after the last that it has worked off, which gives each at least once.
"""

from typing import Final

from audit.canonical import parse_json
from audit.records import EntryType
from audit.store import Record
from models.domain import Json
from service.answers import JsonObject
from service.usecases.records import find_decision, find_personal, read_header, read_object
from service.wiring import Platform

TOLD: Final = (EntryType.OVERRIDE, EntryType.PUBLICATION, EntryType.REFERENCE)
_NOT_SHOWN: Final = {"version", "nonce", "kind", "outcome"}


def read_events(platform: Platform, after: int, limit: int) -> JsonObject:
    """Return what happened after a place in the log, oldest first.

    Parameters
    ----------
    after
        Leaf index of the last event that the caller has worked off; -1 for all.
    limit
        Most events.

    Returns
    -------
    JsonObject
        `events`, and `next`: what to ask after the next time.
    """
    with platform.store.reading() as reading:
        found = reading.found_after(after, list(TOLD), limit)
        records = [reading.record_at(item.leaf_index) for item in found]
    events: list[Json] = [_describe(platform, record) for record in records]
    return {"events": events, "next": records[-1].leaf_index if records else after}


def _describe(platform: Platform, record: Record) -> JsonObject:
    header = read_header(record.leaf)
    facts = read_object(parse_json(record.facts or b"null"))
    decision_id = header.get("about")
    order_id: Json = None
    if isinstance(decision_id, str):
        personal = find_personal(platform, find_decision(platform, decision_id))
        order_id = None if personal is None else personal.order_id
    return {
        "leaf_index": record.leaf_index,
        "event_id": record.entry_id,
        "type": header["type"],
        "recorded_at": header["recorded_at"],
        "kind": header.get("kind") or facts.get("kind"),
        "decision_id": decision_id,
        "order_id": order_id,
        "outcome": facts.get("outcome"),
        "details": {name: value for name, value in facts.items() if name not in _NOT_SHOWN},
    }
