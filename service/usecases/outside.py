"""Deciding with an outside node: asked, recorded and answered; its failure is an answer too.

A node that cannot be used never refuses an order: the policy's rules still speak, and a person
decides. The node is asked once, before counters are read, so that deciding again under other
counts does not ask again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from audit.outside_records import build_outside_entry
from audit.records import Counted, CounterKey, Entry, Idempotency
from models.case import Case
from models.decide import build_case
from models.errors import PlatformError
from models.outside import OutsideModel, decide_outside, may_be_sent, request_body
from models.outside_verdict import NodeCall, OutsideDecision
from service.answers import JsonObject
from service.exchange import Bounds
from service.outside import ask_node
from service.usecases.cases import Counts, Place, identify, read_ids
from service.usecases.lines import Ask, Line, answer_lines, read_line
from service.usecases.records import new_id, read_object
from service.wiring import Platform


@dataclass(frozen=True, slots=True)
class _Order:
    """An order that was not decided before, read."""

    body: bytes
    case: Case
    order_id: str
    subject_id: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class _Asked:
    """An order with what the node said of it; None when it was not asked."""

    order: _Order
    call: NodeCall | None
    timings_ms: dict[str, float]


def decide_outside_lines(
    platform: Platform, ask: Ask, lines: Sequence[Line]
) -> list[JsonObject | PlatformError]:
    """Decide some orders with the node that serves their kind, in one batch of records.

    Parameters
    ----------
    lines
        One order each; the node is asked about several at once.

    Returns
    -------
    list
        For each order, in order: the answer, or why there is none.

    Raises
    ------
    KindNotFoundError, NoLiveModelError, BundleCorruptError
        When there is nothing to decide with.
    """
    model = platform.live.get_outside(ask.kind)
    # 1. A retry gets the first answer; a malformed order gets its faults.
    prepared = [
        read_line(platform, ask, line, partial(_read, platform, ask, model, line.body))
        for line in lines
    ]
    # 2. Ask the node about the others, and decide under the counts as they stand.
    asked = _ask(platform, model, [item for item in prepared if isinstance(item, _Order)])
    counts = _read_counts(platform, model, asked)
    drafts = (_draft(platform, model, item, counts) for item in asked)
    # 3. Record what was decided, and answer from what was stored.
    made = [next(drafts) if isinstance(item, _Order) else item for item in prepared]
    return answer_lines(platform, ask, made)


def bounds_of(platform: Platform) -> Bounds:
    """Return what one call may take, as the settings say."""
    settings = platform.settings
    return Bounds(settings.node_timeout_seconds, settings.node_max_bytes)


def _read(
    platform: Platform, ask: Ask, model: OutsideModel, body: bytes, used: Idempotency | None
) -> _Order:
    order = model.schema.parse(body)
    order_id, subject_id = read_ids(model.kind, order)
    lookups = platform.references.lookups(model.kind) if model.kind.lookups else None
    case = build_case(model, order, lookups)
    place = Place(new_id(), new_id(), None, platform.now(), ask.caller, used)
    return _Order(body, case, order_id, subject_id, place)


def _ask(platform: Platform, model: OutsideModel, orders: Sequence[_Order]) -> list[_Asked]:
    def ask(order: _Order) -> _Asked:
        return _ask_about(platform, model, order)

    if len(orders) <= 1:
        return [ask(order) for order in orders]
    workers = min(len(orders), platform.settings.node_parallel_calls)
    with ThreadPoolExecutor(workers, thread_name_prefix="node") as pool:
        return list(pool.map(ask, orders))


def _ask_about(platform: Platform, model: OutsideModel, order: _Order) -> _Asked:
    snapshot = order.case.snapshot
    if not may_be_sent(model, snapshot):
        return _Asked(order, None, {})
    # The decision's own id: whoever runs the node can name the call, and it says nothing else.
    request_id = order.place.decision_id
    body = request_body(model, snapshot, request_id)
    call = ask_node(model.node, body, request_id, bounds_of(platform), platform.clock)
    return _Asked(order, call, {"node": call.latency_ms})


def _keys(model: OutsideModel, order: _Order) -> tuple[CounterKey, ...]:
    name = model.kind.name
    return tuple(CounterKey(name, key.cap, key.day, key.tier) for key in order.case.cap_keys)


def _read_counts(platform: Platform, model: OutsideModel, asked: Sequence[_Asked]) -> Counts:
    keys = [key for item in asked for key in _keys(model, item.order)]
    if not keys:
        return {}
    with platform.store.reading() as reading:
        return reading.counts(keys)


def _draft(
    platform: Platform, model: OutsideModel, item: _Asked, counts: Counts
) -> Entry | PlatformError:
    try:
        entry = _build(model, item, counts)
    except PlatformError as error:
        return error
    failure = read_object((entry.facts or {}).get("failure"))
    platform.metrics.count_node_call(model.kind.name, str(failure.get("code", "answered")))
    return entry


def _build(model: OutsideModel, item: _Asked, counts: Counts) -> Entry:
    order, keys = item.order, _keys(model, item.order)
    known = dict(zip(order.case.cap_keys, (counts[key] for key in keys), strict=True))
    decision = decide_outside(model, order.case.counted(known), item.call, item.timings_ms)
    place = order.place
    identity = identify(order.order_id, order.subject_id, place)
    entry = build_outside_entry(decision, identity, order.body, place.idempotency)
    if not keys:
        return entry
    taken = _taken(model, decision)
    redo = lambda present: _build(model, item, present)  # noqa: E731 - one expression
    return entry.with_counters(Counted({key: counts[key] for key in keys}, taken, redo))


def _taken(model: OutsideModel, decision: OutsideDecision) -> tuple[CounterKey, ...]:
    if decision.verdict.outcome != model.kind.outcomes.favourable.code:
        return ()
    return tuple(CounterKey(model.kind.name, c.cap, c.day, c.tier) for c in decision.verdict.caps)
