"""What made a decision: written to and read from the facts of any form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from pydantic import TypeAdapter, ValidationError

from audit.errors import RecordMalformedError
from models.domain import Json, ModelRef, PolicyRef, Runtime
from models.surroundings import ReferenceRef


class Made(Protocol):
    """What every decision names, whatever its form."""

    @property
    def kind(self) -> str:
        """Name of the kind."""

    @property
    def model(self) -> ModelRef:
        """Which model."""

    @property
    def policy(self) -> PolicyRef:
        """Which policy."""

    @property
    def runtime(self) -> Runtime:
        """Which code."""

    @property
    def timings_ms(self) -> dict[str, float]:
        """Step name to milliseconds."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which versions of reference tables were asked; none in a form that asks none."""

    references: tuple[ReferenceRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Versions:
    """What every decision's facts part names, whatever its form."""

    kind: str
    model: ModelRef
    policy: PolicyRef
    surroundings: Asked = field(default_factory=Asked)


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


def made_json(decision: Made, caller: str) -> Mapping[str, Json]:
    """Return what made a decision as its facts part holds it.

    Parameters
    ----------
    decision
        Of any form.
    caller
        Name of the API key that asked; not a person.
    """
    return {
        "model": _fields(decision.model),
        "policy": _fields(decision.policy),
        "runtime": _fields(decision.runtime),
        "caller": caller,
        "timings_ms": {**decision.timings_ms},
    }


def _fields(value: ModelRef | PolicyRef | Runtime) -> Json:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def name_faults(error: ValidationError) -> str:
    """Return the first three places of a facts part that are not as they should be."""
    return ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors()[:3])
