"""A decision to its facts part and back, exactly.

Facts are what the model saw, what it computed and what was said, without any identifier. The
two directions stand side by side because replay rests on their being each other's inverse:
floats come back bit for bit (with -0.0 written as 0.0), and features in the order of their kind.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from audit.canonical import parse_json
from audit.errors import RecordMalformedError
from audit.versions import made_json, name_faults
from models.chain import ChainResult
from models.decision import Decision
from models.domain import (
    CapStanding,
    Counterfactual,
    Disagreement,
    Json,
    ModelRef,
    PolicyRef,
    Promised,
    Reason,
    RuleHit,
    Runtime,
    Snapshot,
    Text,
    Verdict,
    Voice,
)
from models.surroundings import Surroundings

FACTS_VERSION: Final = 2
MODEL_FORM: Final = "model"


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """What a decision's facts part says.

    Parameters
    ----------
    kind, snapshot, surroundings, verdict, model, policy, runtime
        As they were decided.
    caller
        Name of the API key that asked.
    timings_ms
        Step name to milliseconds.
    counterfactuals
        Smallest changes that would have led to another outcome.
    """

    kind: str
    snapshot: Snapshot
    surroundings: Surroundings
    verdict: Verdict
    model: ModelRef
    policy: PolicyRef
    runtime: Runtime
    caller: str
    timings_ms: dict[str, float]
    counterfactuals: tuple[Counterfactual, ...]


# Building a validator is costly, so it is done once.
_RECORDED: Final = TypeAdapter(RecordedDecision)
_SURROUNDINGS: Final = TypeAdapter(Surroundings)
_VERDICT_KEYS: Final = tuple(Verdict.__dataclass_fields__)
_RECORD_KEYS: Final = (
    "kind",
    "model",
    "policy",
    "runtime",
    "caller",
    "timings_ms",
    "counterfactuals",
    "surroundings",
)


def build_facts(decision: Decision, caller: str, nonce: bytes) -> dict[str, Json]:
    """Return the facts part of a decision as JSON values.

    Parameters
    ----------
    decision
        What was decided.
    caller
        Name of the API key that asked; not a person.
    nonce
        32 random bytes, so that the part's hash reveals nothing once the part is gone.
    """
    return {
        "version": FACTS_VERSION,
        "nonce": b64encode(nonce).decode("ascii"),
        "form": MODEL_FORM,
        "kind": decision.kind,
        **verdict_json(decision.verdict),
        **snapshot_json(decision.snapshot),
        "surroundings": surroundings_json(decision.surroundings),
        "counterfactuals": counterfactuals_json(decision.counterfactuals),
        **made_json(decision, caller),
    }


def parse_decision(facts: bytes) -> RecordedDecision:
    """Read a decision's facts part; the inverse of `build_facts`.

    Parameters
    ----------
    facts
        The stored bytes.

    Raises
    ------
    RecordMalformedError
        If the bytes are not a decision's facts of a version known here.
    """
    body = parse_json(facts)
    if not isinstance(body, dict) or body.get("version") != FACTS_VERSION:
        raise RecordMalformedError(f"not a facts part of version {FACTS_VERSION}")
    missing = sorted({*_VERDICT_KEYS, *_RECORD_KEYS} - body.keys())
    if missing or body.get("form") != MODEL_FORM:
        raise RecordMalformedError(f"not a model's decision; it lacks {', '.join(missing)}")
    nested: dict[str, Json] = {key: body.get(key) for key in _RECORD_KEYS}
    nested["snapshot"] = {key: body.get(key) for key in ("features", "context")}
    nested["verdict"] = {key: body.get(key) for key in _VERDICT_KEYS}
    try:
        return _RECORDED.validate_python(nested)
    except ValidationError as error:
        faults = name_faults(error)
        raise RecordMalformedError(f"the facts part does not hold a decision: {faults}") from error


def verdict_json(verdict: Verdict) -> dict[str, Json]:
    """Return a verdict as the facts part holds it."""
    attributions = verdict.attributions
    return {
        "outcome": verdict.outcome,
        "automated": verdict.automated,
        "raw_probability": float(verdict.raw_probability),
        "probability": float(verdict.probability),
        "interval": [float(bound) for bound in verdict.interval],
        "confidence": float(verdict.confidence),
        "outcome_set": [*verdict.outcome_set],
        "attributions": {
            "base_value": float(attributions.base_value),
            "margin": float(attributions.margin),
            "link": attributions.link,
            "values": {name: float(value) for name, value in attributions.values.items()},
        },
        "reasons": [_reason_json(reason) for reason in verdict.reasons],
        "counter_reasons": [_reason_json(reason) for reason in verdict.counter_reasons],
        "rules": [_rule_json(rule) for rule in verdict.rules],
        "summary": _text_json(verdict.summary),
        "thresholds": [float(threshold) for threshold in verdict.thresholds],
        "promise": None if verdict.promise is None else _fields_json(verdict.promise),
        "conflict": None if verdict.conflict is None else _conflict_json(verdict.conflict),
        "caps": [_fields_json(cap) for cap in verdict.caps],
    }


def surroundings_json(surroundings: Surroundings) -> Json:
    """Return what else a decision rests on, as the facts part holds it."""
    said: Json = _SURROUNDINGS.dump_python(surroundings, mode="json")
    return said


def chain_json(result: ChainResult) -> dict[str, Json]:
    """Return what a chain comes to, as the facts part of its last decision holds it."""
    conflict = result.conflict
    return {
        "outcome": result.outcome,
        "automated": result.automated,
        "stopped_at": result.stopped_at,
        "provisional": result.is_provisional,
        "conflict": None if conflict is None else _conflict_json(conflict),
    }


def _conflict_json(conflict: Disagreement) -> Json:
    voices: list[Json] = [_fields_json(voice) for voice in conflict.voices]
    return {"voices": voices, "winner": conflict.winner, "by": conflict.by}


def counterfactuals_json(counterfactuals: tuple[Counterfactual, ...]) -> list[Json]:
    """Return counterfactuals as the facts part holds them: the changes, never the order."""
    return [
        {
            "changes": {
                name: {
                    "field": change.field,
                    "present": float(change.present),
                    "to": float(change.to),
                }
                for name, change in one.changes.items()
            },
            "outcome": one.outcome,
            "text": _text_json(one.text),
        }
        for one in counterfactuals
    ]


def snapshot_json(snapshot: Snapshot) -> dict[str, Json]:
    """Return a snapshot as the facts part holds it."""
    return {"features": {**snapshot.features}, "context": {**snapshot.context}}


def _reason_json(reason: Reason) -> Json:
    return {
        "rank": reason.rank,
        "code": reason.code,
        "group": reason.group,
        "side": reason.side.value,
        "toward": reason.toward,
        "share": float(reason.share),
        "contribution": float(reason.contribution),
        "features": [*reason.features],
        "facts": {**reason.facts},
        "text": _text_json(reason.text),
    }


def _rule_json(rule: RuleHit) -> Json:
    return {
        "id": rule.id,
        "version": rule.version,
        "effect": rule.effect.value,
        "facts": {**rule.facts},
        "text": _text_json(rule.text),
    }


def _text_json(text: Text) -> Json:
    return {"zh": text.zh, "en": text.en}


def _fields_json(value: Promised | CapStanding | Voice) -> Json:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
