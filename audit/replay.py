"""Deciding a recorded decision again, and comparing everything bit for bit.

A replay starts from the snapshot in the facts part, so it needs no personal data. Where the
sealed order can still be opened, the snapshot itself is computed again too. Storing, loading
models and opening seals are the caller's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol, TypeAlias

from audit.canonical import facts_json, parse_json
from audit.causes import Cause, Factor, join_causes, others, suspects
from audit.divergence import find_causes
from audit.errors import RecordNotFoundError
from audit.facts import (
    RecordedDecision,
    counterfactuals_json,
    parse_decision,
    snapshot_json,
    surroundings_json,
    verdict_json,
)
from audit.store import Record
from models.case import Case, CaseReader
from models.counterfactual import find_counterfactuals
from models.decide import LoadedModel, build_case, decide_snapshot
from models.domain import Json, ModelRef, PolicyRef, Runtime, Snapshot, Text
from models.kind import Kind
from models.lookup import Lookups
from models.surroundings import ReferenceRef, Surroundings

LoadLookups: TypeAlias = Callable[[Kind, tuple[ReferenceRef, ...]], Lookups | None]


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
    causes
        Empty on a match, and where nothing explains the differences; else the factors that differ
        by themselves (`audit.divergence`), one if it explains all.
    recorded, replayed
        Verdicts as JSON values, as the facts part holds them; `replayed` is empty where what it
        needs was altered.
    note
        What was not done again; None when everything was.
    """

    match: bool
    differences: tuple[Difference, ...]
    causes: tuple[Cause, ...]
    recorded: dict[str, Json]
    replayed: dict[str, Json]
    note: str | None = None

    @property
    def cause(self) -> Text | None:
        """The causes in words; None on a match."""
        return None if self.match else join_causes(self.causes)


class Seen(Protocol):
    """Whatever holds what a decision saw: a case, or what a record says of one."""

    @property
    def snapshot(self) -> Snapshot:
        """The values."""
        ...

    @property
    def surroundings(self) -> Surroundings:
        """What else it rests on."""
        ...


def replay(
    record: Record,
    load_model: Callable[[ModelRef, PolicyRef], LoadedModel],
    open_order: Callable[[Record], bytes | None] | None = None,
    load_lookups: LoadLookups | None = None,
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
    load_lookups
        Loads the versions of reference tables that the record pins, or None when they are not at
        hand; without them, what they said is taken from the record.

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
    recorded = as_stored(verdict_json(decision.verdict))
    replayed = as_stored(
        verdict_json(decide_snapshot(model, decision.snapshot, decision.surroundings))
    )
    differences = [*compare("", recorded, replayed)]
    # 3. Begin at the order, where it is still readable.
    order = open_order(record) if open_order else None
    case = None
    if order is not None:
        lookups = None
        if load_lookups is not None:
            lookups = load_lookups(model.kind, decision.surroundings.references)
        case = case_again(model, order, decision.snapshot, decision.surroundings, lookups)
        differences += _compare_from_order(model, order, decision, case)
    differences += compare_versions(
        decision.model, decision.policy, model.model_ref.bundle, model.policy_ref.digest
    )
    # 4. Name the cause.
    causes: tuple[Cause, ...] = ()
    if differences:
        causes = name_causes(
            record, decision.runtime, model.runtime, lambda: find_causes(decision, model, case)
        )
    return Replay(not differences, tuple(differences), causes, recorded, replayed)


def name_causes(
    record: Record, then: Runtime, now: Runtime, find: Callable[[], tuple[Cause, ...]]
) -> tuple[Cause, ...]:
    """Return the causes of a replay that differs.

    Parameters
    ----------
    find
        Returns the factors that differ by themselves.

    Returns
    -------
    tuple of Cause
        The record alone when its facts part is not the one that its header holds: nothing can be
        told from it. Else what `find` returns, else what of the runtime is another.
    """
    return altered_facts(record) or find() or suspects(then, now)


def altered_facts(record: Record) -> tuple[Cause, ...]:
    """Return the record as a cause, if its facts part is not the one that its header holds."""
    header = parse_json(record.leaf)
    logged = header.get("facts_sha256") if isinstance(header, dict) else None
    found = sha256(record.facts or b"").hexdigest()
    return others(Factor.RECORD, "facts", str(logged), found)


def compare_versions(
    model: ModelRef, policy: PolicyRef, bundle: str, digest: str
) -> Iterator[Difference]:
    """Yield where other artefacts replay than were recorded, whatever they say.

    Parameters
    ----------
    model, policy
        Those recorded.
    bundle, digest
        The model's and the policy's that replay.
    """
    yield from compare("/model/bundle", model.bundle, bundle)
    yield from compare("/policy/digest", policy.digest, digest)


def replay_with(
    record: Record,
    load_model: Callable[[ModelRef, PolicyRef], LoadedModel],
    order: bytes,
    lookups: Lookups,
) -> Replay:
    """Decide a recorded decision again with other versions of the reference tables.

    Parameters
    ----------
    record
        The decision's record.
    load_model
        Loads the bundle and policy that the record names.
    order
        The order, opened.
    lookups
        The tables to ask: what would they have said?

    Raises
    ------
    RecordNotFoundError, RecordMalformedError
        If the record has no facts part, or it is not a decision's.
    """
    if record.facts is None:
        raise RecordNotFoundError("the record has no facts part to replay")
    decision = parse_decision(record.facts)
    model = load_model(decision.model, decision.policy)
    case = case_again(model, order, decision.snapshot, decision.surroundings, lookups)
    verdict = decide_snapshot(model, case.snapshot, case.surroundings)
    recorded = as_stored({**verdict_json(decision.verdict), **seen_json(decision)})
    replayed = as_stored({**verdict_json(verdict), **seen_json(case)})
    differences = tuple(compare("", recorded, replayed))
    causes: tuple[Cause, ...] = ()
    if differences:
        causes = name_causes(
            record,
            decision.runtime,
            model.runtime,
            lambda: _other_tables(decision.surroundings.references, case.surroundings.references),
        )
    return Replay(not differences, differences, causes, recorded, replayed)


def case_again(
    model: CaseReader,
    order: bytes,
    recorded: Snapshot,
    then: Surroundings,
    lookups: Lookups | None,
) -> Case:
    """Return the case as it is now, under the counts and error rates of the record.

    Parameters
    ----------
    order
        The order, opened.
    recorded, then
        What the record says; where there are no tables to ask, also what they said.
    lookups
        The tables to ask, or None.
    """
    case = build_case(model, model.schema.parse(order), lookups, then.error_rates)
    if lookups is None:
        said = {name for lookup in model.kind.lookups for name in lookup.names()}
        known = {n: value for n, value in recorded.context.items() if n in said}
        snapshot = Snapshot(case.snapshot.features, {**case.snapshot.context, **known})
        around = replace(case.surroundings, stale=then.stale, references=then.references)
        case = replace(case, snapshot=snapshot, surroundings=around)
    return replace(case, surroundings=replace(case.surroundings, counts=then.counts))


def _compare_from_order(
    model: LoadedModel, order: bytes, decision: RecordedDecision, case: Case
) -> Iterator[Difference]:
    found = find_counterfactuals(
        model, order, decision.snapshot, decision.verdict, decision.surroundings
    )
    recorded, replayed = (
        as_stored({**seen_json(seen), "counterfactuals": counterfactuals_json(shown)})
        for seen, shown in ((decision, decision.counterfactuals), (case, found))
    )
    return compare("", recorded, replayed)


def seen_json(seen: Seen) -> dict[str, Json]:
    """Return what a decision saw, as the facts part holds it."""
    said = surroundings_json(seen.surroundings)
    return {**snapshot_json(seen.snapshot), "surroundings": said}


def _other_tables(
    then: tuple[ReferenceRef, ...], now: tuple[ReferenceRef, ...]
) -> tuple[Cause, ...]:
    recorded = {one.name: one.digest for one in then}
    found: list[Cause] = []
    for one in now:
        found += others(Factor.REFERENCE, one.name, recorded.get(one.name), one.digest)
    return tuple(found)


def as_stored(value: dict[str, Json]) -> dict[str, Json]:
    """Return JSON values as they come back from a record."""
    # Through the bytes, so that both sides are exactly what a record can hold.
    stored = parse_json(facts_json(value))
    return stored if isinstance(stored, dict) else {}


def compare(path: str, recorded: Json, replayed: Json) -> Iterator[Difference]:
    """Yield every place where two JSON values differ, `path` being where they stand."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for name in sorted(recorded.keys() | replayed.keys()):
            step = name.replace("~", "~0").replace("/", "~1")
            yield from _compare_item(f"{path}/{step}", recorded, replayed, name)
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for place in range(max(len(recorded), len(replayed))):
            before = recorded[place : place + 1]
            after = replayed[place : place + 1]
            if before and after:
                yield from compare(f"{path}/{place}", before[0], after[0])
            else:
                yield Difference(f"{path}/{place}", *(before or [None]), *(after or [None]))
    elif type(recorded) is not type(replayed) or recorded != replayed:
        yield Difference(path, recorded, replayed)


def _compare_item(
    path: str, recorded: dict[str, Json], replayed: dict[str, Json], name: str
) -> Iterator[Difference]:
    if name in recorded and name in replayed:
        yield from compare(path, recorded[name], replayed[name])
    else:
        yield Difference(path, recorded.get(name), replayed.get(name))
