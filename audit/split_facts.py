"""A split decision to its facts part and back, exactly.

Like `audit.facts`, with the problem in the place of the snapshot and a verdict over many
candidates. What a record is searched by (kind, outcome, automated) stands at the top, as in every
decision's facts, and is a copy of what the verdict says: replay and `verify` hold them together.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final, TypeGuard

from pydantic import TypeAdapter, ValidationError

from audit.canonical import parse_json
from audit.errors import RecordMalformedError
from audit.facts import FACTS_VERSION
from audit.versions import made_json, name_faults
from models.domain import Json, ModelRef, PolicyRef, Runtime
from models.split.decide import SplitDecision, SplitVerdict
from models.split.problem import Problem
from models.split.record import (
    problem_facts,
    read_problem_facts,
    read_verdict_facts,
    verdict_facts,
)

SPLIT_FORM: Final = "split"


@dataclass(frozen=True, slots=True)
class SplitVersions:
    """What made a split decision, and who asked for it.

    Parameters
    ----------
    kind
        Name of the kind.
    currency
        Of every amount, ISO 4217; the policy's.
    model, policy, runtime
        What decided.
    caller
        Name of the API key that asked.
    timings_ms
        Step name to milliseconds.
    """

    kind: str
    currency: str
    model: ModelRef
    policy: PolicyRef
    runtime: Runtime
    caller: str
    timings_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class RecordedSplit:
    """What a split decision's facts part says.

    Parameters
    ----------
    versions
        What made it.
    problem, verdict
        As they were decided.
    conclusion, problem_json
        The same as JSON values, as they are stored.
    """

    versions: SplitVersions
    problem: Problem
    verdict: SplitVerdict
    conclusion: dict[str, Json]
    problem_json: Json


_VERSIONS: Final = TypeAdapter(SplitVersions)
_CONCLUSION_KEYS: Final = ("outcome", "automated", "confidence", "summary", "currency", "verdict")


def build_split_facts(
    decision: SplitDecision, currency: str, caller: str, nonce: bytes
) -> dict[str, Json]:
    """Return the facts part of a split decision as JSON values.

    Parameters
    ----------
    decision
        What was decided.
    currency
        Of every amount, ISO 4217; the policy's.
    caller
        Name of the API key that asked; not a person.
    nonce
        32 random bytes, so that the part's hash reveals nothing once the part is gone.
    """
    return {
        "version": FACTS_VERSION,
        "nonce": b64encode(nonce).decode("ascii"),
        "form": SPLIT_FORM,
        "kind": decision.kind,
        **conclusion_json(decision.verdict, currency),
        "problem": problem_facts(decision.problem),
        **made_json(decision, caller),
    }


def conclusion_json(verdict: SplitVerdict, currency: str) -> dict[str, Json]:
    """Return what follows from problem, bundle and policy, as the facts part holds it."""
    text = verdict.summary.text
    return {
        "outcome": verdict.outcome,
        "automated": verdict.automated,
        "confidence": float(verdict.confidence),
        "summary": {"zh": text.zh, "en": text.en},
        "currency": currency,
        "verdict": verdict_facts(verdict),
    }


def parse_split(facts: bytes) -> RecordedSplit:
    """Read a split decision's facts part; the inverse of `build_split_facts`.

    Parameters
    ----------
    facts
        The stored bytes.

    Raises
    ------
    RecordMalformedError
        If the bytes are not a split decision's facts of a version known here.
    """
    body = parse_json(facts)
    if not is_split(body) or body.get("version") != FACTS_VERSION:
        raise RecordMalformedError(f"not a split's facts part of version {FACTS_VERSION}")
    named = {name: body.get(name) for name in SplitVersions.__dataclass_fields__}
    try:
        return RecordedSplit(
            versions=_VERSIONS.validate_python(named),
            problem=read_problem_facts(body.get("problem")),
            verdict=read_verdict_facts(body.get("verdict")),
            conclusion={name: body.get(name) for name in _CONCLUSION_KEYS},
            problem_json=body.get("problem"),
        )
    except ValidationError as error:
        faults = name_faults(error)
        raise RecordMalformedError(f"the facts part does not hold a split: {faults}") from error


def is_split(facts: Json) -> TypeGuard[dict[str, Json]]:
    """Tell whether facts are those of a split decision.

    Examples
    --------
    >>> is_split({"form": "split"}), is_split({"form": "model"}), is_split(None)
    (True, False, False)
    """
    return isinstance(facts, dict) and facts.get("form") == SPLIT_FORM
