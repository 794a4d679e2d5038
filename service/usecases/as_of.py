"""What yesterday's or today's lists would have said of a decision.

The decision is made again from its sealed order with its own model, policy, counters and error
rates; only the reference tables are others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from audit.canonical import parse_json
from audit.errors import RecordNotFoundError
from audit.facts import MODEL_FORM, RecordedDecision, parse_decision
from audit.records import format_time
from audit.replay import Replay, replay_with
from audit.store import Record
from models.domain import Json, Language
from models.errors import FieldFault
from models.kind import Kind
from models.lookup import Lookups
from models.surroundings import ReferenceRef
from service.answers import JsonObject
from service.errors import AsOfUnavailableError, RequestInvalidError
from service.references import table_names
from service.usecases.records import find_kept_decision, find_personal, read_object
from service.usecases.replay import describe_replay, replay_record
from service.wiring import Platform

_PINS = "/surroundings/references"


@dataclass(frozen=True, slots=True)
class OtherLists:
    """Which versions of the tables to ask instead of those recorded.

    Parameters
    ----------
    as_of
        Those in force at this moment, aware; None for those recorded.
    digests
        Table name to a version that was ever in force; goes before `as_of`.
    """

    as_of: datetime | None = None
    digests: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.as_of is not None or bool(self.digests)


def replay_as_of(
    platform: Platform, decision_id: str, lists: OtherLists, language: Language = "en"
) -> JsonObject:
    """Decide a recorded decision again with other versions of the tables.

    Returns
    -------
    JsonObject
        A replay as `service.usecases.replay` describes it, and `references`: for each table the
        version recorded and the version asked now.

    Raises
    ------
    DecisionNotFoundError
        When no decision has this id.
    RecordPurgedError
        When its retention has ended.
    AsOfUnavailableError
        When its order can no longer be opened, or no table speaks in its form.
    ReferenceNotFoundError, RequestInvalidError
        When a table had no version then, or the kind asks no such table.
    ReferenceCorruptError, BundleCorruptError, ScorerError, RecordMalformedError
        When what it needs is damaged.
    """
    record = find_kept_decision(platform, decision_id)
    decision = _parse(record)
    lookups = _choose(platform, decision, lists)
    then = {one.name: one for one in decision.surroundings.references}
    asked: list[Json] = [
        {"name": now.name, "recorded": _pin(then.get(now.name)), "replayed": _pin(now)}
        for now in lookups.references
    ]
    result = _replay(platform, record, lookups)
    return {**describe_replay(result, language), "references": asked}


def replay_record_as_of(platform: Platform, record: Record, lists: OtherLists) -> Replay:
    """Return what `replay_as_of` describes; a decision of a form without tables is just replayed.

    Raises
    ------
    PlatformError
        See `replay_as_of`.
    """
    if not _has_tables(record):
        return replay_record(platform, record)
    return _replay(platform, record, _choose(platform, _parse(record), lists))


def _parse(record: Record) -> RecordedDecision:
    if record.facts is None:
        raise RecordNotFoundError("the record has no facts part to replay")
    if not _has_tables(record):
        raise AsOfUnavailableError("no reference table speaks in decisions of this form")
    return parse_decision(record.facts)


def _has_tables(record: Record) -> bool:
    return read_object(parse_json(record.facts or b"null")).get("form", MODEL_FORM) == MODEL_FORM


def _choose(platform: Platform, decision: RecordedDecision, lists: OtherLists) -> Lookups:
    references = platform.references
    kind = platform.shelf.load(decision.model, decision.policy).kind
    _check_names(kind, lists)
    for name, digest in lists.digests.items():
        # Only what was in force once: a digest names a file, and others name other files.
        references.version(name, digest)
    base: tuple[ReferenceRef, ...] = decision.surroundings.references
    if lists.as_of is not None:
        base = references.as_of(kind, lists.as_of).references
    return references.chosen(kind, {one.name: one.digest for one in base} | {**lists.digests})


def _check_names(kind: Kind, lists: OtherLists) -> None:
    unknown = sorted(set(lists.digests) - set(table_names(kind)))
    if unknown:
        fault = FieldFault(f"/references/{unknown[0]}", f"the kind {kind.name} asks no such table")
        raise RequestInvalidError((fault,))


def _replay(platform: Platform, record: Record, lookups: Lookups) -> Replay:
    personal = None if record.sealed is None else find_personal(platform, record)
    if personal is None:
        raise AsOfUnavailableError("the order of the decision can no longer be opened")
    result = replay_with(record, platform.shelf.load, personal.order, lookups)
    # That other versions were asked is the question; the answer is what they changed.
    found = tuple(one for one in result.differences if not one.path.startswith(_PINS))
    return replace(
        result, match=not found, differences=found, causes=result.causes if found else ()
    )


def _pin(reference: ReferenceRef | None) -> Json:
    if reference is None:
        return None
    return {"digest": reference.digest, "as_of": format_time(reference.as_of)}
