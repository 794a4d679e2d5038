"""An order read once and decided as often as its counters move: what every model's path shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.records import (
    Counted,
    CounterKey,
    Entry,
    Idempotency,
    Identity,
    build_decision_entry,
)
from models.caps import CapKey
from models.case import Case
from models.counterfactual import with_counterfactuals
from models.decide import LoadedModel, build_case, decide_cases
from models.decision import Decision
from models.errors import FieldFault, OrderInvalidError
from models.features import OrderValue
from models.kind import Kind
from models.order import ParsedOrder
from service.adaptation import basis_of
from service.wiring import Platform

Counts = Mapping[CounterKey, int]


@dataclass(frozen=True, slots=True)
class OrderCase:
    """An order of one kind, ready to be decided.

    Parameters
    ----------
    body
        As received.
    model
        What decides.
    case
        What model and policy see of it; its counters are not counted yet.
    order_id, subject_id
        The caller's identifiers of order and customer.
    """

    body: bytes
    model: LoadedModel
    case: Case
    order_id: str
    subject_id: str | None

    def counter_keys(self) -> tuple[CounterKey, ...]:
        """Return the counters that the policy needs."""
        return tuple(self._key(key) for key in self.case.cap_keys)

    def counted(self, counts: Counts) -> Case:
        """Return the case under these counts."""
        return self.case.counted({key: counts[self._key(key)] for key in self.case.cap_keys})

    def taken(self, decision: Decision) -> tuple[CounterKey, ...]:
        """Return the counters that the decision uses up: none unless the order goes ahead."""
        if decision.verdict.outcome != self.model.kind.outcomes.favourable.code:
            return ()
        return tuple(self._key(CapKey(c.cap, c.day, c.tier)) for c in decision.verdict.caps)

    def _key(self, key: CapKey) -> CounterKey:
        return CounterKey(self.model.kind.name, key.cap, key.day, key.tier)


def read_case(
    platform: Platform, model: LoadedModel, body: bytes, order: ParsedOrder | None = None
) -> OrderCase:
    """Read an order up to where the model is asked.

    Parameters
    ----------
    body
        As received.
    order
        The same, checked; None to check it here.

    Raises
    ------
    MalformedJsonError, OrderInvalidError
        When the order is not what the kind asks for.
    ReferenceMissingError, ReferenceCorruptError
        When a table that the kind asks is not at hand.
    """
    order = model.schema.parse(body) if order is None else order
    kind = model.kind
    order_id, subject_id = read_ids(kind, order)
    lookups = platform.references.lookups(kind) if kind.lookups else None
    rates = platform.adaptation.rates(basis_of(model))
    return OrderCase(
        body=body,
        model=model,
        case=build_case(model, order, lookups, rates),
        order_id=order_id,
        subject_id=subject_id,
    )


def read_ids(kind: Kind, order: ParsedOrder) -> tuple[str, str | None]:
    """Return the caller's identifiers of order and customer.

    Raises
    ------
    OrderInvalidError
        When the order has no id.
    """
    order_id = value_at(order.values, kind.order_id)
    if order_id is None:
        pointer = "/" + kind.order_id.replace(".", "/")
        raise OrderInvalidError((FieldFault(pointer, "an order needs its id"),))
    return order_id, None if kind.subject_id is None else value_at(order.values, kind.subject_id)


def read_counts(platform: Platform, orders: Sequence[OrderCase]) -> Counts:
    """Return how far the counters of some orders have come."""
    keys = [key for order in orders for key in order.counter_keys()]
    if not keys:
        return {}
    with platform.store.reading() as reading:
        return reading.counts(keys)


def decide_orders(
    platform: Platform, orders: Sequence[OrderCase], counts: Counts, started: float
) -> list[Decision]:
    """Decide orders of one model under given counts, with one call of the model.

    Raises
    ------
    ScorerError, InvariantError
        When the model fails or its answer does not add up.
    """
    if not orders:
        return []
    model, clock = orders[0].model, platform.clock
    decisions = decide_cases(model, [order.counted(counts) for order in orders], clock, started)
    return [
        with_counterfactuals(model, order.body, decision, clock)
        for order, decision in zip(orders, decisions, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Place:
    """Under which names a decision is recorded.

    Parameters
    ----------
    decision_id, chain_id, parent_id
        Its own, its chain's, and the decision's before it.
    decided_at
        Aware time.
    caller
        Id of the API key.
    idempotency
        The caller's key in its scope, or None.
    """

    decision_id: str
    chain_id: str
    parent_id: str | None
    decided_at: datetime
    caller: str
    idempotency: Idempotency | None = None


def build_draft(
    platform: Platform, order: OrderCase, decision: Decision, counts: Counts, place: Place
) -> Entry:
    """Return the entry that records a decision, decided again if its counters move on.

    Parameters
    ----------
    counts
        Under which it was decided.
    place
        Under which names.

    Raises
    ------
    RecordVoidError, RecordMalformedError
        When it could not be recorded.
    """
    identity = identify(order.order_id, order.subject_id, place)
    entry = build_decision_entry(decision, identity, order.body, place.idempotency)
    keys = order.counter_keys()
    if not keys:
        return entry

    def redo(present: Counts) -> Entry:
        (again,) = decide_orders(platform, [order], present, platform.clock())
        return build_draft(platform, order, again, present, place)

    counted = Counted({key: counts[key] for key in keys}, order.taken(decision), redo)
    return entry.with_counters(counted)


def identify(order_id: str, subject_id: str | None, place: Place) -> Identity:
    """Return which decision about which order it is."""
    return Identity(
        decision_id=place.decision_id,
        decided_at=place.decided_at,
        order_id=order_id,
        subject_id=subject_id,
        chain_id=place.chain_id,
        parent_id=place.parent_id,
        caller=place.caller,
    )


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
