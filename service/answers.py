"""A stored record to the answer that callers see: one function for new, repeated and read ones.

The answer is made from stored bytes only, so a retry gives the same bytes as the first call did.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import cast

from audit.canonical import parse_json
from audit.outside_facts import is_outside
from audit.records import PersonalPart
from audit.split_facts import is_split
from models.counterfactual import changed_order
from models.domain import FieldChange, Json, Language
from service.outside_answers import build_outside_fields
from service.split_answers import build_split_fields

_VERBATIM = (
    "outcome",
    "automated",
    "raw_probability",
    "probability",
    "interval",
    "confidence",
    "outcome_set",
)
_REASON_KEYS = ("rank", "code", "toward", "share", "contribution", "group", "features", "facts")
_RULE_KEYS = ("id", "version", "effect", "facts")
JsonObject = dict[str, Json]


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision's stored bytes, and its personal part when the reader may see it.

    Parameters
    ----------
    leaf_index, tree_size
        Its place, and the tree that the receipt is about.
    leaf, facts
        Exact stored bytes.
    personal
        None hides whose order it is.
    receipt
        C2SP tlog-proof text.
    """

    leaf_index: int
    tree_size: int
    leaf: bytes
    facts: bytes
    personal: PersonalPart | None
    receipt: str


def build_answer(stored: StoredDecision, language: Language) -> JsonObject:
    """Return the decision as the API shows it, texts in `language`."""
    header = _object(parse_json(stored.leaf))
    facts = _object(parse_json(stored.facts))
    personal = stored.personal
    own = _own_fields(facts, personal, language)
    return {
        "decision_id": header["id"],
        "kind": header["kind"],
        "order_id": None if personal is None else personal.order_id,
        "decided_at": header["recorded_at"],
        "chain_id": header.get("chain_id"),
        "parent_id": header.get("parent_id"),
        **own,
        "chain": facts.get("chain"),
        "model": facts["model"],
        "policy": facts["policy"],
        "warnings": [] if personal is None else _warnings(personal, language),
        "receipt": {
            "leaf_index": stored.leaf_index,
            "tree_size": stored.tree_size,
            "leaf": b64encode(stored.leaf).decode("ascii"),
            "proof": stored.receipt,
        },
        "timings_ms": facts["timings_ms"],
    }


def _own_fields(facts: JsonObject, personal: PersonalPart | None, language: Language) -> JsonObject:
    if is_split(facts):
        return build_split_fields(facts, language)
    if is_outside(facts):
        return build_outside_fields(facts, personal, language)
    return _model_fields(facts, personal, language)


def _model_fields(
    facts: JsonObject, personal: PersonalPart | None, language: Language
) -> JsonObject:
    return {
        **{key: facts[key] for key in _VERBATIM},
        "summary": _text(facts["summary"], language),
        "reasons": _reasons(facts["reasons"], language),
        "counter_reasons": _reasons(facts["counter_reasons"], language),
        "counterfactuals": _counterfactuals(facts["counterfactuals"], personal, language),
        "rules": [_worded(rule, _RULE_KEYS, language) for rule in _list(facts["rules"])],
        **{key: facts[key] for key in ("thresholds", "promise", "conflict", "caps")},
        "references": _object(facts["surroundings"])["references"],
        "matches": None if personal is None else dict(personal.matches),
        "features": facts["features"],
        "attributions": facts["attributions"],
    }


def _reasons(reasons: Json, language: Language) -> list[Json]:
    return [_worded(reason, _REASON_KEYS, language) for reason in _list(reasons)]


def _counterfactuals(
    recorded: Json, personal: PersonalPart | None, language: Language
) -> list[Json]:
    """Show each change; the whole order so changed only to those who may see the order."""
    shown: list[Json] = []
    for one in map(_object, _list(recorded)):
        changes = {
            name: _change(_object(change)) for name, change in _object(one["changes"]).items()
        }
        shown.append(
            {
                "changes": {n: {"from": c.present, "to": c.to} for n, c in changes.items()},
                "outcome": one["outcome"],
                "text": _text(one["text"], language),
                "order": None
                if personal is None
                else parse_json(changed_order(personal.order, changes)),
            }
        )
    return shown


def _change(stored: JsonObject) -> FieldChange:
    present, to = (cast("float", stored[name]) for name in ("present", "to"))
    return FieldChange(str(stored["field"]), present, to)


def _worded(value: Json, keys: tuple[str, ...], language: Language) -> Json:
    stored = _object(value)
    return {**{key: stored[key] for key in keys}, "text": _text(stored["text"], language)}


def _warnings(personal: PersonalPart, language: Language) -> list[Json]:
    if language == "zh":
        return [f"未知字段 {pointer} 已封存,未参与决策" for pointer in personal.unknown_fields]
    return [
        f"unknown field {pointer} was kept sealed and not used"
        for pointer in personal.unknown_fields
    ]


def _text(text: Json, language: Language) -> Json:
    return _object(text)[language]


def _object(value: Json) -> JsonObject:
    # The store refuses records that are not of this form, and `verify` names any that became so.
    return cast("JsonObject", value)


def _list(value: Json) -> list[Json]:
    return cast("list[Json]", value)
