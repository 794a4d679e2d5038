"""Concluding again from what an outside node said, and comparing everything bit for bit.

The node is never asked again: it may have changed, or be gone, and another system's model is not
ours to reproduce. Everything after its answer is: residency, the checks of the answer, policy,
reasons and texts, and that the recorded request is the one that the snapshot makes.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Final

from audit.causes import Cause
from audit.errors import RecordNotFoundError
from audit.outside_divergence import find_outside_causes
from audit.outside_facts import RecordedOutside, outside_verdict_json, parse_outside
from audit.replay import (
    Difference,
    LoadLookups,
    Replay,
    as_stored,
    case_again,
    compare,
    compare_versions,
    name_causes,
    seen_json,
)
from audit.store import Record
from models.domain import ModelRef, PolicyRef
from models.outside import OutsideModel, conclude_outside, request_body

NODE_NOT_ASKED_AGAIN: Final = "node not asked again: its recorded answer was read again"


def replay_outside(
    record: Record,
    load_outside: Callable[[ModelRef, PolicyRef], OutsideModel],
    open_order: Callable[[Record], bytes | None] | None = None,
    load_lookups: LoadLookups | None = None,
) -> Replay:
    """Conclude again what a recorded decision concluded from a node's answer.

    Parameters
    ----------
    record
        The decision's record.
    load_outside
        Loads the kind and policy that the record names.
    open_order, load_lookups
        See `audit.replay.replay`.

    Raises
    ------
    RecordNotFoundError
        If the record has no facts part.
    RecordMalformedError
        If the facts part is not such a decision's.
    """
    # 1. Read what was decided.
    if record.facts is None:
        raise RecordNotFoundError("the record has no facts part to replay")
    decision = parse_outside(record.facts)
    # 2. Conclude again from the recorded call, with the kind and policy that the record names.
    model = load_outside(decision.model, decision.policy)
    recorded = as_stored(outside_verdict_json(decision.verdict))
    again = conclude_outside(model, decision.snapshot, decision.surroundings, decision.call)
    replayed = as_stored(outside_verdict_json(again))
    differences = [*compare("", recorded, replayed), *_compare_request(model, decision)]
    # 3. Begin at the order, where it is still readable.
    order = open_order(record) if open_order else None
    case = None
    if order is not None:
        lookups = None
        if load_lookups is not None:
            lookups = load_lookups(model.kind, decision.surroundings.references)
        case = case_again(model, order, decision.snapshot, decision.surroundings, lookups)
        differences += compare("", as_stored(seen_json(decision)), as_stored(seen_json(case)))
    differences += compare_versions(
        decision.model, decision.policy, model.digest, model.policy_ref.digest
    )
    # 4. Name the cause.
    causes: tuple[Cause, ...] = ()
    if differences:
        causes = name_causes(
            record,
            decision.runtime,
            model.runtime,
            lambda: find_outside_causes(decision, model, case),
        )
    return Replay(
        not differences, tuple(differences), causes, recorded, replayed, NODE_NOT_ASKED_AGAIN
    )


def _compare_request(model: OutsideModel, decision: RecordedOutside) -> Iterator[Difference]:
    call = decision.call
    if call is not None:
        sent = sha256(request_body(model, decision.snapshot, call.request_id)).hexdigest()
        yield from compare("/call/request_sha256", call.request_sha256, sent)
    if call is not None and call.body is not None:
        received = sha256(call.body.encode()).hexdigest()
        yield from compare("/call/body_sha256", call.body_sha256, received)
