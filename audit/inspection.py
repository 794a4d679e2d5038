"""The checks of one entry by itself: header, parts and look-up columns against each other.

Every check takes values of any type and answers with findings; none raises.
"""

import math
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from audit.canonical import parse_json
from audit.errors import RecordMalformedError
from audit.months import part_month
from audit.opening import Finding, Opening, open_sealed
from audit.outside_facts import OUTSIDE_FORM
from audit.records import EntryType, Hashes, derive_lookup
from audit.retention import Purges
from audit.scan import RawEntry
from audit.seal import Sealer
from audit.split_facts import SPLIT_FORM
from models.domain import Json
from models.split.columns import unpack

_ADDITIVITY_TOLERANCE: Final = 1e-9
_CONCLUDED: Final = ("outcome", "automated", "confidence")


def inspect_entry(
    entry: RawEntry,
    sealer: Sealer | None,
    opening: Opening | None = None,
    purges: Purges | None = None,
) -> Iterator[Finding]:
    """Yield what is wrong with an entry's own rows.

    Parameters
    ----------
    entry
        Its columns, of whatever type.
    sealer
        Opens the sealed part; None leaves it closed.
    opening
        What came of opening the sealed part, if that was done already.
    purges
        What the log says was purged.
    """
    if opening is None:
        opening = open_sealed(entry, sealer)
    try:
        header = read_header(entry.leaf)
    except RecordMalformedError as error:
        yield Finding("header-malformed", error.detail)
        return
    if not isinstance(entry.entry_id, str) or header.get("id") != entry.entry_id:
        yield Finding("entry-id", "the entry's id is not that of its header")
    yield from _inspect_months(entry, header)
    if is_purged(entry, header, purges):
        yield from _inspect_purged(entry, header)
        return
    yield from _inspect_part("facts", header, present=entry.has_facts, body=entry.facts)
    yield from _inspect_part("personal", header, present=entry.has_personal, body=entry.sealed)
    facts = _read_facts(entry.facts)
    yield from _inspect_lookup(entry, header, facts, opening.hashes)
    if header.get("type") == EntryType.DECISION:
        yield from _inspect_decision(header, facts)
    if opening.finding is not None:
        yield opening.finding
    if opening.commitment is not None and header.get("personal_commitment") != opening.commitment:
        yield Finding("commitment", "the header does not commit to what is sealed")


def is_purged(entry: RawEntry, header: Mapping[str, Json], purges: Purges | None) -> bool:
    """Tell whether a purge that the log records removed an entry's parts, rightly."""
    place = entry.leaf_index
    return (
        purges is not None and isinstance(place, int) and purges.covering(place, header) is not None
    )


def read_header(leaf: Any) -> dict[str, Json]:  # noqa: ANN401 - tampered values have any type
    """Return a header from what lies in its column.

    Raises
    ------
    RecordMalformedError
        If it is not the bytes of a JSON object.
    """
    header = parse_json(leaf) if isinstance(leaf, bytes) else None
    if not isinstance(header, dict):
        raise RecordMalformedError("the header is not the bytes of a JSON object")
    return header


def _inspect_purged(entry: RawEntry, header: Mapping[str, Json]) -> Iterator[Finding]:
    if entry.has_facts or entry.has_personal:
        yield Finding("not-purged", "a part is there that a purge of the log says is removed")
    # What followed from facts and identifiers left with them.
    yield from _inspect_lookup(entry, header, {}, Hashes())
    if header.get("type") == EntryType.DECISION:
        yield from _inspect_made(header)


def _read_facts(body: Any) -> dict[str, Json]:  # noqa: ANN401 - tampered values have any type
    # Facts that cannot be read are reported by their hash; here they count as empty.
    try:
        facts = parse_json(body) if isinstance(body, bytes) else None
    except RecordMalformedError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _inspect_months(entry: RawEntry, header: Mapping[str, Json]) -> Iterator[Finding]:
    due = part_month(header.get("type"), str(header.get("recorded_at")))
    parts = zip((True, entry.has_facts, entry.has_personal), entry.months, strict=True)
    if any(is_there and month != due for is_there, month in parts):
        yield Finding("month", "the entry or a part of it is kept under another month")


def _inspect_part(
    part: str,
    header: Mapping[str, Json],
    *,
    present: bool,
    body: Any,  # noqa: ANN401 - tampered values have any type
) -> Iterator[Finding]:
    promised = header.get(f"{part}_sha256")
    if not present:
        if promised is not None:
            yield Finding(f"{part}-missing", f"the {part} part that the header names is missing")
    elif not isinstance(body, bytes) or sha256(body).hexdigest() != promised:
        yield Finding(f"{part}-hash", f"the {part} part is not the one that the header names")


def _inspect_lookup(
    entry: RawEntry,
    header: Mapping[str, Json],
    facts: Mapping[str, Json],
    hashes: Hashes | None,
) -> Iterator[Finding]:
    if not entry.has_lookup:
        yield Finding("lookup-missing", "the entry's look-up row is missing")
        return
    try:
        due = derive_lookup(header, facts, hashes or Hashes())
    except RecordMalformedError as error:
        yield Finding("header-malformed", error.detail)
        return
    expected_values = {
        "entry_id": header.get("id"),
        "entry_type": due.entry_type,
        "kind": due.kind,
        "outcome": due.outcome,
        "automated": None if due.automated is None else int(due.automated),
        "recorded_at": due.recorded_at,
        "order_hash": due.order_hash,
        "subject_hash": due.subject_hash,
        "about": due.about,
        "chain_id": due.chain_id,
    }
    pairs = zip(expected_values.items(), entry.lookup, strict=True)
    for (name, expected), stored in pairs:
        if hashes is None and name in ("order_hash", "subject_hash"):
            # Whose entry it is stands inside the seal only.
            continue
        if expected != stored or type(expected) is not type(stored):
            yield Finding("lookup", f"the look-up column {name} does not follow from the record")


def _inspect_decision(header: Mapping[str, Json], facts: Mapping[str, Json]) -> Iterator[Finding]:
    features = facts.get("features")
    yield from _inspect_made(header)
    if facts.get("form") == SPLIT_FORM:
        yield from _inspect_split(header, facts)
        return
    if not isinstance(features, dict) or not features:
        yield Finding("void", "the decision has no snapshot of features")
    if facts.get("form") == OUTSIDE_FORM:
        yield from _inspect_outside(header, facts)
        return
    if facts and not _adds_up(facts.get("attributions")):
        yield Finding("not-additive", "base value and attributions do not add up to the margin")


def _inspect_made(header: Mapping[str, Json]) -> Iterator[Finding]:
    model = header.get("model")
    named = isinstance(model, dict) and all(
        isinstance(model.get(name), str) and model.get(name) for name in ("version", "bundle")
    )
    if not named or not _is_number(header.get("confidence")):
        yield Finding("void", "the decision has no model version, bundle or confidence")


def _inspect_split(header: Mapping[str, Json], facts: Mapping[str, Json]) -> Iterator[Finding]:
    problem, verdict = facts.get("problem"), unpack(facts.get("verdict"))
    if not isinstance(problem, dict) or not problem.get("lines"):
        yield Finding("void", "the split has no problem with an order line")
    said = verdict if isinstance(verdict, dict) else {}
    scores = said.get("scores")
    if not isinstance(scores, list) or not all(map(_score_adds_up, scores)):
        detail = "base value and attributions of a candidate do not add up to its margin"
        yield Finding("not-additive", detail)
    concluded = [facts.get(name) == said.get(name) for name in _CONCLUDED]
    if not all(concluded) or facts.get("confidence") != header.get("confidence"):
        yield Finding("conclusion", "outcome, automated or confidence is not the verdict's")


def _inspect_outside(header: Mapping[str, Json], facts: Mapping[str, Json]) -> Iterator[Finding]:
    attributions, answered = facts.get("attributions"), _is_number(facts.get("probability"))
    if attributions is not None and not _adds_up(attributions):
        yield Finding("not-additive", "base value and attributions do not add up to the margin")
    if answered == isinstance(facts.get("failure"), dict):
        yield Finding("conclusion", "the node either answered or failed, and the facts say not so")
    if facts.get("confidence") != header.get("confidence"):
        yield Finding("conclusion", "the header's confidence is not the verdict's")


def _score_adds_up(score: Json) -> bool:
    return isinstance(score, dict) and _adds_up(score.get("attributions"))


def _adds_up(attributions: Json) -> bool:
    if not isinstance(attributions, dict):
        return False
    values = attributions.get("values")
    if not isinstance(values, dict):
        return False
    terms = [attributions.get("base_value"), *values.values()]
    margin = attributions.get("margin")
    numbers = [float(term) for term in terms if isinstance(term, int | float)]
    if len(numbers) != len(terms) or not isinstance(margin, int | float):
        return False
    return abs(math.fsum(numbers) - margin) <= _ADDITIVITY_TOLERANCE


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
