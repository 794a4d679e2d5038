"""Splitting orders: decided, recorded and answered as every other decision is.

`decide_split_order` and `build_split_draft` are the two steps that a chain needs too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.log import Appended
from audit.records import Entry
from audit.split_records import build_split_entry
from models.decide import LoadedModel
from models.errors import PlatformError
from models.split.decide import SplitDecision, decide_split
from models.split.policy import SplitPolicy
from models.split.request import order_schema
from service.answers import JsonObject
from service.live import SPLIT
from service.usecases.cases import Place, identify, value_at
from service.usecases.decide import Ask, Line, decide_lines
from service.usecases.outside import decide_outside_lines
from service.usecases.recorded import answer_recorded, record_drafts
from service.usecases.records import (
    build_idempotency,
    check_idempotency_key,
    find_repeat,
    new_id,
)
from service.wiring import Platform

# A split takes up to a second: those already made should not wait for hundreds of others.
_CHUNK_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class SplitOrder:
    """An order that was split and is not recorded yet.

    Parameters
    ----------
    body
        The order as received.
    order_id, subject_id
        The caller's identifiers of order and customer.
    decision
        What was decided.
    currency
        Of its amounts.
    """

    body: bytes
    order_id: str
    subject_id: str | None
    decision: SplitDecision
    currency: str


def chunk_lines(kind: str, most: int) -> int:
    """Return how many lines of a batch are decided and recorded together.

    Parameters
    ----------
    kind
        Name of the kind.
    most
        As the setting says.

    Examples
    --------
    >>> chunk_lines("risk", 256), chunk_lines("split", 256), chunk_lines("split", 2)
    (256, 8, 2)
    """
    return min(most, _CHUNK_LINES) if kind == SPLIT else most


def decide_any(platform: Platform, ask: Ask, line: Line) -> JsonObject:
    """Decide one order of any kind, record it and return the answer.

    Raises
    ------
    PlatformError
        See `service.usecases.decide.decide_one` and `decide_split_order`.
    """
    answer = decide_any_lines(platform, ask, [line])[0]
    if isinstance(answer, PlatformError):
        raise answer
    return answer


def decide_any_lines(
    platform: Platform, ask: Ask, lines: Sequence[Line]
) -> list[JsonObject | PlatformError]:
    """Decide some orders of any kind, by a trained model, a split or an outside node.

    Raises
    ------
    PlatformError
        When there is nothing to decide with.
    """
    if platform.live.is_outside(ask.kind):
        return decide_outside_lines(platform, ask, lines)
    decide = decide_split_lines if ask.kind == SPLIT else decide_lines
    return decide(platform, ask, lines)


def decide_split_lines(
    platform: Platform, ask: Ask, lines: Sequence[Line]
) -> list[JsonObject | PlatformError]:
    """Split some orders and record them in one batch.

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
    NoLiveModelError, BundleCorruptError, SplitPolicyError
        When there is nothing to decide with.
    """
    model, policy = platform.live.get_split()
    # 1. A retry gets the first answer; every other order is split by itself.
    made = [_decide_line(platform, ask, model, policy, line) for line in lines]
    # 2. Record what was decided; it is durable when this returns.
    drafts = [item for item in made if isinstance(item, Entry)]
    recorded = iter(record_drafts(platform, drafts))
    # 3. Answer from what was stored.
    personal = {draft.entry_id: draft.personal or b"" for draft in drafts}
    places = [next(recorded) if isinstance(item, Entry) else item for item in made]
    return [
        place
        if isinstance(place, PlatformError)
        else answer_recorded(platform, place, ask.language, personal)
        for place in places
    ]


def decide_split_order(
    platform: Platform, model: LoadedModel, policy: SplitPolicy, body: bytes
) -> SplitOrder:
    """Split one order, without recording it.

    Parameters
    ----------
    model, policy
        From `LiveModels.get_split`.
    body
        The order as received.

    Raises
    ------
    MalformedJsonError, OrderInvalidError
        When the order is not what the kind asks for.
    ScorerError, InvariantError, SolverError, PlanInvalidError
        When model or optimiser fails or the answer does not add up; nothing may be answered then.
    """
    decision = decide_split(model, policy, model.policy_ref, body, platform.clock)
    kind = model.kind
    values = order_schema(kind).parse(body).values
    return SplitOrder(
        body=body,
        # The schema asks for it.
        order_id=value_at(values, kind.order_id) or "",
        subject_id=None if kind.subject_id is None else value_at(values, kind.subject_id),
        decision=decision,
        currency=policy.currency,
    )


def build_split_draft(split: SplitOrder, place: Place) -> Entry:
    """Return the entry that records a split.

    Parameters
    ----------
    split
        What was decided.
    place
        Under which names.

    Raises
    ------
    RecordVoidError
        When it could not be recorded.
    """
    identity = identify(split.order_id, split.subject_id, place)
    return build_split_entry(
        split.decision, split.currency, identity, split.body, place.idempotency
    )


def _decide_line(
    platform: Platform, ask: Ask, model: LoadedModel, policy: SplitPolicy, line: Line
) -> Entry | Appended | PlatformError:
    try:
        check_idempotency_key(line.idempotency_key)
        used = build_idempotency(ask.caller, ask.route, line.idempotency_key, line.body)
        repeated = find_repeat(platform, used)
        if repeated is not None:
            return repeated
        split = decide_split_order(platform, model, policy, line.body)
        place = Place(new_id(), new_id(), None, platform.now(), ask.caller, used)
        return build_split_draft(split, place)
    except PlatformError as error:
        return error
