"""A decision: a verdict with all that it rests on and the versions that made it."""

from dataclasses import dataclass, field

from models.domain import Counterfactual, Json, ModelRef, PolicyRef, Runtime, Snapshot, Verdict
from models.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with the snapshot it rests on and the versions that made it.

    Parameters
    ----------
    kind
        Name of the kind.
    snapshot, surroundings, verdict
        See their classes.
    model, policy, runtime
        What made it.
    unknown_fields
        JSON pointers of request fields that the kind does not know; kept, sealed, not used.
    timings_ms
        Step name to milliseconds; measured by the caller's clock.
    counterfactuals
        Smallest changes that lead to another outcome, smallest first.
    personal
        Look-up name to matched entries that identify a person; to be sealed.
    """

    kind: str
    snapshot: Snapshot
    verdict: Verdict
    model: ModelRef
    policy: PolicyRef
    runtime: Runtime
    unknown_fields: tuple[str, ...]
    timings_ms: dict[str, float]
    counterfactuals: tuple[Counterfactual, ...] = ()
    surroundings: Surroundings = field(default_factory=Surroundings)
    personal: dict[str, Json] = field(default_factory=dict)
