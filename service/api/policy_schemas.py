"""The shapes of what a policy adds to an answer: thresholds, promise, counters, conflict."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel


class Voice(BaseModel):
    """What one voice asked for."""

    voice: str
    outcome: str
    cause: str


class Conflict(BaseModel):
    """Voices that asked for different outcomes, and how it ended."""

    voices: list[Voice]
    winner: str
    by: Literal["floor", "precedence", "promise", "strictest"]


class Promise(BaseModel):
    """The share of each true label that may be automated wrongly, and what was worked with."""

    adverse: float
    favourable: float
    working_adverse: float
    working_favourable: float


class Cap(BaseModel):
    """A counter that the order would use, as it stood."""

    cap: str
    day: str
    tier: str
    used: int | None
    limit: int | None


class AskedReference(BaseModel):
    """A version of a reference table that was asked."""

    name: str
    digest: str
    as_of: AwareDatetime


class ChainResult(BaseModel):
    """What a chain comes to; with its last decision."""

    outcome: str
    automated: bool
    stopped_at: str | None
    provisional: bool
    conflict: Conflict | None
