"""The beginning and the end of every path that decides: retries and faults, records and answers.

What lies between them (a model, a plan, a node) is the caller's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from audit.log import Appended
from audit.records import Entry, Idempotency
from models.domain import Language
from models.errors import PlatformError
from service.answers import JsonObject
from service.usecases.recorded import answer_recorded, record_drafts
from service.usecases.records import build_idempotency, check_idempotency_key, find_repeat
from service.wiring import Platform

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for decisions, how.

    Parameters
    ----------
    kind
        Name of the kind.
    caller
        Id of the API key.
    route
        Scope of the Idempotency-Keys.
    language
        Of the answers' texts.
    """

    kind: str
    caller: str
    route: str
    language: Language


@dataclass(frozen=True, slots=True)
class Line:
    """One order to decide.

    Parameters
    ----------
    body
        The order as received.
    idempotency_key
        The caller's, or None.
    """

    body: bytes
    idempotency_key: str | None = None


def read_line(
    platform: Platform, ask: Ask, line: Line, read: Callable[[Idempotency | None], _Read]
) -> _Read | Appended | PlatformError:
    """Return what was decided on this key before, or what `read` makes of the order, or its faults.

    Parameters
    ----------
    read
        Reads the order under the caller's key in its scope.
    """
    try:
        check_idempotency_key(line.idempotency_key)
        used = build_idempotency(ask.caller, ask.route, line.idempotency_key, line.body)
        return find_repeat(platform, used) or read(used)
    except PlatformError as error:
        return error


def answer_lines(
    platform: Platform, ask: Ask, lines: Sequence[Entry | Appended | PlatformError]
) -> list[JsonObject | PlatformError]:
    """Record what is new and answer everything, in order, from what was stored.

    Parameters
    ----------
    lines
        For each line its new entry, where it is in the log already, or why there is none.
    """
    drafts = [line for line in lines if isinstance(line, Entry)]
    recorded = iter(record_drafts(platform, drafts))
    personal = {draft.entry_id: draft.personal or b"" for draft in drafts}
    places = [next(recorded) if isinstance(line, Entry) else line for line in lines]
    return [
        place
        if isinstance(place, PlatformError)
        else answer_recorded(platform, place, ask.language, personal)
        for place in places
    ]
