"""By whose names an entry is found again, and whose key seals it.

Order id, customer id and Idempotency-Key are sealed beside the personal part, in one form for
every type of entry. Outside the seal they stand only as keyed hashes in the look-up tables, which
an erasure can empty: the header, which can never change, holds none of them.
"""

from dataclasses import dataclass
from typing import Literal

from audit.canonical import facts_json, parse_json
from audit.errors import RecordMalformedError
from audit.seal import Sealer
from models.domain import Json

OwnerDomain = Literal["subject", "order", "entry"]


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An Idempotency-Key in the scope where it is unique.

    Parameters
    ----------
    caller, route, key
        Who used which key on which route.
    body_sha256
        SHA-256 of the request body, 32 bytes.
    """

    caller: str
    route: str
    key: str
    body_sha256: bytes


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose key seals a part: a data subject, an order without one, or the entry itself."""

    domain: OwnerDomain
    name: str

    def hashed(self, sealer: Sealer) -> bytes:
        """Return the keyed hash under which the owner's key is kept, 32 bytes."""
        return sealer.keyed_hash(f"owner/{self.domain}", self.name)


@dataclass(frozen=True, slots=True)
class Hashes:
    """What the look-up tables hold of an entry's identifiers, 32 bytes each or None."""

    order: bytes | None = None
    subject: bytes | None = None
    key: bytes | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The identifiers of an entry.

    Parameters
    ----------
    order_id, subject_id
        As the caller named them.
    idempotency
        The key that it was recorded under.
    """

    order_id: str | None = None
    subject_id: str | None = None
    idempotency: Idempotency | None = None

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return any((self.order_id is not None, self.subject_id is not None, self.idempotency))

    def owner(self, entry_id: str) -> Owner:
        """Return whose key seals the entry."""
        if self.subject_id is not None:
            return Owner("subject", self.subject_id)
        if self.order_id is not None:
            return Owner("order", self.order_id)
        return Owner("entry", entry_id)

    def hashes(self, sealer: Sealer) -> Hashes:
        """Return the keyed hashes for the look-up tables."""
        used = self.idempotency
        return Hashes(
            order=_hash(sealer, "order", self.order_id),
            subject=_hash(sealer, "subject", self.subject_id),
            key=None
            if used is None
            else hash_idempotency_key(used.caller, used.route, used.key, sealer),
            # A plain hash of an order could be guessed from the order, hence a keyed one.
            body=None if used is None else sealer.keyed_hash("body", used.body_sha256.hex()),
        )


def hash_idempotency_key(caller: str, route: str, key: str, sealer: Sealer) -> bytes:
    """Return the look-up hash of an Idempotency-Key in its scope, 32 bytes."""
    scope: list[Json] = [caller, route, key]
    return sealer.keyed_hash("idempotency", facts_json(scope).decode())


def format_identifiers(identifiers: Identifiers) -> bytes:
    """Return identifiers as JSON, to be sealed; `parse_identifiers` reads it.

    Examples
    --------
    >>> format_identifiers(Identifiers("o-1"))
    b'{"order_id":"o-1","subject_id":null,"idempotency":null}'
    """
    used = identifiers.idempotency
    value: Json = {
        "order_id": identifiers.order_id,
        "subject_id": identifiers.subject_id,
        "idempotency": None
        if used is None
        else {
            "caller": used.caller,
            "route": used.route,
            "key": used.key,
            "body_sha256": used.body_sha256.hex(),
        },
    }
    return facts_json(value)


def parse_identifiers(content: bytes) -> Identifiers:
    """Read what `format_identifiers` wrote.

    Raises
    ------
    RecordMalformedError
        If it is something else.
    """
    value = parse_json(content)
    if not isinstance(value, dict):
        raise RecordMalformedError("the sealed identifiers are not an object")
    order_id, subject_id = value.get("order_id"), value.get("subject_id")
    if not isinstance(order_id, str | None) or not isinstance(subject_id, str | None):
        raise RecordMalformedError("a sealed identifier is not a text")
    return Identifiers(order_id, subject_id, _parse_idempotency(value.get("idempotency")))


def _parse_idempotency(value: Json) -> Idempotency | None:
    if value is None:
        return None
    said = value if isinstance(value, dict) else {}
    caller, route, key, body = (
        said.get(name) for name in ("caller", "route", "key", "body_sha256")
    )
    texts = [one for one in (caller, route, key, body) if isinstance(one, str)]
    try:
        caller_text, route_text, key_text, body_text = texts
        return Idempotency(caller_text, route_text, key_text, bytes.fromhex(body_text))
    except ValueError as error:
        raise RecordMalformedError("the sealed Idempotency-Key is not in a known form") from error


def _hash(sealer: Sealer, domain: str, value: str | None) -> bytes | None:
    return None if value is None else sealer.keyed_hash(domain, value)
