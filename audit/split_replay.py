"""Deciding a recorded split again, and comparing the whole verdict bit for bit.

A replay starts from the problem in the facts part, so it needs no personal data. Where the sealed
order can still be opened, the problem itself is read again too. What a search finds within a
number of seconds is not the same twice: after a time-out the recorded plan is checked against
constraints and costs instead.
"""

from collections.abc import Callable

from audit.causes import Cause
from audit.errors import RecordNotFoundError
from audit.replay import (
    Difference,
    Replay,
    as_stored,
    compare,
    compare_versions,
    name_causes,
)
from audit.split_divergence import find_split_causes
from audit.split_facts import RecordedSplit, conclusion_json, parse_split
from audit.store import Record
from models.decide import LoadedModel
from models.domain import Json, ModelRef, PolicyRef
from models.split.decide import decide_problem
from models.split.policy import SplitPolicy
from models.split.record import problem_facts, replay
from models.split.request import read_problem

LoadSplit = Callable[[ModelRef, PolicyRef], tuple[LoadedModel, SplitPolicy]]


def replay_split(
    record: Record,
    load_split: LoadSplit,
    open_order: Callable[[Record], bytes | None] | None = None,
) -> Replay:
    """Decide a recorded split again.

    Parameters
    ----------
    record
        The decision's record.
    load_split
        Loads the bundle and the split policy that the record names.
    open_order
        Opens the sealed order; returns None when it can no longer be opened. With the order, the
        problem is read again too; without, the recorded problem is taken as it is.

    Raises
    ------
    RecordNotFoundError
        If the record has no facts part.
    RecordMalformedError
        If the facts part is not a split decision's.
    ScorerError, InvariantError, SolverError, PlanInvalidError
        If deciding again fails.
    """
    # 1. Read what was decided.
    if record.facts is None:
        raise RecordNotFoundError("the record has no facts part to replay")
    split = parse_split(record.facts)
    # 2. Decide it again with the model and policy that it names.
    model, policy = load_split(split.versions.model, split.versions.policy)
    replayed, differences = _decide_again(model, policy, split)
    # 3. Begin at the order, where it is still readable.
    order = open_order(record) if open_order else None
    read = split.problem_json if order is None else _read_again(model, order)
    differences += compare("/problem", split.problem_json, read)
    named = split.versions
    differences += compare_versions(
        named.model, named.policy, model.model_ref.bundle, model.policy_ref.digest
    )
    # 4. Name the cause.
    causes: tuple[Cause, ...] = ()
    if differences:
        causes = name_causes(
            record,
            named.runtime,
            model.runtime,
            lambda: find_split_causes(split, model, policy, read),
        )
    return Replay(not differences, tuple(differences), causes, split.conclusion, replayed)


def _decide_again(
    model: LoadedModel, policy: SplitPolicy, split: RecordedSplit
) -> tuple[dict[str, Json], list[Difference]]:
    if split.verdict.is_timed_out:
        return split.conclusion, _check_again(model, policy, split)
    verdict = decide_problem(model, policy, split.problem)
    replayed = as_stored(conclusion_json(verdict, policy.currency))
    return replayed, [*compare("", split.conclusion, replayed)]


def _check_again(model: LoadedModel, policy: SplitPolicy, split: RecordedSplit) -> list[Difference]:
    # What is searched by and shown has to be the verdict's own, whatever the plan.
    said = as_stored(conclusion_json(split.verdict, policy.currency))
    found = [*compare("", split.conclusion, said)]
    for fault in replay(model, policy, split.problem, split.verdict):
        part, _, what = fault.partition(": ")
        verdict = split.conclusion["verdict"]
        recorded = verdict.get(part) if isinstance(verdict, dict) else None
        found.append(Difference(f"/verdict/{part}", recorded, what or None))
    return found


def _read_again(model: LoadedModel, order: bytes) -> Json:
    problem = read_problem(model.schema.parse(order).values)
    return as_stored({"problem": problem_facts(problem)})["problem"]
