"""The whole decision: admission, risk and split of one order, one chain in one transaction.

Every kind reads the same order and decides by itself; the chain stops at a refusal, and at a review
unless the policy lets it go on provisionally. What the chain comes to is recorded with its last
decision. Each decision names the one before it, and none is answered before all are durable.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from audit.facts import chain_json
from audit.log import Appended
from audit.records import Counted, Entry, Idempotency
from models.chain import ChainResult, ChainStep, chain_schema, conclude_chain
from models.decide import LoadedModel
from models.domain import Json, Language
from models.errors import FieldFault, OrderInvalidError
from models.kind import Kind
from models.order import MOST_UNKNOWN, ParsedOrder
from models.precedence import Level
from models.split.policy import SplitPolicy
from models.split.request import order_kind, read_problem
from service.answers import JsonObject
from service.live import SPLIT
from service.usecases.cases import (
    Counts,
    OrderCase,
    Place,
    build_draft,
    decide_orders,
    read_case,
    read_counts,
)
from service.usecases.lines import Line
from service.usecases.recorded import answer_recorded
from service.usecases.records import (
    build_idempotency,
    check_idempotency_key,
    find_repeat,
    new_id,
    read_object,
)
from service.usecases.split import SplitOrder, build_split_draft, decide_split_order
from service.wiring import Platform

CHAIN = ("admission", "risk", SPLIT)


@dataclass(frozen=True, slots=True)
class ChainAsk:
    """Who asks for a chain, how; see `service.usecases.decide.Ask`."""

    caller: str
    route: str
    language: Language


@dataclass(frozen=True, slots=True)
class _Read:
    """An order as all kinds of the chain read it."""

    body: bytes
    cases: tuple[OrderCase, ...]
    split_model: LoadedModel
    split_policy: SplitPolicy
    to_split: ParsedOrder


@dataclass(frozen=True, slots=True)
class _Names:
    """Under which names a chain is recorded; the same when it is decided again."""

    chain_id: str
    decision_ids: tuple[str, ...]
    decided_at: datetime
    caller: str
    idempotency: Idempotency | None


def decide_chain(platform: Platform, ask: ChainAsk, line: Line) -> JsonObject:
    """Decide one order from admission to split, record it all and return the answer.

    Raises
    ------
    NoLiveModelError
        When a kind of the chain has no live model.
    MalformedJsonError, OrderInvalidError, RequestInvalidError
        When the order or the Idempotency-Key is malformed; faults of all kinds are named.
    IdempotencyConflictError
        When the key was used with another body.
    ScorerError, InvariantError, SolverError, PlanInvalidError
        When a model or the optimiser fails or an answer does not add up.
    StoreUnavailableError, OverloadedError, DeadlineError
        When it could not be recorded; it is not answered then.
    """
    started = platform.clock()
    # 1. A retry gets the first answer.
    check_idempotency_key(line.idempotency_key)
    used = build_idempotency(ask.caller, ask.route, line.idempotency_key, line.body)
    repeated = find_repeat(platform, used)
    if repeated is not None:
        return _answer(platform, repeated, ask.language, {})
    # 2. Every kind reads the order; nothing is decided about one that a kind cannot read.
    read = _read(platform, line.body)
    # 3. Decide, one kind after the other.
    ids = tuple(new_id() for _ in CHAIN)
    names = _Names(new_id(), ids, platform.now(), ask.caller, used)
    drafts = _decider(platform, read, names, started)(read_counts(platform, read.cases))
    # 4. Record all of it; it is durable when this returns.
    appended = platform.writer.record_one(drafts)
    # 5. Answer from what was stored.
    personal = {entry.entry_id: entry.personal or b"" for entry in (drafts, *drafts.rest)}
    return _answer(platform, appended, ask.language, personal)


def _read(platform: Platform, body: bytes) -> _Read:
    models = [platform.live.get(kind) for kind in CHAIN if kind != SPLIT]
    split_model, split_policy = platform.live.get_split()
    faults: list[FieldFault] = []
    parsed: list[ParsedOrder] = []

    def attempt(step: Callable[[], ParsedOrder]) -> None:
        try:
            parsed.append(step())
        except OrderInvalidError as error:
            faults.extend(fault for fault in error.faults if fault not in faults)

    for model in models:
        attempt(lambda schema=model.schema: schema.parse(body))  # type: ignore[misc]  # mypy cannot infer a lambda's default
    attempt(lambda: _parse_split(split_model, body))
    if faults:
        raise OrderInvalidError(tuple(faults))
    unknown = _unknown_to_all([one.unknown_fields for one in parsed])
    if any(len(one.unknown_fields) >= MOST_UNKNOWN for one in parsed):
        # A list that was cut short may lack what the others have: ask all kinds at once.
        kinds = [*(model.kind for model in models), order_kind(split_model.kind)]
        unknown = chain_schema(kinds).parse(body).unknown_fields
    orders = [
        read_case(platform, model, body, ParsedOrder(order.values, unknown))
        for model, order in zip(models, parsed, strict=False)
    ]
    to_split = ParsedOrder(parsed[-1].values, unknown)
    return _Read(body, tuple(orders), split_model, split_policy, to_split)


def _parse_split(model: LoadedModel, body: bytes) -> ParsedOrder:
    order = model.schema.parse(body)
    read_problem(order.values)
    return order


def _unknown_to_all(unknown: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the pointers that no kind knows; a pointer covers what is below it."""

    def is_unknown(pointer: str, fields: tuple[str, ...]) -> bool:
        return any(pointer == field or pointer.startswith(f"{field}/") for field in fields)

    union = dict.fromkeys(pointer for fields in unknown for pointer in fields)
    return tuple(p for p in union if all(is_unknown(p, fields) for fields in unknown))


def _decider(
    platform: Platform, read: _Read, names: _Names, started: float
) -> Callable[[Counts], Entry]:
    # The plan does not depend on counters, so it is solved once however often these move.
    solved: list[SplitOrder] = []

    def split() -> SplitOrder:
        if not solved:
            model, policy = read.split_model, read.split_policy
            solved.append(decide_split_order(platform, model, policy, read.body, read.to_split))
        return solved[0]

    def decide(counts: Counts) -> Entry:
        drafts: list[Entry] = []
        steps: list[ChainStep] = []
        for order in read.cases:
            (decision,) = decide_orders(platform, [order], counts, started)
            place = _place(names, len(drafts))
            drafts.append(build_draft(platform, order, decision, counts, place))
            policy = order.model.policy.policy
            outcome = decision.verdict.outcome
            steps.append(_step(order.model.kind, outcome, policy.on_review))
            if steps[-1].stops:
                break
        else:
            drafts.append(build_split_draft(split(), _place(names, len(drafts))))
            steps.append(_step(read.split_model.kind, split().decision.verdict.outcome, "stop"))
        precedence = read.cases[0].model.policy.policy.precedence
        result = conclude_chain(steps, CHAIN, precedence)
        return _joined(drafts, result, counts, decide)

    return decide


def _place(names: _Names, number: int) -> Place:
    return Place(
        decision_id=names.decision_ids[number],
        chain_id=names.chain_id,
        parent_id=names.decision_ids[number - 1] if number else None,
        decided_at=names.decided_at,
        caller=names.caller,
        idempotency=None if number else names.idempotency,
    )


def _step(kind: Kind, outcome: str, on_review: Literal["stop", "provisional"]) -> ChainStep:
    outcomes = kind.outcomes
    codes = [outcomes.favourable.code, outcomes.review.code, outcomes.adverse.code]
    return ChainStep(kind.name, Level(codes.index(outcome)), outcome, on_review)


def _joined(
    drafts: list[Entry],
    result: ChainResult,
    counts: Counts,
    redo: Callable[[Counts], Entry],
) -> Entry:
    """Return the first decision with the others as its rest, and the result with the last."""
    last = drafts[-1]
    drafts[-1] = replace(last, facts={**(last.facts or {}), "chain": chain_json(result)})
    taken = [key for draft in drafts if draft.counted is not None for key in draft.counted.taken]
    # An order that is refused, or that somebody still has to look at, uses nothing up.
    uses = tuple(taken) if result.goes_ahead else ()
    first, *rest = [draft.without_counters() for draft in drafts]
    if counts:
        first = first.with_counters(Counted(counts, uses, redo))
    return replace(first, rest=tuple(rest))


def _answer(
    platform: Platform, place: Appended, language: Language, personal: dict[str, bytes]
) -> JsonObject:
    answers = [
        answer_recorded(platform, replace(one, rest=()), language, personal)
        for one in (place, *place.rest)
    ]
    chain = read_object(answers[-1].get("chain"))
    decisions: list[Json] = [*answers]
    return {
        "chain_id": answers[0]["chain_id"],
        "order_id": answers[0]["order_id"],
        **chain,
        "decisions": decisions,
    }
