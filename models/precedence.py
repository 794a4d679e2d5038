"""Who wins when voices disagree: rules, caps, reference data, the model, its outcome set.

Rules kept here: a rule, a cap or reference data can only make the outcome stricter, whatever the
order of precedence; every disagreement is told, with who won and by what.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, assert_never

from models.domain import Effect
from models.policy_document import FLOOR_VOICES

SET_VOICE = "set"


class Level(IntEnum):
    """The three answers, from mild to strict."""

    FAVOURABLE = 0
    REVIEW = 1
    ADVERSE = 2


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one voice says.

    Parameters
    ----------
    voice
        ``rule``, ``cap``, ``reference``, ``model``, ``set``, or a kind's name in a chain.
    level
        The answer that it asks for.
    cause
        Id of the rule, or what else made it say so.
    """

    voice: str
    level: Level
    cause: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A disagreement and how it ended.

    Parameters
    ----------
    opinions
        All voices, as they spoke.
    winner
        The voice whose answer stands.
    by
        `floor`: no voice may be milder than a rule; `precedence`: the policy's order; `promise`:
        the outcome set is not exactly the outcome; `strictest`: the policy names no order.
    """

    opinions: tuple[Opinion, ...]
    winner: str
    by: Literal["floor", "precedence", "promise", "strictest"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """The answer that stands, and the conflict if there was one."""

    level: Level
    conflict: Conflict | None


def effect_level(effect: Effect) -> Level:
    """Return the mildest answer that an effect allows.

    Examples
    --------
    >>> effect_level(Effect.REVIEW).name
    'REVIEW'
    """
    match effect:
        case Effect.NONE | Effect.EXCLUDE:
            return Level.FAVOURABLE
        case Effect.REVIEW:
            return Level.REVIEW
        case Effect.REJECT:
            return Level.ADVERSE
    assert_never(effect)


def settle(opinions: Sequence[Opinion], precedence: Sequence[str] = ()) -> Settlement:
    """Decide between voices.

    Parameters
    ----------
    opinions
        At least one.
    precedence
        Voices, first to last. The first of them that spoke wins over the other voices; without
        one a conformal set that asks for a review does, and else the strictest. Rules, caps and
        reference data are a floor under either.

    Examples
    --------
    >>> model = Opinion("model", Level.FAVOURABLE, "thresholds")
    >>> rule = Opinion("rule", Level.ADVERSE, "destination-sanctioned")
    >>> settled = settle([model, rule], ["model"])
    >>> settled.level.name, settled.conflict.winner, settled.conflict.by
    ('ADVERSE', 'rule', 'floor')
    """
    floors = [opinion for opinion in opinions if opinion.voice in FLOOR_VOICES]
    others = [opinion for opinion in opinions if opinion.voice not in FLOOR_VOICES]
    listed = [opinion for voice in precedence for opinion in others if opinion.voice == voice]
    doubts = [o for o in others if o.voice == SET_VOICE and o.level is Level.REVIEW]
    by: Literal["floor", "precedence", "promise", "strictest"] = "strictest"
    if listed:
        winner, by = listed[0], "precedence"
    elif doubts:
        # A review that a promise asks for must not become a refusal: the model is not sure of it.
        winner, by = doubts[0], "promise"
    else:
        # max keeps the first of equals, so the order of the opinions decides only the name.
        winner = max(others or floors, key=_strictness)
    strictest_floor = max(floors, key=_strictness, default=winner)
    if strictest_floor.level > winner.level:
        winner, by = strictest_floor, "floor"
    disagree = len({opinion.level for opinion in opinions}) > 1
    conflict = Conflict(tuple(opinions), winner.voice, by) if disagree else None
    return Settlement(winner.level, conflict)


def _strictness(opinion: Opinion) -> int:
    return opinion.level
