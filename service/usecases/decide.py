"""The main path: an order comes in, a recorded decision goes out.

An answer leaves only after its record, its place in the tree and the checkpoint that covers it
are durable, and it is made from what was stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from audit.records import Entry, Idempotency
from models.decide import LoadedModel
from models.decision import Decision
from models.errors import PlatformError
from service.answers import JsonObject
from service.usecases.cases import (
    Counts,
    OrderCase,
    Place,
    build_draft,
    decide_orders,
    read_case,
    read_counts,
)
from service.usecases.lines import Ask, Line, answer_lines, read_line
from service.usecases.records import new_id
from service.wiring import Platform


@dataclass(frozen=True, slots=True)
class _Fresh:
    """An order that was not decided before, read."""

    order: OrderCase
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
    prepared = [
        read_line(platform, ask, line, partial(_read, platform, model, line.body)) for line in lines
    ]
    # 2. Decide the others under the counts as they stand.
    fresh = [item for item in prepared if isinstance(item, _Fresh)]
    counts = read_counts(platform, [item.order for item in fresh])
    decisions = _decide(platform, [item.order for item in fresh], counts, started)
    drafts = (
        _draft(platform, ask, item, decision, counts)
        for decision, item in zip(decisions, fresh, strict=True)
    )
    # 3. Record what was decided, and answer from what was stored.
    made = [next(drafts) if isinstance(item, _Fresh) else item for item in prepared]
    return answer_lines(platform, ask, made)


def _read(platform: Platform, model: LoadedModel, body: bytes, used: Idempotency | None) -> _Fresh:
    return _Fresh(read_case(platform, model, body), used)


def _decide(
    platform: Platform, orders: Sequence[OrderCase], counts: Counts, started: float
) -> Sequence[Decision | PlatformError]:
    try:
        return decide_orders(platform, orders, counts, started)
    except PlatformError as error:
        if len(orders) == 1:
            return [error]
    # One order that does not add up must not refuse its neighbours.
    return [_decide(platform, [order], counts, started)[0] for order in orders]


def _draft(
    platform: Platform,
    ask: Ask,
    item: _Fresh,
    decision: Decision | PlatformError,
    counts: Counts,
) -> Entry | PlatformError:
    if isinstance(decision, PlatformError):
        return decision
    place = Place(new_id(), new_id(), None, platform.now(), ask.caller, item.idempotency)
    return build_draft(platform, item.order, decision, counts, place)
