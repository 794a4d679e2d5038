"""A decision made with an outside node to its facts part and back, exactly.

Like `audit.facts`, with the call beside the snapshot: what was sent (as a digest; it follows from
the snapshot), what came back (verbatim), how long it took and how it failed. What the node said is
so kept for good: a replay reads it again and never asks again.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final, TypeGuard

from pydantic import TypeAdapter, ValidationError

from audit.canonical import parse_json
from audit.errors import RecordMalformedError
from audit.facts import FACTS_VERSION, snapshot_json, surroundings_json
from audit.versions import made_json, name_faults
from models.domain import Json, ModelRef, PolicyRef, Runtime, Snapshot
from models.outside_verdict import NodeCall, OutsideDecision, OutsideVerdict
from models.surroundings import Surroundings

OUTSIDE_FORM: Final = "outside"


@dataclass(frozen=True, slots=True)
class RecordedOutside:
    """What such a decision's facts part says; see `OutsideDecision`.

    Parameters
    ----------
    caller
        Name of the API key that asked.
    """

    kind: str
    snapshot: Snapshot
    surroundings: Surroundings
    call: NodeCall | None
    verdict: OutsideVerdict
    model: ModelRef
    policy: PolicyRef
    runtime: Runtime
    caller: str
    timings_ms: dict[str, float]


_RECORDED: Final = TypeAdapter(RecordedOutside)
_VERDICTS: Final = TypeAdapter(OutsideVerdict)
_CALLS: Final = TypeAdapter(NodeCall)
_VERDICT_KEYS: Final = tuple(OutsideVerdict.__dataclass_fields__)
_RECORD_KEYS: Final = (
    "kind",
    "surroundings",
    "call",
    "model",
    "policy",
    "runtime",
    "caller",
    "timings_ms",
)


def build_outside_facts(decision: OutsideDecision, caller: str, nonce: bytes) -> dict[str, Json]:
    """Return the facts part of a decision made with a node as JSON values.

    Parameters
    ----------
    decision
        What was decided.
    caller
        Name of the API key that asked; not a person.
    nonce
        32 random bytes, so that the part's hash reveals nothing once the part is gone.
    """
    call: Json = None if decision.call is None else _CALLS.dump_python(decision.call, mode="json")
    return {
        "version": FACTS_VERSION,
        "nonce": b64encode(nonce).decode("ascii"),
        "form": OUTSIDE_FORM,
        "kind": decision.kind,
        **outside_verdict_json(decision.verdict),
        **snapshot_json(decision.snapshot),
        "surroundings": surroundings_json(decision.surroundings),
        "call": call,
        **made_json(decision, caller),
    }


def outside_verdict_json(verdict: OutsideVerdict) -> dict[str, Json]:
    """Return a verdict as the facts part holds it."""
    said: dict[str, Json] = _VERDICTS.dump_python(verdict, mode="json")
    return said


def parse_outside(facts: bytes) -> RecordedOutside:
    """Read such a decision's facts part; the inverse of `build_outside_facts`.

    Parameters
    ----------
    facts
        The stored bytes.

    Raises
    ------
    RecordMalformedError
        If the bytes are not such a decision's facts of a version known here.
    """
    body = parse_json(facts)
    if not is_outside(body) or body.get("version") != FACTS_VERSION:
        raise RecordMalformedError(f"not a node's facts part of version {FACTS_VERSION}")
    missing = sorted({*_VERDICT_KEYS, *_RECORD_KEYS} - body.keys())
    if missing:
        raise RecordMalformedError(f"a node's facts part lacks {', '.join(missing)}")
    nested: dict[str, Json] = {key: body[key] for key in _RECORD_KEYS}
    nested["snapshot"] = {key: body.get(key) for key in ("features", "context")}
    nested["verdict"] = {key: body[key] for key in _VERDICT_KEYS}
    try:
        return _RECORDED.validate_python(nested)
    except ValidationError as error:
        faults = name_faults(error)
        raise RecordMalformedError(f"the facts part holds no node's answer: {faults}") from error


def is_outside(facts: Json) -> TypeGuard[dict[str, Json]]:
    """Tell whether facts are those of a decision made with an outside node.

    Examples
    --------
    >>> is_outside({"form": "outside"}), is_outside({"form": "model"}), is_outside(None)
    (True, False, False)
    """
    return isinstance(facts, dict) and facts.get("form") == OUTSIDE_FORM
