"""Why the replay of a node's decision differs: see `audit.divergence`, with its own stages.

The node's recorded answer is an input here, never asked for again. What the kind says of the node,
of its answer and of the texts stands in the kind's own file, which the record pins as its model.
"""

from collections.abc import Iterator
from hashlib import sha256

from audit.causes import Cause, Factor, of_runtime, others
from audit.order_divergence import find_order_causes
from audit.outside_facts import RecordedOutside, outside_verdict_json
from models.case import Case
from models.inference import NodeAnswer, NodeFailure
from models.outside import NOT_ASKED, OutsideModel, conclude_answer, read_call, request_body


def find_outside_causes(
    decision: RecordedOutside, present: OutsideModel, case: Case | None = None
) -> tuple[Cause, ...]:
    """Return every factor that by itself gives something else than the record says.

    Parameters
    ----------
    decision
        What was decided.
    present
        What concludes now.
    case
        What is seen of the order now, where the order can still be opened.
    """
    return tuple(dict.fromkeys(_causes(decision, present, case)))


def _causes(decision: RecordedOutside, present: OutsideModel, case: Case | None) -> Iterator[Cause]:
    kind = others(Factor.MODEL, "kind", decision.model.bundle, present.digest)
    then, now = decision.runtime, present.runtime
    # 1. The order is seen otherwise.
    if case is not None:
        yield from find_order_causes(decision, present, present.digest, case)
    # 2. The recorded snapshot makes another request, or the recorded answer is read otherwise.
    if not (_is_requested(decision, present) and _is_read(decision, present)):
        yield from kind or of_runtime(then, now)
    # 3. What was read of the answer is judged otherwise.
    judged = conclude_answer(
        present, decision.snapshot, decision.surroundings, _recorded_answer(decision)
    )
    if outside_verdict_json(judged) != outside_verdict_json(decision.verdict):
        policy = others(Factor.POLICY, "policy", decision.policy.digest, present.policy_ref.digest)
        yield from policy or kind or of_runtime(then, now, ("zen_engine",))


def _is_requested(decision: RecordedOutside, present: OutsideModel) -> bool:
    call = decision.call
    if call is None:
        return True
    body = request_body(present, decision.snapshot, call.request_id)
    return sha256(body).hexdigest() == call.request_sha256


def _is_read(decision: RecordedOutside, present: OutsideModel) -> bool:
    call = decision.call
    return call is None or read_call(present, call) == _recorded_answer(decision)


def _recorded_answer(decision: RecordedOutside) -> NodeAnswer | NodeFailure | None:
    verdict = decision.verdict
    if verdict.probability is not None:
        return NodeAnswer(verdict.probability, verdict.attributions)
    failure = verdict.failure
    return None if failure is None or failure.code == NOT_ASKED else failure
