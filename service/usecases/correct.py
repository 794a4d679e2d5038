"""A reported outcome that corrects the promise: both are recorded, or neither is.

Only the first true label of a decision counts, and only while the bundle and the promise that
decided it are those in force.
"""

from dataclasses import dataclass, replace

from audit.canonical import parse_json
from audit.facts import MODEL_FORM, parse_decision
from audit.log import Appended
from audit.records import Entry, EntryType
from audit.store import Record
from models.conformal import Conformal
from models.domain import Side
from models.kind import Kind
from models.surroundings import ErrorRates
from service.adaptation import Basis, Correction, basis_of, correct
from service.usecases.records import build_nonce, new_id, read_header, read_object
from service.wiring import Platform


@dataclass(frozen=True, slots=True)
class _Reported:
    """A reported outcome that says something of a promise in force."""

    basis: Basis
    kind: Kind
    table: Conformal
    margin: float
    label: Side


def record_outcome(platform: Platform, decision: Record, label: str, outcome: Entry) -> Appended:
    """Record an outcome together with the correction that it causes, if it causes one.

    Parameters
    ----------
    decision
        What it is about.
    label
        What happened, in the caller's words.
    outcome
        The entry that says so.

    Raises
    ------
    IdempotencyConflictError, StoreUnavailableError, OverloadedError, DeadlineError
        When neither was recorded.
    BundleCorruptError, ScorerError, PolicyError
        When the live model, which says what the label's name is, cannot be loaded.
    """
    # 1. Does it say something of a promise that is in force?
    reported = _reported(platform, decision, label)
    if reported is None:
        return platform.writer.record_one(outcome)
    # 2. Corrections follow from one another: one report at a time.
    wait_seconds = platform.settings.request_deadline_seconds
    with platform.adaptation.turn(reported.basis, wait_seconds) as present:
        if _is_known(platform, decision, reported):
            return platform.writer.record_one(outcome)
        correction = correct(
            reported.basis,
            present,
            reported.table,
            reported.margin,
            reported.label,
            step=platform.settings.adaptation_step,
            relaxes=platform.settings.adaptation_relaxes,
        )
        # 3. Both or none: a rate never moves without the outcome that moved it.
        entry = _correction_entry(outcome, correction)
        rest = () if correction.after == present else (entry,)
        return platform.writer.record_one(replace(outcome, rest=rest))


def _reported(platform: Platform, decision: Record, label: str) -> _Reported | None:
    facts = read_object(parse_json(decision.facts or b"null"))
    if platform.settings.adaptation_step == 0 or facts.get("form") != MODEL_FORM:
        return None
    decided = parse_decision(decision.facts or b"null")
    promised = decided.verdict.promise
    if promised is None:
        return None
    model = platform.live.get(decided.kind)
    basis, side = basis_of(model), true_label(model.kind, label)
    promise = ErrorRates(promised.adverse, promised.favourable)
    # Rates of now belong to what is live; an order that something else decided says nothing of it.
    if basis != Basis(decided.kind, decided.model.bundle, promise):
        return None
    if side is None or model.conformal is None:
        return None
    return _Reported(basis, model.kind, model.conformal, decided.verdict.attributions.margin, side)


def true_label(kind: Kind, label: str) -> Side | None:
    """Return which true label a caller's word names; None when it names none.

    Examples
    --------
    >>> from models.kind import built_in_kind
    >>> true_label(built_in_kind("risk"), "adverse").value
    'adverse'
    """
    names = {
        Side.ADVERSE.value: Side.ADVERSE,
        Side.FAVOURABLE.value: Side.FAVOURABLE,
        kind.outcomes.adverse.code: Side.ADVERSE,
        kind.outcomes.favourable.code: Side.FAVOURABLE,
    }
    return names.get(label)


def _is_known(platform: Platform, decision: Record, reported: _Reported) -> bool:
    """Tell whether a true label was reported before: an order counts once."""
    with platform.store.reading() as reading:
        later = reading.records_about(decision.entry_id)
    said = [
        read_object(parse_json(record.facts or b"null")).get("label")
        for record in later
        if read_header(record.leaf).get("type") == EntryType.OUTCOME
    ]
    return any(true_label(reported.kind, str(label)) is not None for label in said)


def _correction_entry(outcome: Entry, correction: Correction) -> Entry:
    return Entry(
        entry_id=new_id(),
        entry_type=EntryType.CORRECTION,
        recorded_at=outcome.recorded_at,
        header={"kind": correction.kind},
        facts={**build_nonce(), **correction.facts(), "outcome_entry": outcome.entry_id},
        about=outcome.about,
    )
