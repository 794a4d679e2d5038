"""Working error rates: what reported outcomes have made of a promise, from the log alone.

A policy promises how many orders of each true label may be automated wrongly. When the world
drifts, the outcomes that callers report move the rate that the conformal sets work with, so that
the promise is kept; each move is a correction entry, recorded in one transaction with the outcome
that caused it. Rules kept here: the newest correction of a kind counts, and only for the bundle
and the promise that it was made under; a new bundle begins at its promise. Nothing is decided here.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from audit.errors import RecordMalformedError
from audit.records import EntryType
from audit.store import Store
from models.conformal import MOST_ERROR, Conformal, adapted_rate
from models.decide import LoadedModel
from models.domain import Json, Side
from models.surroundings import ErrorRates
from service.errors import DeadlineError

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Basis:
    """What a working rate belongs to: another bundle or promise has rates of its own.

    Parameters
    ----------
    kind
        Name of the kind.
    bundle
        Digest of the bundle.
    promise
        As the policy promises.
    """

    kind: str
    bundle: str
    promise: ErrorRates


@dataclass(frozen=True, slots=True)
class Correction:
    """What a correction entry says: how one reported outcome moved a rate.

    Parameters
    ----------
    kind, bundle, promise
        See `Basis`.
    label
        What the order really was.
    left_out
        Whether the set at the rates before, at the order's margin, was without this label.
    step
        How fast rates move.
    before, after
        The rates of both labels. They may be below 0, where nothing is left out until what was
        wronged before is made good; decisions work with 0 then.
    """

    kind: str
    bundle: str
    promise: ErrorRates
    label: Side
    left_out: bool
    step: float
    before: ErrorRates
    after: ErrorRates

    @property
    def basis(self) -> Basis:
        """Return what the rates belong to."""
        return Basis(self.kind, self.bundle, self.promise)

    def facts(self) -> dict[str, Json]:
        """Return the fields of the entry's facts part."""
        return {
            "kind": self.kind,
            "bundle": self.bundle,
            "promise": _rates_json(self.promise),
            "label": self.label.value,
            "left_out": self.left_out,
            "step": self.step,
            "before": _rates_json(self.before),
            "after": _rates_json(self.after),
        }


_CORRECTION: Final = TypeAdapter(Correction)


class Adaptation:
    """The working error rates of each kind.

    Parameters
    ----------
    store
        Whose corrections count.
    refresh_seconds
        How old the knowledge of corrections may be.
    clock
        Seconds, rising.
    """

    def __init__(self, store: Store, refresh_seconds: float, clock: Callable[[], float]) -> None:
        self._store = store
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._newest: dict[str, Correction] = {}
        self._seen = -1
        self._refresh_at = float("-inf")

    def rates(self, basis: Basis | None) -> ErrorRates | None:
        """Return the rates to decide with, 0 to 0.5; None before the first correction.

        Parameters
        ----------
        basis
            See `basis_of`; nothing is corrected without one.

        Raises
        ------
        StoreUnavailableError
            When the log cannot be read.
        RecordMalformedError
            When a correction is not one.
        """
        if basis is None:
            return None
        with self._lock:
            if self._clock() >= self._refresh_at:
                self._refresh()
                self._refresh_at = self._clock() + self._refresh_seconds
            newest = self._newest.get(basis.kind)
        if newest is None or newest.basis != basis:
            return None
        return ErrorRates(max(newest.after.adverse, 0.0), max(newest.after.favourable, 0.0))

    @contextmanager
    def turn(self, basis: Basis, wait_seconds: float) -> Iterator[ErrorRates]:
        """Give the rates as the log has them now, and let no other caller move them meanwhile.

        Corrections follow from one another, so the next one waits until this one is recorded.

        Raises
        ------
        DeadlineError
            When others were not recorded in time; without it a slow store would hold a thread
            for each report, one deadline after the other.
        StoreUnavailableError, RecordMalformedError
            See `rates`.
        """
        if not self._turn.acquire(timeout=wait_seconds):
            raise DeadlineError("other outcomes were not recorded in time")
        try:
            with self._lock:
                self._refresh()
                newest = self._newest.get(basis.kind)
            yield basis.promise if newest is None or newest.basis != basis else newest.after
        finally:
            # Whoever decides next in this process works with what was just recorded.
            with self._lock:
                self._refresh_at = float("-inf")
            self._turn.release()

    def _refresh(self) -> None:
        places: dict[str, int] = {}
        with self._store.reading() as reading:
            found = reading.found_after(self._seen, [EntryType.CORRECTION], _PAGE)
            while found:
                places |= {item.kind: item.leaf_index for item in found if item.kind is not None}
                last = found[-1].leaf_index
                found = reading.found_after(last, [EntryType.CORRECTION], _PAGE)
            records = [reading.record_at(place) for place in sorted(places.values())]
        for record in records:
            correction = parse_correction(record.facts or b"")
            self._newest[correction.kind] = correction
            self._seen = record.leaf_index


def basis_of(model: LoadedModel) -> Basis | None:
    """Return what a model's rates belong to; None when its policy promises nothing."""
    promise = model.policy.policy.promise
    if promise is None or model.conformal is None:
        return None
    rates = ErrorRates(promise.adverse, promise.favourable)
    return Basis(model.kind.name, model.model_ref.bundle, rates)


def correct(
    basis: Basis,
    present: ErrorRates,
    table: Conformal,
    margin: float,
    label: Side,
    *,
    step: float,
    relaxes: bool,
) -> Correction:
    """Return how a reported outcome moves the rates.

    Parameters
    ----------
    basis
        What they belong to.
    present
        The rates now, both labels.
    table
        The bundle's conformal table.
    margin
        Of the reported order, log-odds.
    label
        What the order really was.
    step
        How fast to correct.
    relaxes
        Whether a rate may rise above its promise, which is right only where the outcome of every
        order becomes known, whatever was decided.

    Notes
    -----
    Whether the label was left out is judged by the rates of now and not by those that the order
    was decided with. Without delay they are the same; when many outcomes arrive at once, late, the
    rates go to where the promise would have held and not beyond.

    Examples
    --------
    >>> promise = ErrorRates(0.25, 0.25)
    >>> table = Conformal((-1.0, 0.0), (1.0, 0.0), 4, 4)
    >>> basis = Basis("risk", "sha256:00", promise)
    >>> correct(basis, promise, table, -3.0, Side.ADVERSE, step=0.1, relaxes=False).after
    ErrorRates(adverse=0.175, favourable=0.25)
    """
    is_adverse = label is Side.ADVERSE
    held = table.outcome_set(margin, present.adverse, present.favourable)
    promised = basis.promise.adverse if is_adverse else basis.promise.favourable
    moved = adapted_rate(
        promised,
        present.adverse if is_adverse else present.favourable,
        was_wrong=label not in held,
        step=step,
        ceiling=MOST_ERROR if relaxes else promised,
    )
    after = (
        ErrorRates(moved, present.favourable) if is_adverse else ErrorRates(present.adverse, moved)
    )
    return Correction(
        kind=basis.kind,
        bundle=basis.bundle,
        promise=basis.promise,
        label=label,
        left_out=label not in held,
        step=step,
        before=present,
        after=after,
    )


def parse_correction(facts: bytes) -> Correction:
    """Read the facts of a correction entry.

    Raises
    ------
    RecordMalformedError
        When they are not one's.
    """
    try:
        return _CORRECTION.validate_json(facts)
    except ValidationError as error:
        raise RecordMalformedError("a correction entry does not hold a correction") from error


def _rates_json(rates: ErrorRates) -> Json:
    return {"adverse": float(rates.adverse), "favourable": float(rates.favourable)}
