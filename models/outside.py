"""A decision whose probability comes from an outside node: what follows from what the node said.

Pure, like `models.decide`: the call was made by the caller and stands here as recorded data, so a
replay concludes again without asking. Rules kept here: data that residency refuses was not sent;
an answer counts only when every check of `models.inference` passed; without one a person decides,
unless the policy's own rules are stricter; what the node does not explain is not explained by us.
"""

from dataclasses import dataclass
from typing import Final

from models.caps import CapKey
from models.case import Case
from models.conclude import confidence_in, describe_conflict, outcome_codes
from models.decide import present_runtime
from models.domain import (
    CapStanding,
    Effect,
    JsonScalar,
    ModelRef,
    PolicyRef,
    Reason,
    RuleHit,
    Runtime,
    Side,
    Snapshot,
    Text,
)
from models.errors import KindFileError
from models.features import Extractor
from models.inference import NodeAnswer, NodeFailure, build_request, read_answer, reported_version
from models.kind import Kind
from models.node import NODE_FAILED, NODE_NOT_ASKED, Node
from models.order import OrderSchema
from models.outside_verdict import NodeCall, OutsideDecision, OutsideVerdict
from models.policy import CompiledPolicy, Level, PolicyInputs, PolicyResult, strictest
from models.policy_document import Policy
from models.reasons import ReasonCatalogue
from models.surroundings import Surroundings

UNKNOWN_VERSION: Final = "unknown"
NOT_ASKED: Final = "not-asked"
# What only a calibrated model has; a policy that reads it finds it missing.
_NOT_KNOWN: Final[dict[str, JsonScalar]] = dict.fromkeys(
    ("interval_low", "interval_high", "interval_width")
)
_NO_PROBABILITY: Final[dict[str, JsonScalar]] = {**_NOT_KNOWN, "probability": None}


@dataclass(frozen=True, slots=True)
class OutsideModel:
    """Everything that deciding with a node needs, ready in memory; made by `load_outside`.

    Parameters
    ----------
    digest
        Of the kind's canonical declaration: what is a bundle's digest for a trained model.
    """

    kind: Kind
    node: Node
    digest: str
    schema: OrderSchema
    extractor: Extractor
    catalogue: ReasonCatalogue
    policy: CompiledPolicy
    policy_ref: PolicyRef
    runtime: Runtime


def load_outside(kind: Kind, digest: str, policy: Policy, policy_ref: PolicyRef) -> OutsideModel:
    """Make a kind with a node and a policy ready to decide.

    Raises
    ------
    KindFileError
        When the kind has no node, or names a feature function that does not exist.
    PolicyError
        When the policy reads values that the kind does not have, or its graph may not be used.
    """
    if kind.node is None:
        raise KindFileError(f"the kind {kind.name} has no [node]")
    return OutsideModel(
        kind=kind,
        node=kind.node,
        digest=digest,
        schema=OrderSchema(kind),
        extractor=Extractor(kind),
        catalogue=ReasonCatalogue(kind),
        policy=CompiledPolicy(policy, kind.value_types()),
        policy_ref=policy_ref,
        runtime=present_runtime(),
    )


def may_be_sent(model: OutsideModel, snapshot: Snapshot) -> bool:
    """Tell whether the policy lets this order's features go to the node."""
    return not _refusals(model, snapshot)


def request_body(model: OutsideModel, snapshot: Snapshot, request_id: str) -> bytes:
    """Return what is sent to the node: the features, and nothing else of the order."""
    return build_request(model.node, model.kind.features, snapshot.features, request_id)


def decide_outside(
    model: OutsideModel, case: Case, call: NodeCall | None, timings_ms: dict[str, float]
) -> OutsideDecision:
    """Decide a case by what the node said of it.

    Parameters
    ----------
    case
        With its counters counted.
    call
        None when the node was not asked, because `may_be_sent` says no.
    timings_ms
        Step name to milliseconds.
    """
    version = None if call is None else reported_version(call.body)
    return OutsideDecision(
        kind=model.kind.name,
        snapshot=case.snapshot,
        surroundings=case.surroundings,
        call=call,
        verdict=conclude_outside(model, case.snapshot, case.surroundings, call),
        model=model_ref(model, version),
        policy=model.policy_ref,
        runtime=model.runtime,
        unknown_fields=case.unknown_fields,
        timings_ms=timings_ms,
        personal=case.personal,
    )


def model_ref(model: OutsideModel, version: str | None = None) -> ModelRef:
    """Return which model answered; its version as reported, as declared, or as not known."""
    known = version or model.node.version or UNKNOWN_VERSION
    return ModelRef(model.node.model, known, model.digest, "")


def conclude_outside(
    model: OutsideModel, snapshot: Snapshot, surroundings: Surroundings, call: NodeCall | None
) -> OutsideVerdict:
    """Return what follows from a call; what replay does."""
    answer = None if call is None else read_call(model, call)
    return conclude_answer(model, snapshot, surroundings, answer)


def conclude_answer(
    model: OutsideModel,
    snapshot: Snapshot,
    surroundings: Surroundings,
    answer: NodeAnswer | NodeFailure | None,
) -> OutsideVerdict:
    """Return what follows from an answer as it was read; None when the node was not asked."""
    refusals = _refusals(model, snapshot)
    if refusals or answer is None:
        ids = ", ".join(hit.id for hit in refusals)
        failure = NodeFailure(NOT_ASKED, f"the policy does not let the data go to the node: {ids}")
        return _without_answer(model, snapshot, surroundings, failure, refusals)
    if isinstance(answer, NodeFailure):
        return _without_answer(model, snapshot, surroundings, answer, ())
    return _with_answer(model, snapshot, surroundings, answer)


def _refusals(model: OutsideModel, snapshot: Snapshot) -> tuple[RuleHit, ...]:
    values = {**snapshot.context, **snapshot.features}
    return model.policy.residency(values, model.node.marks, "features")


def read_call(model: OutsideModel, call: NodeCall) -> NodeAnswer | NodeFailure:
    """Return what a node answered, or why it did not."""
    if call.failure is not None or call.body is None:
        return call.failure or NodeFailure("not-utf8", "the answer is not UTF-8")
    names = model.extractor.feature_names
    return read_answer(model.node, names, call.request_id, call.body)


def _with_answer(
    model: OutsideModel, snapshot: Snapshot, surroundings: Surroundings, answer: NodeAnswer
) -> OutsideVerdict:
    probability, attributions = answer.probability, answer.attributions
    result = _apply(model, snapshot, surroundings, probability, _NOT_KNOWN)
    side = Side.FAVOURABLE if result.level is Level.FAVOURABLE else Side.ADVERSE
    reasons: tuple[Reason, ...] = ()
    counter_reasons: tuple[Reason, ...] = ()
    if attributions is not None:
        reasons, counter_reasons = model.catalogue.both_sides(snapshot, attributions.values, side)
    codes = outcome_codes(model.kind)
    return OutsideVerdict(
        outcome=codes[result.level],
        automated=result.level is not Level.REVIEW,
        probability=probability,
        confidence=confidence_in(result.level, probability),
        explained_by=None if attributions is None else "node",
        attributions=attributions,
        reasons=reasons,
        counter_reasons=counter_reasons,
        rules=result.hits,
        summary=model.catalogue.summary(result.level, snapshot, result.hits, reasons),
        thresholds=(result.review_at, result.adverse_at),
        conflict=describe_conflict(result, codes),
        caps=_caps(result),
        failure=None,
    )


def _without_answer(
    model: OutsideModel,
    snapshot: Snapshot,
    surroundings: Surroundings,
    failure: NodeFailure,
    refusals: tuple[RuleHit, ...],
) -> OutsideVerdict:
    # Only its rules are asked: where there is no probability, its thresholds say nothing.
    result = _apply(model, snapshot, surroundings, 0.0, _NO_PROBABILITY)
    hits = (*result.hits, *refusals, _fallback(model, failure))
    level = strictest(Level.REVIEW, hits)
    return OutsideVerdict(
        outcome=outcome_codes(model.kind)[level],
        automated=level is not Level.REVIEW,
        probability=None,
        confidence=0.0,
        explained_by=None,
        attributions=None,
        reasons=(),
        counter_reasons=(),
        rules=hits,
        summary=model.catalogue.summary(level, snapshot, hits, ()),
        thresholds=None,
        conflict=None,
        caps=_caps(result),
        failure=failure,
    )


def _apply(
    model: OutsideModel,
    snapshot: Snapshot,
    surroundings: Surroundings,
    probability: float,
    missing: dict[str, JsonScalar],
) -> PolicyResult:
    return model.policy.apply(
        PolicyInputs(
            probability=probability,
            interval=(probability, probability),
            values={**missing, **snapshot.context, **snapshot.features},
            placed_at=surroundings.placed_at,
            counts={CapKey(c.cap, c.day, c.tier): c.count for c in surroundings.counts},
            stale=surroundings.stale,
        )
    )


def _fallback(model: OutsideModel, failure: NodeFailure) -> RuleHit:
    facts: dict[str, JsonScalar] = {"node_model": model.node.model, "cause": failure.code}
    version = model.policy_ref.version
    if failure.code == NOT_ASKED:
        text = Text(
            "数据不得发送至外部节点,需人工决定",
            "the data may not go to the outside node, so a person decides",
        )
        return RuleHit(NODE_NOT_ASKED, version, Effect.REVIEW, facts, text)
    text = Text(
        f"外部节点 {model.node.model} 未给出可用的答案({failure.code}),需人工决定",
        f"the outside node {model.node.model} gave no usable answer ({failure.code}), "
        "so a person decides",
    )
    return RuleHit(NODE_FAILED, version, Effect.REVIEW, facts, text)


def _caps(result: PolicyResult) -> tuple[CapStanding, ...]:
    return tuple(
        CapStanding(use.key.cap, use.key.day, use.key.tier, use.used, use.limit)
        for use in result.cap_uses
    )
