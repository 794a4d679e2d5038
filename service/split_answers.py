"""A stored split decision to the part of its answer that other decisions do not have.

Everything is shown from the facts part alone. Amounts become numbers in the policy's currency,
texts one language. Where a decision of one margin has one value (probability, features,
attributions, reasons), a split shows those of the plan's candidate most likely to be late.
"""

from typing import Final, cast

from models.domain import Json, Language
from models.split.columns import unpack
from service.split_others import build_alternative, rejected_warehouses, unused_candidates
from service.split_plan import (
    CANDIDATE_KEY,
    JsonObject,
    as_object,
    as_objects,
    both_sides,
    build_lines,
    build_whole_plan,
    candidate_key,
    explain,
    in_money,
    to_money,
)

_NO_MODEL_SAID: Final[JsonObject] = {
    "raw_probability": None,
    "probability": None,
    "interval": None,
    "features": {},
    "attributions": None,
    "counter_reasons": [],
}


def build_split_fields(facts: JsonObject, language: Language) -> JsonObject:
    """Return what an answer says of a split beside who, when, versions and receipt.

    Parameters
    ----------
    facts
        A split decision's facts part.
    language
        Of the texts.
    """
    said = as_object(localise(unpack(facts["verdict"]), language))
    plan, scores = (
        said["plan"],
        {candidate_key(score): score for score in as_objects(said["scores"])},
    )
    outcome = facts["outcome"]
    return {
        "outcome": outcome,
        "automated": facts["automated"],
        "confidence": facts["confidence"],
        "outcome_set": [outcome],
        **_most_at_risk(said, scores, outcome),
        "summary": localise(facts["summary"], language),
        "counterfactuals": [],
        "currency": facts["currency"],
        "status": said["status"],
        "is_timed_out": said["is_timed_out"],
        "gap": to_money(said["gap_cents"]),
        "plan": [] if plan is None else build_lines(as_object(plan), scores),
        **build_whole_plan(plan),
        "releases": _flat(said["releases"]),
        "rules": [_rule(use) for use in as_objects(said["rules"])],
        "conflict": _flat(said["conflict"]),
        "terms": [in_money(term) for term in as_objects(said["terms"])],
        "weights": [in_money(weight) for weight in as_objects(said["weights"])],
        "why_not": [
            *rejected_warehouses(said),
            *unused_candidates(said, str(facts["currency"]), language),
        ],
        "alternatives": [build_alternative(one) for one in as_objects(said["alternatives"])],
    }


def localise(value: Json, language: Language) -> Json:
    """Return a JSON value with every text in one language.

    Examples
    --------
    >>> localise([{"text": {"zh": "库存", "en": "stock"}}], "en")
    [{'text': 'stock'}]
    """
    if isinstance(value, list):
        return [localise(item, language) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"zh", "en"}:
        return value[language]
    return {name: localise(item, language) for name, item in value.items()}


def _most_at_risk(
    said: JsonObject, scores: dict[tuple[Json, ...], JsonObject], outcome: Json
) -> JsonObject:
    shipments = [] if said["plan"] is None else as_objects(as_object(said["plan"])["shipments"])
    used = [scores[candidate_key(shipment)] for shipment in shipments]
    if not used:
        return {**_NO_MODEL_SAID, "reasons": [_only_reason(said, outcome)]}
    worst = max(used, key=lambda score: cast("float", score["probability"]))
    return {**explain(worst), **both_sides(worst, outcome)}


def _only_reason(said: JsonObject, outcome: Json) -> Json:
    """Return the reason of a decision without a plan: a constraint has no part of a margin."""
    finding = as_object(said["summary"])
    return {
        "rank": 1,
        "code": finding["code"],
        "toward": outcome,
        "share": 1.0,
        "contribution": 0.0,
        "group": "constraints",
        "features": [],
        "facts": finding["facts"],
        "text": finding["text"],
    }


def _rule(use: JsonObject) -> Json:
    candidates: list[Json] = [
        dict(zip(CANDIDATE_KEY, cast("list[Json]", key), strict=True))
        for key in cast("list[Json]", use["candidates"])
    ]
    return {**as_object(use["hit"]), "candidates": candidates}


def _flat(value: Json) -> Json:
    """Return a JSON value with each finding's code, facts and text in the place that it is about.

    A model's decision shows its reasons so.
    """
    if isinstance(value, list):
        return [_flat(item) for item in value]
    if not isinstance(value, dict):
        return value
    finding = as_object(value.get("finding") or {})
    return {**{n: _flat(item) for n, item in value.items() if n != "finding"}, **finding}
