"""Deciding a recorded decision again, and comparing everything bit for bit.

A replay starts from the snapshot in the facts part, so it needs no personal data. Where the
sealed order can still be opened, the snapshot itself is computed again too. Storing, loading
models and opening seals are the caller's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from audit.canonical import facts_json, parse_json
from audit.errors import RecordNotFoundError
from audit.facts import (
    RecordedDecision,
    counterfactuals_json,
    parse_decision,
    snapshot_json,
    verdict_json,
)
from audit.store import Record
from models.counterfactual import find_counterfactuals
from models.decide import LoadedModel, decide_snapshot
from models.domain import Json, ModelRef, PolicyRef, Runtime

UNEXPLAINED: Final = "unexplained"
# Named first: what most directly makes the numbers.
_CAUSES: Final = ("explainer", "feature_code", "lightgbm", "numpy", "python", "machine", "candor")


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that came out otherwise.

    Parameters
    ----------
    path
        RFC 6901 JSON pointer into the facts part.
    recorded, replayed
        The two values; None also where one is missing.
    """

    path: str
    recorded: Json
    replayed: Json


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision and what it would be now.

    Parameters
    ----------
    match
        True when every value is the same to the last bit.
    differences
        Where it is not.
    cause
        None on a match; else the first part of the runtime that is another ("lightgbm: 4.6.0 was
        recorded, 4.7.0 replays"), or "unexplained".
    recorded, replayed
        Verdicts as JSON values, as the facts part holds them.
    """

    match: bool
    differences: tuple[Difference, ...]
    cause: str | None
    recorded: dict[str, Json]
    replayed: dict[str, Json]


def replay(
    record: Record,
    load_model: Callable[[ModelRef, PolicyRef], LoadedModel],
    open_order: Callable[[Record], bytes | None] | None = None,
) -> Replay:
    """Decide a recorded decision again.

    Parameters
    ----------
    record
        The decision's record.
    load_model
        Loads the bundle and policy that the record names.
    open_order
        Opens the sealed order; returns None when it can no longer be opened. With the order, the
        snapshot and the counterfactuals are computed again too; without, the recorded snapshot is
        taken as it is.

    Raises
    ------
    RecordNotFoundError
        If the record has no facts part.
    RecordMalformedError
        If the facts part is not a decision's.
    """
    # 1. Read what was decided.
    if record.facts is None:
        raise RecordNotFoundError("the record has no facts part to replay")
    decision = parse_decision(record.facts)
    # 2. Decide it again with the model and policy that it names.
    model = load_model(decision.model, decision.policy)
    recorded = _as_stored(verdict_json(decision.verdict))
    replayed = _as_stored(verdict_json(decide_snapshot(model, decision.snapshot)))
    differences = [*_compare("", recorded, replayed)]
    # 3. Begin at the order, where it is still readable.
    order = open_order(record) if open_order else None
    if order is not None:
        differences += _compare_from_order(model, order, decision)
    # 4. Name the cause.
    cause = _find_cause(decision, model.runtime) if differences else None
    return Replay(not differences, tuple(differences), cause, recorded, replayed)


def _compare_from_order(
    model: LoadedModel, order: bytes, decision: RecordedDecision
) -> Iterator[Difference]:
    snapshot = model.extractor.snapshot(model.schema.parse(order).values)
    found = find_counterfactuals(model, order, decision.snapshot, decision.verdict)
    recorded, replayed = (
        _as_stored({**snapshot_json(seen), "counterfactuals": counterfactuals_json(shown)})
        for seen, shown in ((decision.snapshot, decision.counterfactuals), (snapshot, found))
    )
    return _compare("", recorded, replayed)


def _as_stored(value: dict[str, Json]) -> dict[str, Json]:
    # Through the bytes, so that both sides are exactly what a record can hold.
    stored = parse_json(facts_json(value))
    return stored if isinstance(stored, dict) else {}


def _find_cause(decision: RecordedDecision, present: Runtime) -> str:
    for name in _CAUSES:
        then, now = getattr(decision.runtime, name), getattr(present, name)
        if then != now:
            return f"{name}: {then} was recorded, {now} replays"
    return UNEXPLAINED


def _compare(path: str, recorded: Json, replayed: Json) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for name in sorted(recorded.keys() | replayed.keys()):
            step = name.replace("~", "~0").replace("/", "~1")
            yield from _compare_item(f"{path}/{step}", recorded, replayed, name)
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for place in range(max(len(recorded), len(replayed))):
            before = recorded[place : place + 1]
            after = replayed[place : place + 1]
            if before and after:
                yield from _compare(f"{path}/{place}", before[0], after[0])
            else:
                yield Difference(f"{path}/{place}", *(before or [None]), *(after or [None]))
    elif type(recorded) is not type(replayed) or recorded != replayed:
        yield Difference(path, recorded, replayed)


def _compare_item(
    path: str, recorded: dict[str, Json], replayed: dict[str, Json], name: str
) -> Iterator[Difference]:
    if name in recorded and name in replayed:
        yield from _compare(path, recorded[name], replayed[name])
    else:
        yield Difference(path, recorded.get(name), replayed.get(name))
