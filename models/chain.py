"""A chain of decisions about one order: when it stops, and what stands when kinds disagree.

Admission, risk and split each decide by themselves; this module only says what follows from their
outcomes. A refusal stops the chain and always stands. A review stops it too, unless the policy
that asked for it lets the chain go on provisionally: then a person still has to say yes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from models.declarations import RequestField
from models.domain import Disagreement, Json, Voice
from models.kind import Kind
from models.order import OrderSchema
from models.precedence import Level, Opinion, settle


@dataclass(frozen=True, slots=True)
class ChainStep:
    """One decision of a chain.

    Parameters
    ----------
    kind
        Name of the kind.
    level, outcome
        Its outcome, and the kind's word for it.
    on_review
        What the policy that decided does to the chain at a review.
    """

    kind: str
    level: Level
    outcome: str
    on_review: Literal["stop", "provisional"]

    @property
    def stops(self) -> bool:
        """Whether the chain ends here."""
        asks = self.level is Level.REVIEW and self.on_review == "stop"
        return asks or self.level is Level.ADVERSE


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What a chain comes to.

    Parameters
    ----------
    outcome
        The word of the kind whose outcome stands.
    automated
        False when a person has to decide.
    goes_ahead
        Whether every kind said yes.
    stopped_at
        Kind at which the chain ended before its last one; None when it went through.
    is_provisional
        Whether a review was passed over, so that what comes after it waits for a person.
    conflict
        The disagreement of the kinds; None when they agree.
    """

    outcome: str
    automated: bool
    goes_ahead: bool
    stopped_at: str | None
    is_provisional: bool
    conflict: Disagreement | None


def conclude_chain(
    steps: Sequence[ChainStep], kinds: Sequence[str], precedence: Sequence[str] = ()
) -> ChainResult:
    """Return what a chain comes to.

    Parameters
    ----------
    steps
        The decisions, in order; at least one.
    kinds
        All kinds of the chain, in order.
    precedence
        Whose outcome stands when kinds disagree, first to last; without it the strictest. A
        refusal stands in any case.

    Examples
    --------
    >>> accept = ChainStep("admission", Level.FAVOURABLE, "accept", "stop")
    >>> review = ChainStep("risk", Level.REVIEW, "review", "stop")
    >>> result = conclude_chain([accept, review], ["admission", "risk", "split"])
    >>> result.outcome, result.stopped_at, result.conflict.by
    ('review', 'risk', 'strictest')
    """
    last = steps[-1]
    opinions = [Opinion(step.kind, step.level, step.outcome) for step in steps]
    refused = last.level is Level.ADVERSE
    settled = settle(opinions, () if refused else [kind for kind in precedence if kind in kinds])
    conflict = None
    if settled.conflict is not None:
        voices = tuple(Voice(step.kind, step.outcome, "decision") for step in steps)
        conflict = Disagreement(voices, settled.conflict.winner, settled.conflict.by)
    # Of equals the last one speaks: "ship" says more than "accept".
    standing = [step for step in steps if step.level is settled.level]
    winner = next(
        (step for step in standing if conflict is not None and step.kind == conflict.winner),
        standing[-1],
    )
    return ChainResult(
        outcome=winner.outcome,
        automated=settled.level is not Level.REVIEW,
        goes_ahead=all(step.level is Level.FAVOURABLE for step in steps),
        stopped_at=last.kind if last.stops and last.kind != kinds[-1] else None,
        is_provisional=any(step.level is Level.REVIEW and not step.stops for step in steps),
        conflict=conflict,
    )


def chain_schema(kinds: Sequence[Kind]) -> OrderSchema:
    """Return the schema of an order that all kinds read: the fields of all of them.

    Parameters
    ----------
    kinds
        In order; a field that several name is as the first one says, and required when any
        requires it.
    """
    fields: dict[str, RequestField] = {}
    for field in (field for kind in kinds for field in kind.request):
        first = fields.setdefault(field.path, field)
        if field.required and not first.required:
            fields[field.path] = first.model_copy(update={"required": True})
    return OrderSchema(kinds[0].model_copy(update={"request": tuple(fields.values())}))


def chain_examples() -> list[Json]:
    """Return orders that every kind of the chain can read: name, title and order.

    Examples
    --------
    >>> len(chain_examples())
    3
    """
    examples: list[Json] = orjson.loads(_EXAMPLES.read_bytes())
    return examples


_EXAMPLES = Path(__file__).parent / "chain.json"
