"""Who may do what: roles, actions and the one table that joins them. Denied unless it says so."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from service.errors import PermissionDeniedError, UnauthenticatedError


class Role(StrEnum):
    """What a key is for."""

    OMS = "oms"
    OPERATOR = "operator"
    STRATEGIST = "strategist"
    AUDITOR = "auditor"
    MODEL_OWNER = "model_owner"
    ADMIN = "admin"


class Action(StrEnum):
    """What can be asked of the service with a key."""

    READ_KINDS = "read kinds"
    DECIDE = "decide"
    READ_DECISION = "read a decision"
    READ_IDENTIFIERS = "see whose order it is"
    SEARCH = "search decisions"
    OVERRIDE = "override a decision"
    REPORT_OUTCOME = "report what really happened"
    REPLAY = "replay a decision"
    READ_PROOF = "read proofs and leaves"
    READ_FACTS = "read stored facts"
    READ_EVENTS = "read events"
    READ_REFERENCES = "read reference tables"
    LOAD_REFERENCE = "load a reference table"
    ERASE_SUBJECT = "erase a data subject"
    EXPORT = "export evidence"


_EVERYBODY = frozenset(Role)
PERMISSIONS: dict[Action, frozenset[Role]] = {
    Action.READ_KINDS: _EVERYBODY,
    Action.DECIDE: frozenset({Role.OMS}),
    Action.READ_DECISION: _EVERYBODY,
    Action.READ_IDENTIFIERS: frozenset({Role.OMS, Role.OPERATOR, Role.AUDITOR}),
    Action.SEARCH: frozenset({Role.AUDITOR, Role.OPERATOR}),
    Action.OVERRIDE: frozenset({Role.OPERATOR}),
    Action.REPORT_OUTCOME: frozenset({Role.OMS}),
    Action.REPLAY: frozenset({Role.AUDITOR}),
    Action.READ_PROOF: _EVERYBODY,
    Action.READ_FACTS: frozenset({Role.AUDITOR}),
    Action.READ_EVENTS: frozenset({Role.OMS}),
    Action.READ_REFERENCES: _EVERYBODY - {Role.OMS},
    Action.LOAD_REFERENCE: frozenset({Role.ADMIN}),
    Action.ERASE_SUBJECT: frozenset({Role.ADMIN}),
    Action.EXPORT: frozenset({Role.AUDITOR}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Parameters
    ----------
    id
        The API key's id; what records name as caller or actor.
    role
        What the key is for.
    """

    id: str
    role: Role

    def may(self, action: Action) -> bool:
        """Tell whether the role may do this."""
        return self.role in PERMISSIONS.get(action, frozenset())


def authenticate(
    authorization: str | None, find_principal: Callable[[str], Principal | None]
) -> Principal:
    """Return who sent an Authorization header.

    Parameters
    ----------
    authorization
        The header's value; None when absent.
    find_principal
        Looks a key up by its hash, so that no comparison depends on the key itself.

    Raises
    ------
    UnauthenticatedError
        When there is no such key.
    """
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise UnauthenticatedError("the request carries no API key")
    principal = find_principal(key.strip())
    if principal is None:
        raise UnauthenticatedError("the API key is unknown or revoked")
    return principal


def require(principal: Principal, action: Action) -> None:
    """Refuse what the role may not do.

    Raises
    ------
    PermissionDeniedError
        Naming role and action.
    """
    if not principal.may(action):
        raise PermissionDeniedError(f"the role {principal.role} may not {action}")
