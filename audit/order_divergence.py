"""The causes of seeing an order otherwise than it was seen: feature code, kind, reference tables.

Shared by the decisions of trained models and of outside nodes, which see an order the same way.
"""

from collections.abc import Iterator
from typing import Protocol

from audit.causes import Cause, Factor, of_runtime, others
from audit.facts import snapshot_json
from models.case import Case, CaseReader
from models.domain import Json, ModelRef, Runtime, Snapshot
from models.surroundings import Surroundings


class SeenDecision(Protocol):
    """What a record says of how its order was seen."""

    @property
    def snapshot(self) -> Snapshot:
        """The values."""
        ...

    @property
    def surroundings(self) -> Surroundings:
        """What else the decision rests on."""
        ...

    @property
    def model(self) -> ModelRef:
        """Which model; its digest names the kind too."""
        ...

    @property
    def runtime(self) -> Runtime:
        """Which code."""
        ...


class Reader(CaseReader, Protocol):
    """What reads an order now."""

    @property
    def runtime(self) -> Runtime:
        """Which code."""
        ...


def find_order_causes(
    decision: SeenDecision, present: Reader, digest: str, case: Case
) -> Iterator[Cause]:
    """Yield what makes an order be seen otherwise than recorded.

    Parameters
    ----------
    decision
        What was decided.
    present
        What reads the order now.
    digest
        Of its bundle or kind.
    case
        What it sees.
    """
    asked = {name for lookup in present.kind.lookups for name in lookup.names()}
    then, now = decision.surroundings, case.surroundings
    computed = [_cut(one, asked, is_asked=False) for one in (decision.snapshot, case.snapshot)]
    if computed[0] != computed[1] or then.placed_at != now.placed_at:
        yield from of_reading(decision, present.runtime, digest)
    looked_up = [_cut(one, asked, is_asked=True) for one in (decision.snapshot, case.snapshot)]
    if looked_up[0] != looked_up[1] or then.stale != now.stale:
        yield from _of_references(decision, present, case)


def of_reading(decision: "ReadBy", now: Runtime, digest: str) -> tuple[Cause, ...]:
    """Return what makes the same order give other values: feature code, or the kind."""
    then = decision.runtime
    code = others(Factor.FEATURE_CODE, "feature_code", then.feature_code, now.feature_code)
    # The kind, which says what a feature is made of, is in the bundle.
    kind = others(Factor.MODEL, "bundle", decision.model.bundle, digest)
    return code or kind or of_runtime(then, now)


class ReadBy(Protocol):
    """What a record says of what read its order."""

    @property
    def model(self) -> ModelRef:
        """Which model."""
        ...

    @property
    def runtime(self) -> Runtime:
        """Which code."""
        ...


def _of_references(decision: SeenDecision, present: Reader, case: Case) -> Iterator[Cause]:
    recorded = {one.name: one.digest for one in decision.surroundings.references}
    replays = {one.name: one.digest for one in case.surroundings.references}
    found: list[Cause] = []
    for name in sorted(recorded.keys() | replays.keys()):
        found += others(Factor.REFERENCE, name, recorded.get(name), replays.get(name))
    # The same tables are asked by our code and, for names, by a library.
    code = decision.runtime.feature_code, present.runtime.feature_code
    yield from (
        found
        or others(Factor.FEATURE_CODE, "feature_code", *code)
        or of_runtime(decision.runtime, present.runtime, ("rapidfuzz",))
    )


def _cut(snapshot: Snapshot, asked: set[str], *, is_asked: bool) -> dict[str, Json]:
    context = {n: v for n, v in snapshot.context.items() if (n in asked) is is_asked}
    return snapshot_json(Snapshot({} if is_asked else snapshot.features, context))
