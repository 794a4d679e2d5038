"""What made a decision, read from the facts of any form."""

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from audit.errors import RecordMalformedError
from models.domain import ModelRef, PolicyRef


@dataclass(frozen=True, slots=True)
class Versions:
    """What every decision's facts part names, whatever its form."""

    kind: str
    model: ModelRef
    policy: PolicyRef


_VERSIONS: Final = TypeAdapter(Versions)


def parse_versions(facts: bytes) -> Versions:
    """Read what made a decision from the stored bytes of its facts part.

    Raises
    ------
    RecordMalformedError
        When they do not name it.

    Examples
    --------
    >>> parse_versions(
    ...     b'{"kind": "k", "model": {"name": "m", "version": "1", "bundle": "b", "run_id": "r"},'
    ...     b' "policy": {"name": "p", "version": "1", "digest": "d"}}'
    ... ).model.version
    '1'
    """
    try:
        return _VERSIONS.validate_json(facts)
    except ValidationError as error:
        raise RecordMalformedError("the facts part names no kind, model and policy") from error
