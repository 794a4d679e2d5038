"""Splitting orders: decided, recorded and answered as every other decision is.

`decide_split_order` and `build_split_draft` are the two steps that a chain needs too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from audit.records import Entry, Idempotency
from audit.split_records import build_split_entry
from models.decide import LoadedModel
from models.errors import PlatformError
from models.order import ParsedOrder
from models.split.decide import SplitDecision, split_order
from models.split.policy import SplitPolicy
from service.answers import JsonObject
from service.live import SPLIT
from service.usecases.cases import Place, identify, read_ids
from service.usecases.decide import decide_lines
from service.usecases.lines import Ask, Line, answer_lines, read_line
from service.usecases.outside import decide_outside_lines
from service.usecases.records import new_id
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
    made = [
        read_line(platform, ask, line, partial(_draft, platform, ask, (model, policy), line.body))
        for line in lines
    ]
    # 2. Record what was decided, and answer from what was stored.
    return answer_lines(platform, ask, made)


def decide_split_order(
    platform: Platform,
    model: LoadedModel,
    policy: SplitPolicy,
    body: bytes,
    order: ParsedOrder | None = None,
) -> SplitOrder:
    """Split one order, without recording it.

    Parameters
    ----------
    model, policy
        From `LiveModels.get_split`.
    body
        The order as received.
    order
        The same, checked; None to check it here.

    Raises
    ------
    MalformedJsonError, OrderInvalidError
        When the order is not what the kind asks for.
    ScorerError, InvariantError, SolverError, PlanInvalidError
        When model or optimiser fails or the answer does not add up; nothing may be answered then.
    """
    timed = platform.clock, platform.clock()
    order = model.schema.parse(body) if order is None else order
    order_id, subject_id = read_ids(model.kind, order)
    return SplitOrder(
        body=body,
        order_id=order_id,
        subject_id=subject_id,
        decision=split_order(model, policy, model.policy_ref, order, timed),
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


def _draft(
    platform: Platform,
    ask: Ask,
    live: tuple[LoadedModel, SplitPolicy],
    body: bytes,
    used: Idempotency | None,
) -> Entry:
    split = decide_split_order(platform, *live, body)
    place = Place(new_id(), new_id(), None, platform.now(), ask.caller, used)
    return build_split_draft(split, place)
