"""The main path: an order comes in, a recorded decision goes out.

An answer leaves only after its record, its place in the tree and the checkpoint that covers it
are durable, and it is made from what was stored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

from audit.log import Appended
from audit.records import (
    Entry,
    Idempotency,
    Identity,
    PersonalPart,
    build_decision_entry,
    parse_personal,
)
from models.counterfactual import with_counterfactuals
from models.decide import LoadedModel, decide_many
from models.domain import Decision, Language
from models.errors import FieldFault, OrderInvalidError, PlatformError
from models.features import OrderValue
from models.order import ParsedOrder
from service.answers import JsonObject, StoredDecision, build_answer
from service.usecases.records import (
    build_idempotency,
    check_idempotency_key,
    find_repeat,
    new_id,
    open_personal,
)
from service.wiring import Platform


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for decisions, how.

    Parameters
    ----------
    kind
        Name of the kind.
    caller
        Id of the API key.
    route
        Scope of the Idempotency-Keys.
    language
        Of the answers' texts.
    """

    kind: str
    caller: str
    route: str
    language: Language


@dataclass(frozen=True, slots=True)
class Line:
    """One order to decide.

    Parameters
    ----------
    body
        The order as received.
    idempotency_key
        The caller's, or None.
    """

    body: bytes
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class _Fresh:
    """An order that was not decided before, checked."""

    body: bytes
    order: ParsedOrder
    idempotency: Idempotency | None


def decide_one(platform: Platform, ask: Ask, line: Line) -> JsonObject:
    """Decide one order, record it and return the answer.

    Raises
    ------
    KindNotFoundError, NoLiveModelError
        When there is nothing to decide with.
    MalformedJsonError, OrderInvalidError, RequestInvalidError
        When the order or the Idempotency-Key is malformed.
    IdempotencyConflictError
        When the key was used with another body.
    ScorerError, InvariantError
        When the model fails or its answer does not add up.
    StoreUnavailableError, OverloadedError, DeadlineError
        When it could not be recorded; it is not answered then.
    """
    answer = decide_lines(platform, ask, [line])[0]
    if isinstance(answer, PlatformError):
        raise answer
    return answer


def decide_lines(
    platform: Platform, ask: Ask, lines: Sequence[Line]
) -> list[JsonObject | PlatformError]:
    """Decide some orders with one call of the model and one batch of records.

    Parameters
    ----------
    lines
        One order each.

    Returns
    -------
    list
        For each order, in order: the answer, or why there is none.

    Raises
    ------
    KindNotFoundError, NoLiveModelError, BundleCorruptError
        When there is nothing to decide with.
    """
    started = platform.clock()
    model = platform.live.get(ask.kind)
    # 1. A retry gets the first answer; a malformed order gets its faults.
    prepared = [_prepare(platform, ask, model, line) for line in lines]
    # 2. Decide the others.
    fresh = [item for item in prepared if isinstance(item, _Fresh)]
    decisions = _decide(platform, model, fresh, started)
    # 3. Record what was decided; it is durable when this returns.
    drafts = [
        _build_entry(platform, ask, model, decision, item)
        for decision, item in zip(decisions, fresh, strict=True)
    ]
    recorded = iter(_record(platform, drafts))
    # 4. Answer from what was stored.
    personal = {d.entry_id: d.personal or b"" for d in drafts if isinstance(d, Entry)}
    places = [next(recorded) if isinstance(item, _Fresh) else item for item in prepared]
    return [_answer(platform, ask, place, personal) for place in places]


def _prepare(
    platform: Platform, ask: Ask, model: LoadedModel, line: Line
) -> _Fresh | Appended | PlatformError:
    try:
        check_idempotency_key(line.idempotency_key)
        used = build_idempotency(ask.caller, ask.route, line.idempotency_key, line.body)
        return find_repeat(platform, used) or _Fresh(line.body, model.schema.parse(line.body), used)
    except PlatformError as error:
        return error


def _decide(
    platform: Platform, model: LoadedModel, fresh: Sequence[_Fresh], started: float
) -> Sequence[Decision | PlatformError]:
    if not fresh:
        return []
    clock = platform.clock
    try:
        decisions = decide_many(model, [item.order for item in fresh], clock, started)
        return [
            with_counterfactuals(model, item.body, decision, clock)
            for item, decision in zip(fresh, decisions, strict=True)
        ]
    except PlatformError as error:
        if len(fresh) == 1:
            return [error]
    # One order that does not add up must not refuse its neighbours.
    return [_decide(platform, model, [item], started)[0] for item in fresh]


def _build_entry(
    platform: Platform,
    ask: Ask,
    model: LoadedModel,
    decision: Decision | PlatformError,
    item: _Fresh,
) -> Entry | PlatformError:
    if isinstance(decision, PlatformError):
        return decision
    kind, values = model.kind, item.order.values
    order_id = value_at(values, kind.order_id)
    if order_id is None:
        pointer = "/" + kind.order_id.replace(".", "/")
        return OrderInvalidError((FieldFault(pointer, "an order needs its id"),))
    identity = Identity(
        decision_id=new_id(),
        decided_at=platform.now(),
        order_id=order_id,
        subject_id=None if kind.subject_id is None else value_at(values, kind.subject_id),
        chain_id=new_id(),
        parent_id=None,
        caller=ask.caller,
    )
    return build_decision_entry(decision, identity, item.body, item.idempotency)


def _record(
    platform: Platform, drafts: Sequence[Entry | PlatformError]
) -> list[Appended | PlatformError]:
    whole = [draft for draft in drafts if isinstance(draft, Entry)]
    recorded: Iterator[Appended | PlatformError]
    try:
        recorded = iter(platform.writer.record(whole))
    except PlatformError as error:
        recorded = repeat(error)
    return [next(recorded) if isinstance(draft, Entry) else draft for draft in drafts]


def _answer(
    platform: Platform,
    ask: Ask,
    place: Appended | PlatformError,
    personal: Mapping[str, bytes],
) -> JsonObject | PlatformError:
    if isinstance(place, PlatformError):
        return place
    known = personal.get(place.entry_id)
    stored = StoredDecision(
        leaf_index=place.leaf_index,
        tree_size=place.tree_size,
        leaf=place.leaf,
        facts=place.facts or b"null",
        personal=_stored_personal(platform, place) if known is None else parse_personal(known),
        receipt=place.receipt,
    )
    answer = build_answer(stored, ask.language)
    if not place.repeated:
        platform.metrics.count_decision(ask.kind, str(answer["outcome"]))
    return answer


def _stored_personal(platform: Platform, place: Appended) -> PersonalPart:
    with platform.store.reading() as reading:
        return open_personal(platform, reading.record_at(place.leaf_index))


def value_at(values: dict[str, OrderValue], path: str) -> str | None:
    """Return the identifier at a dotted path as text; None when it is missing.

    Examples
    --------
    >>> value_at({"customer": {"customer_id": "C1"}}, "customer.customer_id")
    'C1'
    """
    value: OrderValue = values
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return None if value is None else str(value)
