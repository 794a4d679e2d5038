"""A stored decision that rests on an outside node, to its part of the answer.

Everything is shown from the facts part. Where a trained model has a calibrated interval and
counterfactuals, a node has none; what it does not explain is said to be not explained by us.
"""

from typing import Final, cast

from audit.records import PersonalPart
from models.domain import Json, Language, Text
from service.split_answers import localise

JsonObject = dict[str, Json]
_VERBATIM: Final = (
    "outcome",
    "automated",
    "probability",
    "confidence",
    "thresholds",
    "conflict",
    "caps",
    "features",
    "attributions",
    "explained_by",
)
_BY_NODE: Final = Text(
    "由外部节点解释,其加和已核对", "explained by the outside node; it was checked that it adds up"
)
_NOT_BY_US: Final = Text("非本平台解释", "not explained by us")
_NOTHING_SAID: Final = Text(
    "外部节点未给出可用的答案,由规则决定", "the outside node gave no usable answer; rules decided"
)


def build_outside_fields(
    facts: JsonObject, personal: PersonalPart | None, language: Language
) -> JsonObject:
    """Return what an answer says beside who, when, versions and receipt.

    Parameters
    ----------
    facts
        The decision's facts part.
    personal
        None hides what look-ups matched.
    language
        Of the texts.
    """
    return {
        **{key: facts[key] for key in _VERBATIM},
        "raw_probability": facts["probability"],
        "interval": None,
        "outcome_set": [facts["outcome"]],
        "summary": localise(facts["summary"], language),
        "reasons": _reasons(facts["reasons"], language),
        "counter_reasons": _reasons(facts["counter_reasons"], language),
        "counterfactuals": [],
        "rules": localise(facts["rules"], language),
        "promise": None,
        "references": _object(facts["surroundings"])["references"],
        "matches": None if personal is None else dict(personal.matches),
        "explained": facts["explained_by"] is not None,
        "explanation": _explanation(facts).in_language(language),
        "node": _call(facts),
    }


def _explanation(facts: JsonObject) -> Text:
    if facts["probability"] is None:
        return _NOTHING_SAID
    return _NOT_BY_US if facts["explained_by"] is None else _BY_NODE


def _call(facts: JsonObject) -> JsonObject:
    call = {} if facts["call"] is None else _object(facts["call"])
    return {
        "asked": facts["call"] is not None,
        **{name: call.get(name) for name in ("request_id", "latency_ms", "status")},
        "failure": facts["failure"],
    }


def _reasons(reasons: Json, language: Language) -> list[Json]:
    told = cast("list[JsonObject]", localise(reasons, language))
    return [{name: value for name, value in one.items() if name != "side"} for one in told]


def _object(value: Json) -> JsonObject:
    # The store refuses records that are not of this form, and `verify` names any that became so.
    return cast("JsonObject", value)
